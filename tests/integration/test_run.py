"""`lakefeed run`: when dbt runs, on which models, and which are held back."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from dbt.contracts.graph.manifest import Manifest

from lakefeed.errors import BuildFailed
from lakefeed.orchestration.build.build import build_all
from lakefeed.orchestration.checks.check import check
from lakefeed.orchestration.project.sync import sync
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import Database, Lake

pytestmark = pytest.mark.on_ducklake(at_night=True)

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


def test_without_new_rows_dbt_is_not_started(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED).run()

    assert lake.run().build is None


def test_a_build_writes_the_manifest_of_dbt_once(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED)
    written = []
    write = Manifest.write

    def noting(manifest: Manifest, path: str) -> None:
        written.append(path)
        write(manifest, path)

    monkeypatch.setattr(Manifest, "write", noting)

    lake.run()

    assert len(written) == 1


@pytest.mark.on_ducklake
def test_only_changed_models_and_their_descendants_are_built(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO)
    mart(lake, "of_a", "select * from {{ ref('stg_shop__a') }}")
    mart(lake, "of_b", "select * from {{ ref('stg_shop__b') }}")
    assert built(lake.declare(DECLARED)) == ["of_a", "of_b", "stg_shop__a", "stg_shop__b"]
    database.execute("insert into b values (2)")

    assert built(lake) == ["of_b", "stg_shop__b"]


@pytest.mark.on_ducklake
def test_a_failed_table_holds_back_only_its_descendants_until_it_loads_again(
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


def test_the_next_run_makes_up_for_a_failed_build(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    mart(lake, "broken", "select nothing from {{ ref('stg_shop__a') }}")
    report = lake.declare(DECLARED).run()
    assert report.exit_code == 1
    mart(lake, "broken", "select id from {{ ref('stg_shop__a') }}")

    assert "broken" in built(lake)


def test_the_next_run_builds_loads_made_without_dbt(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED).run()
    database.execute("insert into a values (2)")
    lake.load()

    assert built(lake) == ["stg_shop__a"]


def test_a_new_table_is_staged_by_the_next_run_even_without_rows(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO, "create table c (id int primary key)")
    lake.declare(DECLARED).run()

    assert built(lake.declare(f"{DECLARED}\nc: {{mode: full_refresh}}")) == ["stg_shop__c"]
    assert lake.query("select count(*) from staging.stg_shop__c") == [(0,)]


def test_a_removed_table_keeps_its_raw_files_and_loses_its_model(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED).run()
    lake.declare("a: {cursor: at}").run()

    assert not (lake.root / "dbt/models/staging/shop/stg_shop__b.sql").exists()
    assert len(lake.files("shop__b")) == 1


def test_a_second_source_only_needs_to_be_declared(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare("a: {cursor: at}").run()
    yaml = (lake.root / "sources.yaml").read_text()
    other = "  other:\n    connection: ${LAKEFEED_TEST_URL}\n    tables: {b: {cursor: at}}\n"
    (lake.root / "sources.yaml").write_text(yaml.replace("sources:\n", f"sources:\n{other}"))

    assert built(lake) == ["stg_other__b"]


def test_check_fails_if_generated_models_are_out_of_date_and_sync_fixes_it(
    database: Database, lake: Lake
) -> None:
    database.execute(*TWO)
    sync(lake.declare(DECLARED).project)
    assert check(lake.project).errors == ()
    model = lake.root / "dbt/models/staging/shop/stg_shop__a.sql"
    model.write_text(model.read_text() + "-- touched\n")

    stale = check(lake.project)
    with pytest.raises(BuildFailed, match=r"out of date with sources\.yaml"):
        build_all(lake.project)
    sync(lake.project)

    assert stale.exit_code == 2
    assert "stg_shop__a.sql" in str(stale.errors[0])
    assert check(lake.project).errors == ()


def test_a_second_sync_changes_nothing(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    sync(lake.declare(DECLARED).project)

    assert sync(lake.project).files == ()


@pytest.mark.on_file
def test_reports_a_warehouse_that_another_program_has_open(database: Database, lake: Lake) -> None:
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


def test_the_json_report_matches_the_printed_table(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED)

    ended = lake.command("run", "--json")

    report = json.loads(ended.stdout)
    assert report["exit_code"] == ended.returncode == 0
    assert [(t["name"], t["rows_written"], t["status"]) for t in report["tables"]] == [
        ("shop.a", 1, "loaded"),
        ("shop.b", 1, "loaded"),
    ]
    assert report["staged"]["shop__a"] == {"rows": 1, "changed": 1}


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


def test_two_builds_never_run_at_the_same_time(database: Database, lake: Lake) -> None:
    database.execute(*TWO)
    lake.declare(DECLARED).load()
    finished = threading.Event()
    with warehouse_of(lake.project).lock():
        other = threading.Thread(target=lambda: (lake.process("build"), finished.set()))
        other.start()
        assert not finished.wait(4)
    other.join()

    assert lake.query("select count(*) from staging.stg_shop__a") == [(1,)]
