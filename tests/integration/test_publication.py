"""Publication: the warehouse file is replaced whole, after its tests, and can be rolled back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lakefeed.errors import BuildFailed, Refused
from lakefeed.orchestration.build.build import build_all, build_model
from lakefeed.orchestration.build.rollback import resume, roll_back
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.transformation.warehouse.declared import warehouse_of
from lakefeed.transformation.warehouse.duckdb_file.publication import kept_versions
from tests.conftest import Database, Lake
from tests.integration.test_staging import dbt

pytestmark = pytest.mark.builds

DECLARED = "a: {cursor: at}\nb: {cursor: at}"
MODELS = {
    "models/marts/of_a.sql": "select id, word from {{ ref('stg_shop__a') }}",
    "models/marts/of_b.sql": "select id, word from {{ ref('stg_shop__b') }}",
    "models/marts/below_of_a.sql": "select id from {{ ref('of_a') }}",
    "tests/words_of_a.sql": "select 1 from {{ ref('of_a') }} where length(word) > 5",
}
READER = """
import duckdb, sys
reader = duckdb.connect(sys.argv[1], read_only=True)
for line in sys.stdin:
    print(reader.execute("select count(*) from marts.of_a").fetchall()[0][0], flush=True)
"""


@pytest.fixture
def published(database: Database, lake: Lake) -> Lake:
    """Two tables with a row each, and three marts, published once."""
    for table in "ab":
        database.execute(
            f"create table {table} (id int primary key, word text, at timestamptz default now())",
            f"insert into {table} values (1, 'one')",
        )
    write(lake, MODELS)
    assert lake.declare(DECLARED).run().exit_code == 0
    return lake


def write(lake: Lake, files: dict[str, str]) -> None:
    """Files of the user's own, below dbt/."""
    for name, sql in files.items():
        path = lake.root / "dbt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sql)


def words(lake: Lake, relation: str) -> list[tuple[object, ...]]:
    return lake.query(f"select id, word from {relation} order by id")


def file_of(lake: Lake) -> object:
    """What changes where the warehouse is written or replaced."""
    if lake.warehouse:
        return warehouse_of(lake.project).current()
    found = lake.project.warehouse.stat()
    return found.st_ino, found.st_mtime_ns


def held(lake: Lake) -> dict[object, object]:
    """Each model that is held back, with the reason, as dashboards see it."""
    return dict(
        lake.query("select model, held_back_because from _lakefeed.models where is_held_back")
    )


def versions(lake: Lake) -> list[Path]:
    return sorted((lake.root / "data/published").glob("*/warehouse.duckdb"))


def test_readers_keep_their_version_while_a_run_builds_and_publishes(
    database: Database, published: Lake
) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(published.project.warehouse)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write("\n")
    reader.stdin.flush()
    assert reader.stdout.readline() == "1\n"
    database.execute("insert into a values (2, 'two')")

    report = published.run()

    told, _ = reader.communicate("\n")
    assert report.exit_code == 0, report
    assert report.published_at is not None
    assert told == "1\n"
    assert words(published, "marts.of_a") == [(1, "one"), (2, "two")]
    assert not list((published.root / "data/candidate").iterdir())
    assert not list((published.root / "data").glob("*.wal"))


@pytest.mark.on_ducklake
def test_without_new_rows_nothing_is_copied_or_published(published: Lake) -> None:
    before = file_of(published)

    report = published.run()

    assert (report.build, report.published_at) == (None, None)
    assert file_of(published) == before
    assert not versions(published)


@pytest.mark.on_ducklake
def test_descendants_of_a_failed_test_are_held_back_and_the_rest_is_published(
    database: Database, published: Lake
) -> None:
    database.execute("insert into a values (2, 'too long')", "insert into b values (2, 'two')")

    failed = published.run()
    seen, before = {m: words(published, f"marts.{m}") for m in ("of_a", "of_b")}, file_of(published)
    told = held(published)
    again = published.run()
    after = file_of(published)
    write(published, {"tests/words_of_a.sql": "select 1 from {{ ref('of_a') }} where id < 0"})
    mended = published.run()

    assert failed.exit_code == 1
    assert failed.kept == dict.fromkeys(("below_of_a", "of_a"), "test words_of_a failed")
    assert seen == {"of_a": [(1, "one")], "of_b": [(1, "one"), (2, "two")]}
    assert told == failed.kept
    assert words(published, "staging.stg_shop__a") == [(1, "one"), (2, "too long")]
    # Failing again changes nothing that readers see, so it displaces no earlier version.
    assert (again.exit_code, again.published_at, after) == (1, None, before)
    assert mended.exit_code == 0
    assert mended.build is not None
    assert [n.name for n in mended.build.nodes if n.kind == "model"] == ["of_a", "below_of_a"]
    assert words(published, "marts.of_a") == [(1, "one"), (2, "too long")]
    assert held(published) == {}


