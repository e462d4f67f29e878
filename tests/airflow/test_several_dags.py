"""Tables in DAGs of their own, which share raw, warehouse and locks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.build.build_plan import plan_build
from lakefeed.orchestration.checks.offline_check import declaration_errors
from tests.airflow.conftest import AirflowOf
from tests.airflow.test_graph import graph, groups, with_airflow
from tests.conftest import Database, Lake

TABLES = """
a: {cursor: at, tags: [core]}
b: {cursor: at}
c: {cursor: at}
"""
CORE = "dags: {core: {schedule: '*/10 * * * *', select: ['tag:core']}}"
OF_A_AND_B = "select id from {{ ref('stg_shop__a') }} join {{ ref('stg_shop__b') }} using (id)"
# Another DAG's run, between two steps of a build.
MEANWHILE = """
import subprocess, sys
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import TriggerRule


def run_another():
    command = [sys.executable, "-m", "lakefeed.cli.main", "run", "--select", "shop.b"]
    subprocess.run(command, cwd={root!r}, check=True)


dag = dag["core"]
another = PythonOperator(
    task_id="another", python_callable=run_another, dag=dag, trigger_rule=TriggerRule.ALL_DONE
)
dag.get_task({before!r}) >> another >> dag.get_task({after!r})
"""


def dags_of(lake: Lake) -> dict[str, Any]:
    from lakefeed.dag.graph import build_dags

    return build_dags(lake.root)


def tables_of(dag: Any) -> list[str]:
    return groups(dag)["extract_postgres_to_raw"]


@pytest.fixture
def loaded(database: Database, lake: Lake) -> Lake:
    """Three tables with a row each, all published, and a mart of each and of two together."""
    for table in "abc":
        database.execute(
            f"create table {table} (id int primary key, at timestamptz default now())",
            f"insert into {table} values (1)",
        )
    marts = lake.root / "dbt/models/marts"
    for table in "abc":
        query = f"select id from {{{{ ref('stg_shop__{table}') }}}}"
        (marts / f"of_{table}.sql").write_text(query)
    (marts / "of_a_and_b.sql").write_text(OF_A_AND_B)
    assert lake.declare(TABLES).run().exit_code == 0
    for table in "abc":
        database.execute(f"insert into {table} values (2)")
    return lake


def test_a_dag_loads_what_it_selects_and_the_first_one_keeps_the_rest(lake: Lake) -> None:
    dags = dags_of(with_airflow(lake.declare(TABLES), CORE))

    assert {name: tables_of(dag) for name, dag in dags.items()} == {
        "de_batch_pipeline": ["shop__b", "shop__c"],
        "core": ["shop__a"],
    }
    assert type(dags["core"].timetable).__name__ == "CronDataIntervalTimetable"
    assert graph(dags["core"])["shop__a"] == ["build_staging"]


def test_without_a_rest_there_are_only_the_dags_that_select(lake: Lake) -> None:
    dags = dags_of(with_airflow(lake.declare(TABLES), "dags: {all: {select: [shop]}}"))

    assert list(dags) == ["all"]


def test_a_table_can_be_in_two_dags(lake: Lake) -> None:
    both = "dags: {core: {select: ['tag:core']}, most: {select: [shop.a, shop.b]}}"

    dags = dags_of(with_airflow(lake.declare(TABLES), both))

    assert [tables_of(dag) for dag in dags.values()] == [
        *(["shop__c"], ["shop__a"], ["shop__a", "shop__b"]),
    ]


def test_each_trigger_form_offers_the_tables_of_its_dag(lake: Lake) -> None:
    dags = dags_of(with_airflow(lake.declare(TABLES), CORE))

    forms = {name: dag.params.get_param("tables").schema for name, dag in dags.items()}

    assert forms["core"]["examples"] == ["shop.a", "tag:core"]
    assert forms["de_batch_pipeline"]["examples"] == ["shop.b", "shop.c"]


def test_a_dag_that_selects_nothing_is_told_with_its_line(lake: Lake) -> None:
    with_airflow(lake.declare(TABLES), "dags: {core: {select: ['tag:cor']}}")

    told = [str(error) for error in declaration_errors(lake.project)]
    with pytest.raises(DeclarationError) as caught:
        dags_of(lake)

    assert caught.value.problems[0].message.startswith("tag:cor: no such tag; did you mean `core`?")
    assert [line for line in told if "sources.yaml:1:" in line] == [str(caught.value)]


@pytest.mark.builds
def test_a_build_stages_the_tables_of_its_dag_alone(loaded: Lake) -> None:
    loaded.load()

    plan = plan_build(loaded.project, [], [], within={"shop__a"})

    assert plan is not None
    assert plan.changed == ("shop__a",)
    assert plan_build(loaded.project, [], [], within=set()) is None


@pytest.mark.builds
def test_a_build_makes_up_for_failures_below_the_tables_of_its_dag_alone(loaded: Lake) -> None:
    (loaded.root / "dbt/models/marts/of_c.sql").write_text(
        "select error('no') as id from {{ ref('stg_shop__c') }}"
    )
    loaded.run()

    plan = plan_build(loaded.project, [], [], within={"shop__a"})
    of_c = plan_build(loaded.project, [], [], within={"shop__c"})

    assert plan is None
    assert of_c is not None
    assert of_c.due == ("of_c",)


@pytest.mark.builds
def test_a_table_without_a_model_is_staged_by_whichever_dag_builds_first(
    database: Database, loaded: Lake
) -> None:
    database.execute("create table d (id int primary key, at timestamptz)")
    loaded.declare(f"{TABLES}d: {{cursor: at}}")
    loaded.load()

    plan = plan_build(loaded.project, [], [], within={"shop__a"})

    assert plan is not None
    assert plan.changed == ("shop__a", "shop__d")


@pytest.mark.at_night
@pytest.mark.faults
@pytest.mark.parametrize(
    ("dag_id", "changed"), [("core", ["a"]), ("de_batch_pipeline", ["b", "c"])]
)
def test_each_dag_runs_by_its_id_and_builds_what_its_tables_feed(
    loaded: Lake, airflow: AirflowOf, dag_id: str, changed: list[str]
) -> None:
    with_airflow(loaded, CORE)

    done = airflow.command("dags", "test", dag_id)

    assert done.returncode == 0, done.stdout + done.stderr
    for table in "abc":
        expected = [(1,), (2,)] if table in changed else [(1,)]
        assert loaded.query(f"select id from marts.of_{table} order by id") == expected
    assert "model of_a_and_b: success" in done.stdout


@pytest.mark.faults
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("build_staging", "build_marts", marks=pytest.mark.at_night),
        ("build_marts", "publish"),
    ],
)
def test_a_build_that_another_dag_overtakes_is_made_again(
    loaded: Lake, airflow: AirflowOf, before: str, after: str
) -> None:
    with_airflow(loaded, CORE)
    file = loaded.root / "airflow/dags/de_batch_pipeline.py"
    another = MEANWHILE.format(root=str(loaded.root), before=before, after=after)
    file.write_text(file.read_text().replace("build_dag", "build_dags") + another)

    done = airflow.command("dags", "test", "core")

    assert done.returncode == 0, done.stdout + done.stderr
    for mart in ("of_a", "of_b", "of_a_and_b"):
        assert loaded.query(f"select id from marts.{mart} order by id") == [(1,), (2,)]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("events", "expected"), [("rows", 1), pytest.param("loads", 2, marks=pytest.mark.at_night)]
)
def test_an_asset_tells_of_rows_or_of_every_load(
    database: Database, lake: Lake, airflow: AirflowOf, events: str, expected: int
) -> None:
    database.execute(
        "create table a (id int primary key, at timestamptz default now())",
        "insert into a values (1)",
    )
    with_airflow(lake.declare("a: {cursor: at}"), f"asset_events: {events}")

    for _ in range(2):
        done = airflow.run()
        assert done.returncode == 0, done.stdout + done.stderr

    assert len(asset_events(airflow.home)) == expected


def asset_events(home: Path) -> list[tuple[Any, ...]]:
    """The events in Airflow's database."""
    import sqlite3

    with sqlite3.connect(home / "airflow.db") as session:
        return session.execute("select asset_id, extra from asset_event").fetchall()
