"""A build of a DuckLake that dies at any point: readers see one version, the next run goes on."""

from __future__ import annotations

import pytest

from lakefeed.transformation.targets.ducklake import lake_of, opened
from tests.conftest import DUCKLAKE, Database, Lake, new_lake
from tests.faults.die_at import die

LAKE = "lakefeed.transformation.warehouse.ducklake.warehouse_lake"
CANDIDATE = "lakefeed.transformation.warehouse.ducklake.lake_candidate"
DEATHS = [
    (f"{LAKE}:write_mark", "after"),
    (f"{LAKE}:bring_back", "after"),
    ("dbt.adapters.duckdb.connections:DuckDBConnectionManager.execute", "after 10"),
    ("dbt.adapters.duckdb.connections:DuckDBConnectionManager.execute", "after 20"),
    (f"{CANDIDATE}:run_dbt", "after"),
    (f"{CANDIDATE}:write_state", "after"),
    (f"{CANDIDATE}:write_state", "after 2"),
    (f"{CANDIDATE}:pin", "after"),
    (f"{CANDIDATE}:record_versions", "after"),
    (f"{CANDIDATE}:commit_publication", "before"),
    (f"{CANDIDATE}:commit_publication", "after"),
]

pytestmark = pytest.mark.engines


@pytest.fixture
def changed(
    catalogue: Database, database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Lake:
    """A lake after one run, with later changes in the source."""
    assert catalogue.name
    lake = Lake(new_lake(tmp_path_factory.mktemp("lake")).root, DUCKLAKE)
    database.execute(
        "create table t (id int primary key, note text, at timestamptz default clock_timestamp())",
        "insert into t select g, 'first' from generate_series(1, 100) as g",
    )
    (lake.root / "dbt/models/marts/of_t.sql").write_text(
        "select id, note from {{ ref('stg_shop__t') }}"
    )
    assert lake.declare("t: {cursor: at, history: true}").run().exit_code == 0
    database.execute(
        "update t set note = 'second', at = clock_timestamp() where id <= 10",
        "insert into t select g, 'second' from generate_series(101, 105) as g",
    )
    return lake


def as_readers_see_it(lake: Lake) -> list[list[tuple[object, ...]]]:
    views = ("stg_shop__t", "of_t", "hst_shop__t")
    with opened(lake_of(lake.project)) as reader:
        return [
            reader.execute(f"select id, note from public.{view} order by all").fetchall()
            for view in views
        ]


@pytest.mark.parametrize(("target", "moment"), DEATHS)
def test_the_next_run_completes_a_killed_build(
    database: Database, changed: Lake, target: str, moment: str
) -> None:
    yesterday = as_readers_see_it(changed)
    die(changed, target, moment)
    left = as_readers_see_it(changed)

    report = changed.run()

    assert report.exit_code == 0, report
    rows = database.rows("select id, note from t order by id")
    staged, of_t, versions = as_readers_see_it(changed)
    assert staged == of_t == changed.query("select id, note from marts.of_t order by id") == rows
    assert len(versions) == 115
    assert left in (yesterday, [staged, of_t, versions])
    assert changed.run().build is None
