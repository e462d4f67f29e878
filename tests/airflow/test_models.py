"""`transform: per_model`: one build, and a task per model that takes over its state."""

from __future__ import annotations

import pytest

from tests.airflow.conftest import AirflowOf
from tests.airflow.test_graph import graph, groups, with_airflow
from tests.conftest import Database, Lake

TABLES = "a: {cursor: at}\nb: {cursor: at}"
MODELS = {
    "models/marts/of_a.sql": "select id, word from {{ ref('stg_shop__a') }}",
    "models/marts/of_b.sql": "select id, word from {{ ref('stg_shop__b') }}",
    "models/marts/of_both.sql": "select a.id from {{ ref('of_a') }} as a, {{ ref('of_b') }} as b",
    "tests/words_are_short.sql": "select 1 from {{ ref('of_a') }} where length(word) > 5",
}


@pytest.fixture
def built(database: Database, lake: Lake) -> Lake:
    """Two tables and three marts that were built once, by `lakefeed run`."""
    for table in "ab":
        database.execute(
            f"create table {table} (id int primary key, word text, at timestamptz default now())",
            f"insert into {table} values (1, 'one')",
        )
    for name, sql in MODELS.items():
        path = lake.root / "dbt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sql)
    assert lake.declare(TABLES).run().exit_code == 0
    return with_airflow(lake, "transform: per_model, retries: 0")


def test_each_model_has_a_task_downstream_of_the_build_and_of_what_it_reads(built: Lake) -> None:
    from lakefeed.dag import build_dag

    dag = build_dag(built.root)

    assert graph(dag) == {
        "shop__a": ["build_models", "stg_shop__a"],
        "shop__b": ["build_models", "stg_shop__b"],
        "build_models": ["of_a", "of_b", "of_both", "publish", "stg_shop__a", "stg_shop__b"],
        "publish": ["report"],
        "stg_shop__a": ["of_a", "report"],
        "stg_shop__b": ["of_b", "report"],
        "of_a": ["of_both", "report"],
        "of_b": ["of_both", "report"],
        "of_both": ["report"],
        "report": [],
    }
    assert groups(dag)["raw_to_staging"] == ["stg_shop__a", "stg_shop__b"]
    assert groups(dag)["staging_to_marts"] == ["of_a", "of_b", "of_both"]


def test_the_docs_of_the_dag_and_its_form_have_the_text_of_the_plan(built: Lake) -> None:
    from lakefeed.dag import build_dag

    dag, planned = build_dag(built.root), built.command("plan", "--full-refresh")
    form = dag.params.get_param("tables").schema["description_md"]

    assert "| shop.a | rows from the checkpoint on, by `at` | 3 models, 2 tests |" in form
    (build,) = [line for line in planned.stdout.splitlines() if line.startswith("dbt would")]
    assert build.startswith("dbt would build and test up to 5 models with 3 tests, downstream of")
    assert build in form
    assert "`stg_shop__a`, `of_a`, `stg_shop__b`, `of_b`, `of_both`" in form
    assert form.partition("| table")[2] in dag.doc_md


@pytest.mark.faults
def test_models_without_new_rows_are_skipped(
    built: Lake, airflow: AirflowOf, database: Database
) -> None:
    database.execute("insert into a values (2, 'two')")

    run = airflow.run()

    assert run.returncode == 0, run.stdout + run.stderr
    assert "of_b wasn't built" in run.stdout + run.stderr
    assert "of_a wasn't built" not in run.stdout + run.stderr
    assert built.query("select id from marts.of_a order by id") == [(1,), (2,)]


@pytest.mark.faults
def test_a_failed_test_fails_its_model_and_a_failed_table_holds_back_its_models(
    built: Lake, airflow: AirflowOf, database: Database
) -> None:
    database.execute("insert into a values (2, 'a long word')", "drop table b")

    run = airflow.run()

    assert run.returncode == 1
    assert "failed: shop__b, of_a; held back: stg_shop__b, of_b, of_both" in run.stdout + run.stderr
    assert built.query("select word from marts.of_b") == [("one",)]
