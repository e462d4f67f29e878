"""The DAG that a declaration gives, without a database, a secret or a run."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.project.sync import sync
from tests.airflow.conftest import AirflowOf
from tests.conftest import DUCKLAKE, Database, Lake, new_lake

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATE = REPOSITORY / "pipelines/lakefeed/orchestration/project/template"

TABLES = "orders: {cursor: updated_at, primary_key: id}\ncountries: {mode: full_refresh}"


def dag_of(lake: Lake) -> Any:
    """The DAG, imported late: Airflow reads its home when it is imported."""
    from lakefeed.dag import build_dag

    return build_dag(lake.root)


def graph(dag: Any) -> dict[str, list[str]]:
    return {name: sorted(task.downstream_task_ids) for name, task in dag.task_dict.items()}


def groups(dag: Any) -> dict[str, list[str]]:
    children = dag.task_group.children.items()
    return {name: list(child.children) for name, child in children if hasattr(child, "children")}


def with_airflow(lake: Lake, settings: str) -> Lake:
    """The same project with this `airflow:` section."""
    yaml = (lake.root / "sources.yaml").read_text()
    (lake.root / "sources.yaml").write_text(f"airflow: {{{settings}}}\n{yaml}")
    return lake


def test_every_table_has_a_task_upstream_of_dbt(lake: Lake) -> None:
    dag = dag_of(lake.declare(TABLES))

    assert graph(dag) == {
        "shop__orders": ["build_staging"],
        "shop__countries": ["build_staging"],
        "build_staging": ["build_marts"],
        "build_marts": ["publish"],
        "publish": ["report"],
        "report": [],
    }
    assert groups(dag) == {
        "extract_postgres_to_raw": ["shop__orders", "shop__countries"],
        "raw_to_staging": ["build_staging"],
        "staging_to_marts": ["build_marts"],
    }


def test_a_paused_table_has_no_task_no_freshness_and_no_choice_in_the_form(lake: Lake) -> None:
    paused = "orders: {cursor: at, enabled: false, tags: [core], freshness: {error_after: 1h}}"

    dag = dag_of(lake.declare(f"{paused}\ncountries: {{mode: full_refresh}}"))

    assert groups(dag)["extract_postgres_to_raw"] == ["shop__countries"]
    assert "freshness" not in dag.task_dict
    assert dag.params.get_param("tables").schema["items"]["enum"] == ["shop.countries"]
    assert "Loads 1 table from `shop`, as declared in `sources.yaml`. Paused: shop.orders." in (
        dag.doc_md
    )


@pytest.mark.parametrize("load", ["per_table", "per_source"])
def test_a_dag_of_paused_tables_alone_still_builds_and_reports(lake: Lake, load: str) -> None:
    lake.declare("orders: {enabled: false}")

    dag = dag_of(with_airflow(lake, f"load: {load}"))

    assert list(dag.task_dict) == ["report", "build_staging", "build_marts", "publish"]


def test_documentation_is_written_after_the_report_which_determines_the_state_of_the_run(
    lake: Lake,
) -> None:
    dag = dag_of(with_airflow(lake.declare(TABLES), "docs: true"))

    assert graph(dag)["report"] == ["docs"]
    assert dag.task_dict["docs"].is_teardown
    assert not dag.task_dict["docs"].on_failure_fail_dagrun


def test_the_demo_has_a_task_for_each_of_its_tables() -> None:
    dag = dag_of(Lake(REPOSITORY))

    assert dag.dag_id == "de_batch_pipeline"
    assert list(dag.task_dict) == [
        "shop__customers",
        "shop__addresses",
        "shop__categories",
        "shop__products",
        "shop__orders",
        "shop__order_lines",
        "shop__payments",
        "shop__stock_movements",
        "shop__countries",
        "report",
        "build_staging",
        "build_marts",
        "publish",
    ]


def test_the_dag_has_the_declared_settings(lake: Lake) -> None:
    with_airflow(
        lake.declare(TABLES),
        "dag_id: nightly, schedule: '0 3 * * *', start_date: 2026-02-03, retries: 5, "
        "owner: data, tags: [a, b]",
    )
    dag = dag_of(lake)
    orders = dag.task_dict["shop__orders"]

    assert (dag.dag_id, dag.tags, dag.catchup, dag.max_active_runs) == (
        *("nightly", {"a", "b"}, False, 1),
    )
    assert dag.start_date == dt.datetime(2026, 2, 3, tzinfo=dt.UTC)
    assert type(dag.timetable).__name__ == "CronDataIntervalTimetable"
    assert (orders.owner, orders.retries, orders.max_active_tis_per_dag) == ("data", 5, 1)
    assert [asset.name for asset in orders.outlets] == ["shop__orders"]
    assert dag.task_dict["build_staging"].retries == 0


def test_without_a_schedule_the_dag_waits_to_be_triggered(lake: Lake) -> None:
    with_airflow(lake.declare(TABLES), "schedule: null")

    assert type(dag_of(lake).timetable).__name__ == "NullTimetable"


def test_tables_that_are_read_by_the_log_share_a_task_of_their_source(lake: Lake) -> None:
    dag = dag_of(lake.declare("t: {cursor: wal}\nu: {cursor: wal}\nv: {mode: full_refresh}"))

    assert {"shop.wal", "shop__v"} <= set(dag.task_ids)
    assert not {"shop__t", "shop__u"} & set(dag.task_ids)


def test_per_source_reads_all_tables_of_a_source_in_one_task(lake: Lake) -> None:
    dag = dag_of(with_airflow(lake.declare(TABLES), "load: per_source"))

    assert groups(dag)["extract_postgres_to_raw"] == ["shop"]
    assert [asset.name for asset in dag.task_dict["shop"].outlets] == [
        *("shop__orders", "shop__countries"),
    ]


def test_freshness_is_checked_where_a_table_declares_it(lake: Lake) -> None:
    fresh = "orders: {cursor: at, freshness: {error_after: 1d}}"

    assert graph(dag_of(lake.declare(fresh)))["shop__orders"] == ["build_staging", "freshness"]
    assert "freshness" not in graph(dag_of(lake.declare("orders: {cursor: at}")))


def test_per_model_has_a_task_per_layer_until_dbt_has_listed_the_models(lake: Lake) -> None:
    dag = dag_of(with_airflow(lake.declare(TABLES), "transform: per_model"))

    assert groups(dag)["raw_to_staging"] == ["build_staging"]


def test_a_load_task_documents_its_table_and_where_it_is_declared(lake: Lake) -> None:
    documented = {
        name: task.doc_md for name, task in dag_of(lake.declare(TABLES)).task_dict.items()
    }

    assert documented["shop__orders"] == (
        "`public.orders` of `shop`: incremental by `updated_at`; primary key `id`; "
        "declared at sources.yaml:6."
    )
    assert documented["shop__countries"] == (
        "`public.countries` of `shop`: full refresh; no primary key; declared at sources.yaml:7."
    )


PLANNED = """\
orders: {cursor: at, lookback: 30m}
payments: {cursor: {column: [at, made], greatest: true}, lookback: 0s, deletes: remove}
events: {cursor: xmin}
countries: {mode: full_refresh}"""


def test_the_docs_of_the_dag_and_its_form_say_what_a_run_reads(lake: Lake) -> None:
    dag = dag_of(lake.declare(PLANNED, head="    max_connections: 4\n"))
    told = """\