@pytest.mark.on_ducklake
def test_staging_that_fails_its_test_is_restored_and_its_loads_are_staged_again(
    database: Database, lake: Lake
) -> None:
    """An incremental fact over it gets the rows as if nothing had happened."""
    database.execute(
        "create table a (id int primary key, word text, at timestamptz default now())",
        "create table b (id int primary key, word text, at timestamptz default now())",
        "insert into a values (1, 'one')",
        "insert into b values (1, 'one')",
    )
    write(lake, {
        "models/marts/fact.sql": (
            "{{ config(materialized='incremental', unique_key='id') }}"
            " select a.id, a.word, b.word as other,"
            " greatest(a._staged_batch, b._staged_batch) as _staged_batch"
            " from {{ ref('stg_shop__a') }} as a join {{ ref('stg_shop__b') }} as b using (id)"
            " where {{ lakefeed.staged_since_last_build(['a._staged_batch', 'b._staged_batch']) }}"
        ),
        "tests/short.sql": "select 1 from {{ ref('stg_shop__a') }} where length(word) > 5",
    })  # fmt: skip
    lake.declare(DECLARED).run()
    database.execute(
        "insert into a values (2, 'too long')",
        "update b set word = 'uno', at = now() where id = 1",
        "insert into b values (2, 'two')",
    )

    failed = lake.run()
    staged, fact = words(lake, "staging.stg_shop__a"), words(lake, "marts.fact")
    others = words(lake, "staging.stg_shop__b")
    database.execute("update a set word = 'short', at = now() where id = 2")
    mended = lake.run()

    assert failed.kept == dict.fromkeys(("fact", "stg_shop__a"), "test short failed")
    assert (staged, fact, others) == ([(1, "one")], [(1, "one")], [(1, "uno"), (2, "two")])
    assert mended.exit_code == 0, mended
    assert words(lake, "staging.stg_shop__a") == [(1, "one"), (2, "short")]
    found = lake.query("select id, word, other from marts.fact order by id")
    assert found == [(1, "one", "uno"), (2, "short", "two")]
    assert lake.run().build is None


@pytest.mark.on_ducklake
def test_a_seed_that_fails_its_test_keeps_its_last_version(published: Lake) -> None:
    write(published, {
        "seeds/zones.csv": "zone\nnorth\n",
        "tests/no_south.sql": "select 1 from {{ ref('zones') }} where zone = 'south'",
        "models/marts/of_zones.sql": "select zone from {{ ref('zones') }}",
    })  # fmt: skip
    assert build_all(published.project).exit_code == 0
    write(published, {"seeds/zones.csv": "zone\nnorth\nsouth\n"})

    failed = build_all(published.project)
    seen = [published.query(f"select zone from {name}") for name in ("zones", "marts.of_zones")]
    write(published, {"seeds/zones.csv": "zone\nnorth\nwest\n"})
    mended = published.run()

    assert failed.kept == dict.fromkeys(("of_zones", "zones"), "test no_south failed")
    assert seen == [[("north",)], [("north",)]]
    assert mended.exit_code == 0, mended
    assert published.query("select zone from marts.of_zones order by 1") == [
        ("north",),
        ("west",),
    ]


@pytest.mark.on_ducklake
def test_reports_why_a_single_model_is_held_back(database: Database, published: Lake) -> None:
    database.execute("insert into a values (2, 'too long')")
    published.run()

    with pytest.raises(
        BuildFailed, match="held back at its last published version: test words_of_a"
    ):
        build_model(published.project, "below_of_a")

    assert build_model(published.project, "of_b").failures == []


@pytest.mark.on_ducklake
def test_a_new_model_that_fails_is_left_out_until_it_is_fixed(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table a (id int primary key, word text, at timestamptz default now())",
        "insert into a values (1, 'too long')",
    )
    write(lake, {
        "models/marts/well.sql": "select id from {{ ref('stg_shop__a') }}",
        "models/marts/view_of_a.sql": (
            "{{ config(materialized='view') }} select id, word from {{ ref('stg_shop__a') }}"
        ),
        "models/marts/broken.sql": "select nothing from {{ ref('stg_shop__a') }}",
        "tests/short.sql": "select 1 from {{ ref('view_of_a') }} where length(word) > 5",
    })  # fmt: skip

    failed = lake.declare("a: {cursor: at}").run()
    tables = "select table_name from information_schema.tables where table_schema = 'marts'"
    there = lake.query(tables)
    write(lake, {"models/marts/broken.sql": "select id from {{ ref('stg_shop__a') }}"})
    half_mended = lake.run()
    database.execute("update a set word = 'short', at = now()")

    assert failed.kept == {"broken": "its build failed", "view_of_a": "test short failed"}
    assert there == [("well",)]
    assert half_mended.kept == {"view_of_a": "test short failed"}
    assert lake.run().exit_code == 0
    assert words(lake, "marts.view_of_a") == [(1, "short")]


