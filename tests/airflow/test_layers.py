"""Building staging and marts separately gives the same as one build, published at the end."""

from __future__ import annotations

import duckdb
import pytest

from lakefeed.errors import Refused
from lakefeed.orchestration.build.build import build_changed
from lakefeed.orchestration.build.build_plan import BuildPlan, plan_build
from lakefeed.orchestration.build.publish import publish
from lakefeed.orchestration.reports.run_report import RunReport
from tests.conftest import Database, Lake

pytestmark = pytest.mark.builds

TABLES = "a: {cursor: at}\nb: {cursor: at}\nc: {cursor: at}"
MODELS = {
    "models/marts/of_a.sql": "select id from {{ ref('stg_shop__a') }}",
    "models/marts/of_b.sql": "select id from {{ ref('stg_shop__b') }}",
    "models/marts/of_a_and_b.sql": (
        "select id from {{ ref('stg_shop__a') }} join {{ ref('stg_shop__b') }} using (id)"
    ),
    "models/marts/of_nothing.sql": "select 1 as id",
    "tests/a_alone.sql": "select 1 from {{ ref('stg_shop__a') }} where id < 0",
    "tests/a_with_b.sql": (
        "select 1 from {{ ref('stg_shop__a') }} join {{ ref('stg_shop__b') }} using (id) where id<0"
    ),
    "tests/a_with_c.sql": (
        "select 1 from {{ ref('stg_shop__a') }} join {{ ref('stg_shop__c') }} using (id) where id<0"
    ),
    "tests/a_with_of_b.sql": (
        "select 1 from {{ ref('stg_shop__a') }} join {{ ref('of_b') }} using (id) where id < 0"
    ),
}


@pytest.fixture
def loaded(database: Database, lake: Lake) -> Lake:
    """Three tables with a row each in raw, marts and tests over them, and no warehouse."""
    for table in "abc":
        database.execute(
            f"create table {table} (id int primary key, at timestamptz default now())",
            f"insert into {table} values (1)",
        )
    for name, sql in MODELS.items():
        path = lake.root / "dbt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sql)
    lake.declare(TABLES).load()
    return lake


def nodes(report: RunReport) -> list[str]:
    assert report.build is not None, report.build_error
    return sorted(node.name for node in report.build.nodes if node.status != "skipped")


def in_two(lake: Lake, plan: BuildPlan) -> tuple[RunReport, RunReport]:
    staging = build_changed(lake.project, plan, RunReport(()), "staging")
    assert staging.build is not None, staging.build_error
    plan = plan.without_broken(staging.build)
    below = build_changed(lake.project, plan, RunReport(()), "below staging")
    publish(lake.project, plan.build, RunReport(()))
    return staging, below


@pytest.mark.at_night
def test_two_builds_run_each_model_and_test_of_one_build_once(loaded: Lake) -> None:
    loaded.run()
    for changed, held_back, whole in (("ab", "c", True), ("a", "", False), ("ab", "c", False)):
        plan = BuildPlan(
            tuple(f"shop__{name}" for name in changed),
            tuple(f"shop__{name}" for name in held_back),
            whole,
        )
        at_once = nodes(build_changed(loaded.project, plan, RunReport(())))

        staging, below = in_two(loaded, plan)

        assert sorted(nodes(staging) + nodes(below)) == at_once
        assert [name for name in nodes(staging) if name.startswith("of_")] == []
        assert [name for name in nodes(below) if name.startswith("stg_")] == []


def test_a_first_build_in_two_parts_is_complete(loaded: Lake) -> None:
    plan = plan_build(loaded.project, [], [])
    assert plan is not None

    in_two(loaded, plan)

    assert loaded.query("select count(*) from marts.of_nothing") == [(1,)]
    assert loaded.query("select count(*) from marts.of_a_and_b") == [(1,)]
    assert plan_build(loaded.project, [], []) is None


@pytest.mark.parametrize(
    ("failing", "built"), [("a_alone", ["of_b"]), ("a_with_b", ["of_a", "of_b"])]
)
def test_a_failed_staging_test_holds_back_the_downstream_models(
    loaded: Lake, failing: str, built: list[str]
) -> None:
    loaded.run()
    test = loaded.root / f"dbt/tests/{failing}.sql"
    test.write_text(test.read_text().replace("id < 0", "id > 0").replace("id<0", "id>0"))
    plan = BuildPlan(("shop__a", "shop__b"), (), False)
    at_once = build_changed(loaded.project, plan, RunReport(()))

    staging, below = in_two(loaded, plan)

    assert staging.build is not None
    assert [node.name for node in staging.build.failures] == [failing]
    assert [name for name in nodes(below) if name.startswith("of_")] == built
    assert [name for name in nodes(at_once) if name.startswith("of_")] == built
    assert (staging.kept, below.kept.keys()) == ({}, at_once.kept.keys())
    due = plan_build(loaded.project, [], [])
    assert due is not None
    assert {*due.changed, *due.due} >= {"shop__a", "of_a", "of_a_and_b"}


def test_the_next_run_makes_up_for_one_that_dies_between_the_two(
    loaded: Lake, database: Database
) -> None:
    loaded.run()
    database.execute("insert into a values (2)")
    loaded.load()
    plan = plan_build(loaded.project, [], [])
    assert plan is not None

    build_changed(loaded.project, plan, RunReport(()), "staging")

    assert loaded.query("select count(*) from staging.stg_shop__a") == [(1,)]
    assert plan_build(loaded.project, [], []) == plan
    assert loaded.run().exit_code == 0
    assert loaded.query("select count(*) from marts.of_a") == [(2,)]


def test_a_build_that_another_run_superseded_is_never_published(
    loaded: Lake, database: Database
) -> None:
    loaded.run()
    database.execute("insert into a values (2)")
    loaded.load()
    plan = plan_build(loaded.project, [], [])
    assert plan is not None
    staging = build_changed(loaded.project, plan, RunReport(()), "staging")
    assert staging.build is not None
    database.execute("insert into a values (3)")

    loaded.run()

    with pytest.raises(Refused, match="another run has started to build"):
        build_changed(loaded.project, plan, RunReport(()), "below staging")
    with pytest.raises(Refused, match="another run has started to build"):
        publish(loaded.project, plan.build, RunReport(()))
    assert loaded.query("select id from marts.of_a order by id") == [(1,), (2,), (3,)]


def test_staging_alone_is_not_published(loaded: Lake) -> None:
    plan = plan_build(loaded.project, [], [])
    assert plan is not None
    build_changed(loaded.project, plan, RunReport(()), "staging")

    with pytest.raises(Refused, match="not the models downstream"):
        publish(loaded.project, plan.build, RunReport(()))

    assert not loaded.project.warehouse.exists()


def test_a_warehouse_that_dbt_build_has_changed_meanwhile_is_not_overwritten(loaded: Lake) -> None:
    loaded.run()
    plan = BuildPlan(("shop__a",), (), False)
    build_changed(loaded.project, plan, RunReport(()))
    with duckdb.connect(str(loaded.project.warehouse)) as warehouse:
        warehouse.execute("create table marts.by_hand as select 1 as id")

    with pytest.raises(Refused, match=r"another program changed warehouse\.duckdb"):
        publish(loaded.project, plan.build, RunReport(()))

    assert loaded.query("select id from marts.by_hand") == [(1,)]
