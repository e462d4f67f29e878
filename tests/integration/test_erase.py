"""`lakefeed prune --erase` removes a row, and nothing else, from every file Lakefeed stores."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import duckdb
import pytest

from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import (
    CATALOGUE_VARIABLE,
    CONNECTION_VARIABLE,
    Database,
    Lake,
    new_lake_at,
)
from tests.engines.test_ducklake import texts_in

pytestmark = [pytest.mark.builds, pytest.mark.on_ducklake(at_night=True)]

CANARY = "Otto Canary 5512"
KEY = "otto-7712@example.com"
DECLARED = """
people:
  cursor: at
  deletes: remove
  history: true
visits:
  mode: full_refresh
  tests: {columns: {nr: {accepted_values: [a], severity: warn}}}
"""


@pytest.fixture(scope="module")
def shared(engine: str, source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Otto was loaded, changed, read again whole, and has left the source; he made a visit."""
    source.execute(
        "create table people "
        "(id int primary key, name text, at timestamptz default clock_timestamp())",
        "create table visits (person int, nr text, note text, primary key (person, nr))",
        f"insert into people values (1, 'Ada'), (2, 'Ben'), (42, '{CANARY}')",
        f"insert into visits values (1, 'a', 'early'), (42, 'a', 'late'), (42, '{KEY}', 'later')",
    )
    lake = new_lake_at("disk", tmp_path_factory.mktemp("shared"), engine)
    lake.declare(DECLARED)
    (lake.root / "dbt/models/marts/all_visits.sql").write_text(
        "select visits.*, coalesce(people.name, 'unknown') as who"
        " from {{ ref('stg_shop__visits') }} as visits"
        " left join {{ ref('stg_shop__people') }} as people on people.id = visits.person"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        lake.run()
        source.execute(f"update people set name = '{CANARY} II', at = clock_timestamp()"
                       " where id = 42")  # fmt: skip
        lake.run(full_refresh=True)
        assert lake.command("rebuild", "--as-of", "2999-01-01").returncode == 0
        source.execute("delete from people where id = 42")
        assert lake.run(allow_shrink=True).exit_code == 0
    return lake


def files_with(lake: Lake, text: str) -> list[Path]:
    """Every file of the project, and of raw wherever that is, that has these bytes in it.

    A lake's catalogue counts as `data/catalogue`.
    """
    files = (path for path in lake.root.rglob("*") if path.is_file() and not path.is_symlink())
    found = [path.relative_to(lake.root) for path in files if _has(path, text)]
    if lake.warehouse and text in texts_in(Database(os.environ[CATALOGUE_VARIABLE])):
        found.append(Path("data/catalogue"))
    return sorted([*found, *(_files_in_store_with(lake, text) if lake.raw_url else ())])


def _has(file: Path, text: str) -> bool:
    if text.encode() in file.read_bytes():
        return True
    return file.suffix == ".parquet" and text in str(duckdb.read_parquet(str(file)).fetchall())


def holders(lake: Lake, *files: str) -> set[str]:
    """What of `data` has a row that was published, of a warehouse that is a file also in these."""
    return {"raw", "catalogue"} if lake.warehouse else {"raw", "warehouse.duckdb", *files}


def _files_in_store_with(lake: Lake, text: str) -> list[Path]:
    files, root = open_raw(lake.project.raw)
    return [Path(path) for path in files.find(root) if text.encode() in files.cat_file(path)]


def without(lake: Lake, key: str) -> list[list[tuple[object, ...]]]:
    """All that the warehouse says of other rows."""
    return [
        lake.query(f'select id, name, "at" from staging.stg_shop__people where {key} order by all'),
        lake.query('select id, name, "at", valid_from, valid_to, loaded_at, _dlt_load_id'
                   f" from history.hst_shop__people where {key} order by all"),
        lake.query("select person, nr, note from marts.all_visits order by all"),
    ]  # fmt: skip


def test_no_file_contains_the_row_and_all_other_rows_are_unchanged(copied: Lake) -> None:
    kinds = {path.suffix for path in files_with(copied, CANARY) if path.name != "catalogue"}
    places = {path.parts[1] for path in files_with(copied, CANARY)}
    assert kinds == {".parquet", ".duckdb"}
    assert places == holders(copied, "published") | {"as_of"}
    others = without(copied, "id <> 42")
    trial = copied.root / "data/changed"
    trial.mkdir()
    (of_then,) = (path for path in files_with(copied, CANARY) if path.parts[1] == "as_of")
    shutil.copy(copied.root / of_then, trial)

    planned = copied.command("prune", "--erase", "shop.people", "42", "--dry-run")
    assert "3 versions in 3 loads (3 files)" in planned.stdout
    assert {path.parts[1] for path in files_with(copied, CANARY)} == places | {"changed"}
    ended = copied.command("prune", "--erase", "shop.people", "42")

    assert ended.returncode == 0, ended
    assert files_with(copied, CANARY) == []
    assert without(copied, "id <> 42") == others
    assert without(copied, "id = 42")[:2] == [[], []]
    assert copied.query("select distinct who from marts.all_visits where person = 42") == [
        ("unknown",)
    ]
    assert "the next load that reads it brings it back" in ended.stdout
    again = copied.run()
    assert {table.status for table in again.tables} == {"unchanged"}, again
    assert again.build is None
    assert copied.command("rebuild").returncode == 0
    assert without(copied, "id <> 42") == others


def test_values_of_a_composite_key_are_given_in_its_order(copied: Lake) -> None:
    places = {path.parts[1] for path in files_with(copied, KEY)}
    assert places >= holders(copied, "warehouse_test_failures.duckdb")

    assert copied.command("prune", "--erase", "shop.visits", "42", KEY).returncode == 0

    # The command line has it as well: dbt would write that down.
    assert files_with(copied, KEY) == []
    assert copied.query("select person, nr from staging.stg_shop__visits order by all") == [
        (1, "a"),
        (42, "a"),
    ]
    loads = CommitLog(copied.project.raw, "shop__visits").loads()
    assert sum(load.rows for load in loads) == len(copied.raw("shop__visits"))
    # It is still in the source.
    copied.run()
    assert len(copied.query("from staging.stg_shop__visits")) == 3


@pytest.mark.by_day(2)
@pytest.mark.on_file
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["shop.people", "Otto"],
            "`Otto` isn't a valid integer for `id` of shop.people",
        ),
        (["shop.visits", "42"], "the key of shop.visits is (person, nr): expected 2 values, got 1"),
        (["shop.*", "42"], "shop.*: no such table"),
        (["shop.persons", "42"], "no such table; did you mean `shop.people`?"),
        ([], "--erase"),
    ],
)
def test_reports_a_key_that_identifies_no_row(
    copied: Lake, arguments: list[str], told: str
) -> None:
    ended = copied.command("prune", "--erase", *arguments)

    assert ended.returncode == 2
    assert told in ended.stderr


def test_reports_that_a_warehouse_which_fails_its_tests_still_contains_the_row(
    copied: Lake,
) -> None:
    wrong = copied.root / "dbt/tests/wrong.sql"
    wrong.parent.mkdir(exist_ok=True)
    wrong.write_text("select * from {{ ref('stg_shop__people') }}")

    ended = copied.command("prune", "--erase", "shop.people", "42")

    assert ended.returncode == 1
    assert "STILL CONTAIN THE ROW" in ended.stdout and "wrong: " in ended.stdout
    assert not [path for path in files_with(copied, CANARY) if "raw" in path.parts]
    wrong.unlink()
    assert copied.command("prune", "--erase", "shop.people", "42").returncode == 0
    assert files_with(copied, CANARY) == []