@pytest.mark.on_ducklake(at_night=True)
def test_a_first_build_in_which_everything_fails_publishes_nothing(
    database: Database, lake: Lake
) -> None:
    database.execute("create table a (id int primary key)", "insert into a values (1)")
    write(lake, {"tests/none.sql": "select 1 from {{ ref('stg_shop__a') }}"})

    ended = lake.declare("a: {mode: full_refresh}").command("run")

    assert ended.returncode == 1
    assert (
        "held back at the last published version, because test none failed: stg_shop__a"
        in ended.stdout
    )
    assert "nothing was published" in ended.stdout
    assert not warehouse_of(lake.project).exists()


@pytest.mark.on_ducklake(at_night=True)
def test_the_warehouse_records_through_when_it_is_complete_and_what_is_held_back(
    database: Database, published: Lake
) -> None:
    (first,) = published.query(
        "select complete_through from _lakefeed.tables where loads = 1 limit 1"
    )
    database.execute("insert into a values (2, 'two')", "alter table b rename column at to hidden")
    before = database.rows("select clock_timestamp()")[0][0]

    published.run()

    tables = published.query(
        "select table_name, loads, row_count, complete_through > $$" + str(before) + "$$,"
        " published_at = (select published_at from _lakefeed.publication), sees_deletes"
        " from _lakefeed.tables order by all"
    )
    assert tables == [("shop.a", 2, 2, True, True, False), ("shop.b", 1, 1, False, False, False)]
    assert (
        "column `at`"
        in json.loads(published.command("status", "--json").stdout)[1]["last_failure"]["error"]
    )
    models = published.query(
        "select model, complete_through = (select complete_through from _lakefeed.tables as t"
        " where t.lake_name = 'shop__' || right(model, 1)), is_held_back from _lakefeed.models"
        " order by model"
    )
    assert models == [
        ("below_of_a", True, False), ("of_a", True, False), ("of_b", True, False),
        ("stg_shop__a", True, False), ("stg_shop__b", True, False),
    ]  # fmt: skip
    assert first


@pytest.mark.on_ducklake(at_night=True)
def test_a_probe_without_new_rows_counts_as_complete_and_a_backfill_does_not(
    database: Database, published: Lake
) -> None:
    through = "select complete_through from _lakefeed.tables where lake_name = 'shop__b'"
    (first,) = published.query(through)
    database.execute("insert into a values (2, 'two')")
    published.run()
    (looked_at,) = published.query(through)
    database.execute("update b set word = 'silently'")
    published.run("shop.b", since="2020-01-01")

    assert words(published, "staging.stg_shop__b") == [(1, "silently")]
    assert published.query(through) == [looked_at]
    assert looked_at > first


@pytest.mark.on_ducklake(at_night=True)
def test_manual_dbt_and_runs_share_one_parse(database: Database, published: Lake) -> None:
    """The path of the candidate isn't in the profile: another path has dbt parse all anew."""
    log = published.root / "dbt/logs/dbt.log"
    log.unlink()
    for word in ("two", "three"):
        database.execute(f"update a set word = '{word}', at = clock_timestamp()")
        assert published.run().exit_code == 0
        assert dbt(published, "build").returncode == 0

    assert "Found 5 models" in log.read_text()
    assert "Unable to do partial parsing" not in log.read_text()


@pytest.mark.on_ducklake(at_night=True)
def test_a_hand_written_profile_is_built_beside_the_published_file_too(
    database: Database, published: Lake
) -> None:
    profile = published.root / "dbt/profiles.yml"
    profile.write_text(profile.read_text().split("\n", 1)[1].replace("threads: 1", "threads: 2"))
    database.execute("insert into a values (2, 'too long')")

    report = published.run()

    assert report.kept.keys() == {"of_a", "below_of_a"}
    assert "threads: 2" in profile.read_text()
    assert words(published, "marts.of_a") == [(1, "one")]


def change(database: Database, lake: Lake, word: str) -> RunReport:
    database.execute(f"update a set word = '{word}', at = clock_timestamp()")
    report = lake.run()
    assert report.exit_code == 0, report
    return report


