"""`lakefeed run`: when dbt is started, on what, and what is held back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import duckdb
import pytest

from lakefeed.errors import BuildFailed
from lakefeed.orchestration.build.build import build_all
from lakefeed.orchestration.checks.check import check
from lakefeed.orchestration.project.sync import sync
from lakefeed.transformation.warehouse.connection import warehouse_lock
from tests.conftest import Database, Lake

TWO = (
    "create table a (id int primary key, at timestamptz not null default now())",
    "create table b (id int primary key, at timestamptz not null default now())",
    "insert into a values (1)",
    "insert into b values (1)",
)
DECLARED = "a: {cursor: at}\nb: {cursor: at}"


def mart(lake: Lake, name: str, sql: str) -> None:
    """A mart of the user's own."""
    folder = lake.root / "dbt/models/marts"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.sql").write_text(sql)


def built(lake: Lake, **options: object) -> list[str]:
    """Names of the models that a run built."""
    report = lake.run(**options)
    assert report.exit_code == 0, report
    return (
        sorted(node.name for node in report.build.nodes if node.kind == "model")
        if (report.build)
        else []
    )


def test_nothing_new_means_no_dbt(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED).run()

    assert lake.run().build is None


def test_only_models_below_what_changed_are_built(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    mart(lake, "of_a", "select * from {{ ref('stg_shop__a') }}")
    mart(lake, "of_b", "select * from {{ ref('stg_shop__b') }}")
    assert built(lake.declare(DECLARED)) == ["of_a", "of_b", "stg_shop__a", "stg_shop__b"]
    database.execute("insert into b values (2)")

    assert built(lake) == ["of_b", "stg_shop__b"]


def test_a_failed_table_holds_back_only_the_models_below_it_until_it_is_mended(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO)
    mart(lake, "of_both", "select * from {{ ref('stg_shop__a') }} join {{ ref('stg_shop__b') }} "
         "using (id)")  # fmt: skip
    lake.declare(DECLARED).run()
    database.execute("insert into a values (2)", "alter table b rename column at to hidden")

    broken = lake.run()
    still_broken = lake.run()
    database.execute("alter table b rename column hidden to at", "insert into b values (2)")

    assert broken.exit_code == 1
    assert broken.build is not None
    assert [node.name for node in broken.build.nodes if node.kind == "model"] == ["stg_shop__a"]
    assert broken.held_back == ("shop__b",)
    assert still_broken.build is None
    assert built(lake) == ["of_both", "stg_shop__b"]
    assert lake.query("select id from marts.of_both order by id") == [(1,), (2,)]


def test_a_build_that_failed_is_made_up_for_by_the_next_run(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    mart(lake, "broken", "select nothing from {{ ref('stg_shop__a') }}")
    report = lake.declare(DECLARED).run()
    assert report.exit_code == 1
    mart(lake, "broken", "select id from {{ ref('stg_shop__a') }}")

    assert "broken" in built(lake)


def test_loads_made_without_dbt_are_built_by_the_next_run(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED).run()
    database.execute("insert into a values (2)")
    lake.load()

    assert built(lake) == ["stg_shop__a"]


def test_a_table_added_to_the_yaml_is_there_after_the_next_run_even_without_rows(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO, "create table c (id int primary key)")
    lake.declare(DECLARED).run()

    assert built(lake.declare(f"{DECLARED}\nc: {{mode: full_refresh}}")) == ["stg_shop__c"]
    assert lake.query("select count(*) from staging.stg_shop__c") == [(0,)]


def test_a_table_taken_out_of_the_yaml_keeps_its_raw_and_loses_its_model(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED).run()
    lake.declare("a: {cursor: at}").run()

    assert not (lake.root / "dbt/models/staging/shop/stg_shop__b.sql").exists()
    assert len(lake.files("shop__b")) == 1


def test_a_second_source_needs_nothing_but_its_declaration(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare("a: {cursor: at}").run()
    yaml = (lake.root / "sources.yaml").read_text()
    (lake.root / "sources.yaml").write_text(
        yaml + "  other:\n    connection: ${LAKEFEED_TEST_URL}\n    tables: {b: {cursor: at}}\n"
    )

    assert built(lake) == ["stg_other__b"]


def test_check_fails_when_generated_models_are_stale_and_sync_mends_it(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO)
    sync(lake.declare(DECLARED).project)
    assert check(lake.project).errors == ()
    model = lake.root / "dbt/models/staging/shop/stg_shop__a.sql"
    model.write_text(model.read_text() + "-- touched\n")

    stale = check(lake.project)
    with pytest.raises(BuildFailed, match=r"don't fit sources\.yaml"):
        build_all(lake.project)
    sync(lake.project)

    assert stale.exit_code == 2
    assert "stg_shop__a.sql" in str(stale.errors[0])
    assert check(lake.project).errors == ()


def test_sync_again_changes_no_byte(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    sync(lake.declare(DECLARED).project)

    assert sync(lake.project).files == ()


def test_a_warehouse_that_another_program_holds_is_named(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED).run()
    database.execute("insert into a values (2)")
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(lake.project.warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()

    ended = lake.command("run")
    holder.communicate(b"\n")

    assert ended.returncode == 1
    assert "the warehouse can't be opened" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert built(lake) == ["stg_shop__a"]


def test_the_json_report_says_what_the_table_says(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED)

    ended = lake.command("run", "--json")

    told = json.loads(ended.stdout)
    assert told["exit_code"] == ended.returncode == 0
    assert [(t["name"], t["rows_written"], t["status"]) for t in told["tables"]] == [
        ("shop.a", 1, "loaded"),
        ("shop.b", 1, "loaded"),
    ]
    assert told["staged"]["shop__a"] == {"rows": 1, "changed": 1}


def test_tables_are_selected_by_name_pattern_and_tag(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare("a: {cursor: at, tags: [core]}\nb: {cursor: at}")

    by_tag = lake.load("tag:core")
    by_name = lake.load("shop.b")
    by_pattern = lake.load("shop.*")

    assert [[t.name for t in r.tables] for r in (by_tag, by_name, by_pattern)] == [
        ["shop.a"],
        ["shop.b"],
        ["shop.a", "shop.b"],
    ]


def test_two_builds_do_not_meet_in_the_warehouse(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED).load()
    finished = threading.Event()
    with warehouse_lock(lake.project):
        other = threading.Thread(target=lambda: (lake.process("build"), finished.set()))
        other.start()
        assert not finished.wait(4)
    other.join()

    with duckdb.connect(str(lake.project.warehouse)) as warehouse:
        assert warehouse.sql("select count(*) from staging.stg_shop__a").fetchone() == (1,)