| table | reads | declared at |
| --- | --- | --- |
| shop.orders | rows from 30m before the checkpoint on, by `at` | sources.yaml:7 |
| shop.payments | rows from the checkpoint on, by `greatest(at, made)`; all keys, to find deleted \
rows | sources.yaml:8 |
| shop.events | rows written since the last load (`xmin`) | sources.yaml:9 |
| shop.countries | all rows | sources.yaml:10 |

The first load of a table reads all of its rows. For how many rows and bytes the next run would
read, and what needs a decision, ask the database: `lakefeed plan`.

sessions on shop: at most 4 of all runs (`max_connections: 4`)
"""

    assert told in dag.doc_md
    assert told in dag.params.get_param("tables").schema["description_md"]


def test_of_many_tables_the_docs_list_the_first(lake: Lake) -> None:
    dag = dag_of(lake.declare("\n".join(f"t{i}: {{cursor: at}}" for i in range(120))))
    form = dag.params.get_param("tables").schema["description_md"]

    assert dag.doc_md.count("| shop.t") == 100
    assert "and 20 more tables: `lakefeed explain TABLE`" in dag.doc_md
    assert form.count("| shop.t") == 12
    assert "and 108 more tables" in form


@pytest.mark.parametrize(
    ("raw_url", "warehouse", "told"),
    [
        ("", "", "All tasks need the same `data/`"),
        ("s3://bucket/raw", "", "All others must run on the machine that has the warehouse file"),
        ("s3://bucket/raw", DUCKLAKE, "worker that has the folder of the DuckLake, `data/lake`"),
        (
            "s3://bucket/raw",
            DUCKLAKE.replace("data/lake", "'s3://bucket/lake'"),
            "All tasks run on any worker, since",
        ),
    ],
)
def test_the_dag_says_which_tasks_must_stay_on_one_machine(
    lake: Lake, raw_url: str, warehouse: str, told: str
) -> None:
    there = replace(lake, raw_url=raw_url, warehouse=warehouse)

    assert told in dag_of(there.declare(TABLES)).doc_md


def test_a_line_of_yaml_adds_a_task(lake: Lake) -> None:
    before = graph(dag_of(lake.declare(TABLES)))

    after = graph(dag_of(lake.declare(f"{TABLES}\nrefunds: {{cursor: at}}")))

    assert after.keys() - before.keys() == {"shop__refunds"}


def test_a_broken_declaration_names_every_line(lake: Lake) -> None:
    with pytest.raises(DeclarationError) as caught:
        dag_of(lake.declare("orders: {cursr: at}\ncountries: {mode: ful_refresh}"))

    assert [(p.line, p.column) for p in caught.value.problems] == [(6, 16), (7, 25)]


def test_airflow_shows_a_broken_declaration_as_one_import_error(airflow: AirflowOf) -> None:
    airflow.lake.declare("orders: {cursr: at}\ncountries: {mode: ful_refresh}")

    listed = airflow.command("dags", "list-import-errors", "--local", "--output", "json")
    errors = json.loads(listed.stdout[listed.stdout.index("[{") :])

    assert len(errors) == 1
    assert "sources.yaml:6:16: unknown key `cursr`" in errors[0]["error"]
    assert "sources.yaml:7:25: " in errors[0]["error"]


def test_parsing_200_tables_is_quick_needs_no_secret_and_imports_nothing_heavy(
    airflow: AirflowOf, database: Database
) -> None:
    """Except what Airflow itself imports, such as SQLAlchemy.

    A bound for a busy machine; docs/airflow.md says what was measured.
    """
    program = (
        "import sys, time; import airflow.sdk; import runpy\n"
        "from airflow.providers.standard.operators.python import PythonOperator\n"
        "before, start = set(sys.modules), time.perf_counter()\n"
        "dag = runpy.run_path(sys.argv[1])['dag']\n"
        "print(time.perf_counter() - start, len(dag.task_dict))\n"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))\n"
    )
    for number in range(1, 201):
        database.execute(f"create table t{number} (id int primary key, at timestamptz, a text)")
    lake = airflow.lake.declare("\n".join(f"t{number}: {{cursor: at}}" for number in range(1, 201)))
    sync(lake.project)
    file = str(lake.root / "airflow/dags/de_batch_pipeline.py")
    environment = {k: v for k, v in airflow.environment.items() if k != "LAKEFEED_TEST_URL"}
    parsed = subprocess.run(
        [sys.executable, "-c", program, file],
        env=environment, cwd=airflow.home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    timing, modules = parsed.stdout.strip().splitlines()[-2:]

    seconds, tasks = timing.split()
    assert int(tasks) == 204
    assert float(seconds) < 2
    assert not {
        *("dlt", "dbt", "duckdb", "pyarrow", "pandas", "numpy", "psycopg2", "sqlglot", "fsspec"),
    } & set(modules.split())


def test_the_dag_file_is_the_same_in_this_repository_and_in_a_new_project(lake: Lake) -> None:
    ours = (REPOSITORY / "airflow/dags/de_batch_pipeline.py").read_text()

    assert (lake.root / "airflow/dags/de_batch_pipeline.py").read_text() == ours
    assert "airflow" in ours.lower()
    assert "dag" in ours
    assert len(ours.splitlines()) <= 10


def test_no_folder_shadows_the_airflow_or_dbt_package() -> None:
    """A folder with an `__init__.py` would be imported instead."""
    for root in (REPOSITORY, TEMPLATE):
        assert not [*(root / "airflow").rglob("__init__.py"), *(root / "dbt").glob("__init__.py")]


def test_airflow_does_not_render_the_project_folder_as_a_template(tmp_path: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    lake = new_lake(tmp_path / "{{ ds }} {% if %}").declare(TABLES)

    dag = dag_of(lake)

    for task in dag.task_dict.values():
        assert task.render_template(task.op_args, {"ds": "2026-01-01"})[0] == str(lake.root)
    assert DagSerialization.to_dict(dag)