def test_as_many_earlier_versions_are_kept_as_declared(database: Database, published: Lake) -> None:
    yaml = published.root / "sources.yaml"
    yaml.write_text(yaml.read_text() + "warehouse: {keep: 1}\n")
    change(database, published, "two")
    change(database, published, "three")

    (kept,) = kept_versions(published.project)
    assert published.query(
        f"attach '{kept.path}' as before (read_only); select word from before.marts.of_a"
    ) == [("two",)]
    yaml.write_text(yaml.read_text().replace("keep: 1", "keep: 0"))
    change(database, published, "four")
    assert versions(published) == []


@pytest.mark.on_ducklake(at_night=True)
def test_rollback_returns_to_the_previous_version_until_building_is_resumed(
    database: Database, published: Lake
) -> None:
    for word in ("two", "three", "four"):
        change(database, published, word)

    first = published.command("rollback")
    after_first = words(published, "marts.of_a")
    roll_back(published.project)
    after_second = words(published, "marts.of_a")
    database.execute("update a set word = 'five', at = clock_timestamp()")
    held_run = published.run()
    refused = published.command("build")

    assert first.returncode == 0, first
    assert "restored the version of 20" in first.stdout
    assert (after_first, after_second) == ([(1, "three")], [(1, "two")])
    assert (held_run.exit_code, held_run.build, held_run.tables[0].status) == (0, None, "loaded")
    assert "is rolled back to the version of" in held_run.warnings[-1]
    assert refused.returncode == 1
    assert "lakefeed rollback --resume" in refused.stderr
    assert words(published, "marts.of_a") == [(1, "two")]

    assert "the next run builds" in published.command("rollback", "--resume").stdout
    assert published.run().exit_code == 0
    assert words(published, "marts.of_a") == [(1, "five")]
    # A rollback never returns to a version that was rolled back.
    roll_back(published.project)
    assert words(published, "marts.of_a") == [(1, "two")]
    roll_back(published.project)
    assert words(published, "marts.of_a") == [(1, "one")]
    with pytest.raises(Refused, match="no earlier version"):
        roll_back(published.project)
    resume(published.project)
    assert published.run().exit_code == 0
    assert words(published, "marts.of_a") == [(1, "five")]


@pytest.mark.on_ducklake(at_night=True)
def test_rollback_without_an_earlier_version_is_refused(published: Lake) -> None:
    ended = published.command("rollback")

    assert ended.returncode == 1
    assert "no earlier version of the warehouse is kept" in ended.stderr
    assert words(published, "marts.of_a") == [(1, "one")]
    assert published.run().warnings == ()


@pytest.mark.on_ducklake(at_night=True)
def test_a_rollback_restores_the_held_back_state_of_that_version(
    database: Database, published: Lake
) -> None:
    """The file itself records which models are held back."""
    database.execute("insert into a values (2, 'too long')")
    published.run()
    write(published, {"tests/words_of_a.sql": "select 1 from {{ ref('of_a') }} where id < 0"})
    published.run()
    assert held(published) == {}

    roll_back(published.project)
    resume(published.project)

    assert held(published).keys() == {"of_a", "below_of_a"}
    assert published.run().exit_code == 0
    assert words(published, "marts.of_a") == [(1, "one"), (2, "too long")]


def test_the_log_of_a_killed_dbt_is_merged_into_the_warehouse_first(
    database: Database, published: Lake
) -> None:
    """Otherwise DuckDB would apply its log to whatever file is there by then."""
    killed = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        " c.execute('create table marts.by_hand as select 7 as id'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", killed, str(published.project.warehouse)], check=False)
    assert list((published.root / "data").glob("*.wal"))

    change(database, published, "two")

    assert not list((published.root / "data").glob("*.wal"))
    assert published.query("select id from marts.by_hand") == [(7,)]
    assert words(published, "marts.of_a") == [(1, "two")]


@pytest.mark.on_ducklake(at_night=True)
def test_a_history_that_was_made_anew_and_held_back_is_made_anew_again(
    database: Database, lake: Lake
) -> None:
    """What the ledger has of the failed build is put back with the rows."""
    database.execute(
        "create table a (id int primary key, word text, extra text, at timestamptz default now())",
        "insert into a values (1, 'one', 'x')",
    )
    lake.declare("a: {cursor: at, history: true}").run()
    write(lake, {"tests/bad.sql": "select 1 from {{ ref('hst_shop__a') }} where word = 'bad'"})
    database.execute("insert into a values (2, 'bad', 'y')")
    lake.declare("a: {cursor: at, history: true, columns: {exclude: [extra]}}")
    assert lake.run().exit_code != 0
    assert "extra" in columns_of(lake)

    (lake.root / "dbt/tests/bad.sql").unlink()
    assert lake.run().exit_code == 0

    assert "extra" not in columns_of(lake), "as in a history that is made from nothing"


def columns_of(lake: Lake) -> list[object]:
    return [row[0] for row in lake.query("describe history.hst_shop__a")]
