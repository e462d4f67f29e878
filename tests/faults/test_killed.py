"""Runs killed at any instruction and run again lose and duplicate no rows."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import CONNECTION_VARIABLE, NIGHTLY, Database, Lake, new_lake_at, only
from tests.faults.die_at import die
from tests.integration.secret import assert_unseen
from tests.integration.test_big_tables import BIG

FILESYSTEM = "dlt.destinations.impl.filesystem.filesystem"
LOADING = [
    ("lakefeed.loading.extract.parquet_copy:_into", "before"),
    ("lakefeed.loading.extract.reader:copy_from_source", "after"),
    ("lakefeed.loading.extract.extract_table:_note", "before"),
    ("lakefeed.loading.extract.extract_table:_note", "after"),
    ("dlt:Pipeline.extract", "after"),
    ("dlt:Pipeline.normalize", "after 2"),
    ("lakefeed.loading.raw.commit_log:CommitLog.describe", "before"),
    ("lakefeed.loading.raw.commit_log:CommitLog.describe", "after"),
    (f"{FILESYSTEM}:FilesystemLoadJob.run", "before"),
    (f"{FILESYSTEM}:FilesystemLoadJob.run", "after"),
    (f"{FILESYSTEM}:FilesystemClient._store_load", "before"),
    (f"{FILESYSTEM}:FilesystemClient._store_load", "after"),
    ("dlt:Pipeline.load", "after 2"),
    ("lakefeed.orchestration.ingest.load:adopt", "before"),
]
BUILDING = [
    ("lakefeed.transformation.warehouse.duckdb_file.warehouse_file:start_candidate", "before"),
    ("lakefeed.transformation.warehouse.duckdb_file.candidate:shutil.copyfile", "after"),
    ("lakefeed.transformation.warehouse.duckdb_file.warehouse_file:start_candidate", "after"),
    ("dbt.adapters.duckdb.connections:DuckDBConnectionManager.execute", "after 5"),
    ("dbt.adapters.duckdb.connections:DuckDBConnectionManager.execute", "after 16"),
    ("dbt.adapters.duckdb.connections:DuckDBConnectionManager.execute", "after 23"),
    ("lakefeed.transformation.warehouse.duckdb_file.warehouse_file:run_dbt", "after"),
    ("lakefeed.orchestration.build.build:finalize_candidate", "after"),
    ("lakefeed.transformation.warehouse.duckdb_file.publication:keep", "after"),
    ("lakefeed.transformation.warehouse.duckdb_file.publication:put_in_place", "before"),
    ("lakefeed.transformation.warehouse.duckdb_file.publication:put_in_place", "after"),
    ("lakefeed.transformation.warehouse.duckdb_file.warehouse_file:discard_candidate", "before"),
]
# Twenty-seven in this build: the 16th is the script of the first staging model.
EVERY_QUERY = [
    pytest.param(
        "dbt.adapters.duckdb.connections:DuckDBConnectionManager.execute",
        f"after {number}",
        marks=pytest.mark.nightly,
    )
    for number in range(1, 28 if NIGHTLY else 1)
]


@pytest.fixture(scope="module")
def shared(place: str, source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake after one run, with later changes in the source."""
    lake = new_lake_at(place, tmp_path_factory.mktemp("shared"))
    source.execute(
        "create table t (id int primary key, note text, at timestamptz default clock_timestamp())",
        "create table u (id int primary key, note text)",
        "insert into t select g, 'first' from generate_series(1, 100) as g",
        "insert into u select g, 'first' from generate_series(1, 100) as g",
    )
    (lake.root / "dbt/models/marts/both.sql").write_text(
        "select t.id, t.note, u.note as other from {{ ref('stg_shop__t') }} as t"
        " join {{ ref('stg_shop__u') }} as u using (id)"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        assert lake.declare("t: {cursor: at}\nu: {mode: full_refresh}").run().exit_code == 0
    source.execute(
        "update t set note = 'second', at = clock_timestamp() where id <= 10",
        "insert into t select g, 'second' from generate_series(101, 105) as g",
        "delete from u where id between 50 and 55",
        "insert into u select g, 'second' from generate_series(101, 105) as g",
    )
    return lake


def assert_equal_to_source(database: Database, lake: Lake) -> None:
    """Staging, marts and the number of versions in raw equal those of an uninterrupted run."""
    t = database.rows("select id, note from t order by id")
    u = database.rows("select id, note from u order by id")
    both = database.rows("select t.id, t.note, u.note from t join u using (id) order by id")
    assert lake.query("select id, note from staging.stg_shop__t order by id") == t
    assert lake.query("select id, note from staging.stg_shop__u order by id") == u
    assert lake.query("select id, note, other from marts.both order by id") == both


def published(lake: Lake) -> list[list[tuple[object, ...]]]:
    """All rows of the warehouse as readers see it."""
    return [
        lake.query("select id, note from staging.stg_shop__t order by id"),
        lake.query("select id, note from staging.stg_shop__u order by id"),
        lake.query("select id, note, other from marts.both order by id"),
    ]


@pytest.mark.on_store
@pytest.mark.faults
@pytest.mark.parametrize(("target", "moment"), LOADING)
def test_the_next_run_completes_a_killed_load(
    source: Database, copied: Lake, target: str, moment: str
) -> None:
    die(copied, target, moment)

    assert_completed(source, copied)


@pytest.mark.at_night
@pytest.mark.on_store(at_night=True)
@pytest.mark.faults
@pytest.mark.parametrize(("target", "moment"), LOADING)
def test_so_it_does_if_the_working_directory_is_lost(
    source: Database, copied: Lake, target: str, moment: str
) -> None:
    die(copied, target, moment)
    shutil.rmtree(copied.root / "data" / ".dlt")

    assert_completed(source, copied)


def assert_completed(source: Database, copied: Lake) -> None:
    report = copied.run()

    assert report.exit_code == 0, report.failures
    assert_equal_to_source(source, copied)
    assert len(copied.raw("shop__t")) == 115
    assert copied.run().build is None


@pytest.mark.on_store
@pytest.mark.faults
@pytest.mark.parametrize("working_directory", ["kept", "lost"])
def test_a_read_killed_between_two_ranges_starts_over_and_says_so(
    database: Database, lake: Lake, working_directory: str
) -> None:
    database.execute(*BIG)
    lake.declare("big: {cursor: updated_at}")
    die(lake, "lakefeed.loading.extract.parquet_copy:_copy_next", "after")
    if working_directory == "lost":
        shutil.rmtree(lake.root / "data" / ".dlt")

    loaded = only(lake.load())

    assert lake.raw("shop__big", "count(*), count(distinct id)") == [(90_000, 90_000)]
    note = "an earlier read of it was interrupted, so it starts over"
    assert loaded.notes == ((note,) if working_directory == "kept" else ())
    assert not list((lake.root / "data" / ".dlt").rglob("*.parquet"))


@pytest.mark.faults
@pytest.mark.parametrize(("target", "moment"), [*BUILDING, *EVERY_QUERY])
def test_the_next_run_completes_a_killed_build(
    source: Database, copied: Lake, target: str, moment: str
) -> None:
    yesterday = published(copied)
    die(copied, target, moment)
    left = published(copied)

    report = copied.run()

    assert report.exit_code == 0, report
    assert_equal_to_source(source, copied)
    assert left in (yesterday, published(copied))
    assert copied.run().build is None


@pytest.mark.faults
def test_a_handwritten_model_is_built_again_after_a_killed_build(
    source: Database, copied: Lake
) -> None:
    """Such a model has no ledger of the loads that it contains."""
    (copied.root / "dbt/models/staging/shop/stg_shop__t.sql").write_text(
        "{{ config(materialized='table') }}"
        " select id, note from read_parquet('../data/raw/shop__t/t/*/*.parquet')"
        ' qualify row_number() over (partition by id order by "at" desc) = 1'
    )
    die(copied, "lakefeed.transformation.warehouse.duckdb_file.warehouse_file:run_dbt", "after")

    report = copied.run()

    assert report.exit_code == 0, report
    assert_equal_to_source(source, copied)
    assert copied.run().build is None


@pytest.mark.faults
def test_the_next_run_completes_a_first_run_killed_during_its_build(
    database: Database, lake: Lake
) -> None:
    database.execute("create table t (id int primary key)", "create table u (id int primary key)")
    lake.declare("t: {mode: full_refresh}\nu: {mode: full_refresh}")
    die(lake, "dbt.adapters.duckdb.connections:DuckDBConnectionManager.execute", "after 5")

    assert lake.run().exit_code == 0

    assert lake.query("select count(*) from staging.stg_shop__t") == [(0,)]
    assert lake.query("select count(*) from staging.stg_shop__u") == [(0,)]


@pytest.mark.faults
@pytest.mark.parametrize(("target", "moment"), [*LOADING, BUILDING[0]])
def test_a_killed_run_leaves_no_password_in_files(
    secured: Database, lake: Lake, target: str, moment: str
) -> None:
    secured.execute(
        "create table t (id int primary key, at timestamptz default now())",
        "create table u (id int primary key)",
        "insert into t values (1)",
        "insert into u values (1)",
    )
    lake.declare("t: {cursor: at}\nu: {mode: full_refresh}")

    output = die(lake, target, moment)

    assert len([path for path in lake.root.rglob("*") if path.is_file()]) > 10
    assert_unseen(lake.root, output)
