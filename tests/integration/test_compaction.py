"""Compaction: `lakefeed prune` merges small files, and every reader still sees the same rows."""

from __future__ import annotations

import shutil

import pytest

from lakefeed.loading.maintenance.compact import FEWEST, LARGEST, SMALL, groups_of
from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake_at
from tests.integration.test_erase import files_with
from tests.integration.test_staging import dbt

pytestmark = [pytest.mark.builds, pytest.mark.on_store(at_night=True)]

CANARY = "Otto Canary 5512"
DECLARED = """
events: {cursor: at, history: true, deletes: remove}
plain: {cursor: id}
"""
VALUES = "select * exclude (_staged_batch) from {} order by all"


def told(lake: Lake) -> list[list[tuple[object, ...]]]:
    """All that raw, staging and history say, but for the count of builds."""
    relations = ("staging.stg_shop__events", "staging.stg_shop__plain", "history.hst_shop__events")
    return [
        *(lake.query(VALUES.format(relation)) for relation in relations),
        lake.raw("shop__events"),
        lake.raw("shop__plain"),
    ]


def loads_of(lake: Lake, table: str) -> CommitLog:
    return CommitLog(lake.project.raw, f"shop__{table}")


@pytest.fixture(scope="module")
def shared(place: str, source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Ten loads of two tables, each with a change; the first has another column before the last."""
    lake = new_lake_at(place, tmp_path_factory.mktemp("shared"))
    source.execute(
        "create table events (id int primary key, word text, price numeric(12, 4), share real, "
        "day date, tags text[], at timestamptz default clock_timestamp())",
        "create table plain (id serial primary key, word text)",
        "insert into events select i, 'first', i / 8.0, i / 3.0, '2026-01-01', array['a', null] "
        "from generate_series(1, 5) i",
        "insert into plain (word) values ('first')",
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        lake.declare(DECLARED).load()
        for number in range(2, 11):
            if number == 10:
                source.execute("alter table events add note text")
            source.execute(
                f"update events set word = 'word {number}', price = price + 0.0001, "
                f"at = clock_timestamp() where id = {number % 3 + 1}",
                f"insert into events (id, word) values ({number + 10}, '{CANARY} {number}')",
                f"delete from events where id = {number + 8}",
                f"insert into plain (word) values ('word {number}')",
            )
            assert lake.load(allow_shrink=True).exit_code == 0
        assert lake.run().exit_code == 0
    return lake


def test_many_small_files_become_few_and_every_reader_sees_the_same_rows(
    source: Database, copied: Lake
) -> None:
    before, ids = told(copied), loads_of(copied, "events").ids_to_stage()
    traced = copied.command("trace", "shop.events", "2")
    # Seven loads found a row deleted, which lies in a file of its own.
    assert (len(copied.files("shop__events")), len(copied.files("shop__plain"))) == (17, 10)

    planned = copied.command("prune", "--dry-run")
    assert len(copied.files("shop__events")) == 17
    pruned = copied.command("prune")

    assert pruned.returncode == 0, pruned
    assert "15 small files compacted into 1" in planned.stdout
    # The two files of the last load have a column more.
    assert (len(copied.files("shop__events")), len(copied.files("shop__plain"))) == (3, 1)
    assert told(copied) == before
    assert loads_of(copied, "events").ids_to_stage() == ids
    assert {table.status for table in copied.run().tables} == {"unchanged"}
    assert dbt(copied, "build", "--full-refresh").returncode == 0
    assert told(copied) == before
    again = copied.command("trace", "shop.events", "2")
    assert _without_files(again.stdout) == _without_files(traced.stdout) != ""
    assert "nothing to remove" in copied.command("prune").stdout
    shutil.rmtree(copied.root / "data/.dlt")
    source.execute("update events set word = 'later', at = clock_timestamp() where id = 1")
    assert copied.run().exit_code == 0
    assert copied.query("select word from staging.stg_shop__events where id = 1") == [("later",)]
    later = told(copied)
    assert copied.command("rebuild").returncode == 0
    assert told(copied) == later


@pytest.mark.faults
def test_a_build_of_some_loads_reads_no_rows_of_others(copied: Lake) -> None:
    loads = loads_of(copied, "events").loads()
    moment = loads[4].load_id
    output = copied.root / "then.duckdb"

    def stood() -> list[tuple[object, ...]]:
        ended = copied.command("rebuild", "--as-of", moment, "--output", str(output))
        assert ended.returncode == 0, ended
        shutil.copy(output, copied.project.warehouse)
        return copied.query(VALUES.format("staging.stg_shop__events"))

    before = stood()
    assert copied.command("prune").returncode == 0
    assert stood() == before
    assert {row[-1] for row in before} <= {load.load_id for load in loads[:5]}


def test_a_row_is_erased_from_a_file_of_several_loads(copied: Lake) -> None:
    assert copied.command("prune").returncode == 0
    others = [row for row in copied.raw("shop__events") if row[0] != 15]

    ended = copied.command("prune", "--erase", "shop.events", "15")

    assert ended.returncode == 0, ended
    assert "2 versions in 2 loads (2 files)" in ended.stdout
    assert files_with(copied, f"{CANARY} 5") == []
    assert copied.raw("shop__events") == others
    counted = {
        load.load_id: load.rows + load.deleted for load in loads_of(copied, "events").loads()
    }
    held = copied.raw("shop__events", "_dlt_load_id")
    assert counted == {load_id: held.count((load_id,)) for load_id in counted}
    assert {table.status for table in copied.run().tables} <= {"unchanged", "loaded"}


def test_a_file_of_several_loads_is_removed_once_all_are_superseded(copied: Lake) -> None:
    assert copied.command("prune").returncode == 0
    assert copied.run("shop.plain", full_refresh=True).exit_code == 0

    pruned = copied.command("prune")

    assert "10 loads superseded, 10 rows" in pruned.stdout
    assert [".compact-" in path.name for path in copied.files("shop__plain")] == [False]


def test_small_files_with_equal_columns_are_merged_if_there_are_enough() -> None:
    names = [f"f{number}" for number in range(30)]
    sizes = {**dict.fromkeys(names, SMALL - 1), "f9": SMALL}
    columns = {
        name: {"id": "INTEGER", **({"note": "VARCHAR"} if int(name[1:]) > 20 else {})}
        for name in names
        if name != "f9"
    }

    groups = groups_of(names, sizes, columns)

    most = LARGEST // (SMALL - 1)
    assert most == FEWEST
    alike = [name for name in names[:21] if name != "f9"]
    assert groups == [tuple(alike[:8]), tuple(alike[8:16]), tuple(names[21:29])]


def _without_files(text: str) -> str:
    return "\n".join(line.rsplit("load_date=", 1)[0] for line in text.splitlines())
