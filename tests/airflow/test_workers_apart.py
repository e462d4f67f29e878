"""The DAG on workers that share no folder: each has the project as it is in Git, and no data."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.airflow.conftest import AirflowOf, airflow_of
from tests.conftest import BUCKET, DUCKLAKE, Database, Lake

pytestmark = pytest.mark.engines

MART = "select id, note from {{ ref('stg_shop__t') }}"
LOADS, BUILDS = ("shop__t",), ("build_staging", "build_marts", "publish", "report")


def spread(lake: Lake, tasks: tuple[str, ...], folder: Path) -> dict[str, Lake]:
    """A copy of the project for each of these tasks."""
    return {
        task: replace(
            lake,
            root=shutil.copytree(
                lake.root, folder / task, ignore=shutil.ignore_patterns("data", "target")
            ),
        )
        for task in tasks
    }


def run(airflow: AirflowOf, workers: Mapping[str, Lake]) -> None:
    """One run of the DAG, with each of these tasks in the folder of its worker."""
    places = {task: str(lake.root) for task, lake in workers.items()}
    (airflow.lake.root / "airflow/dags/de_batch_pipeline.py").write_text(
        '"""A DAG of Airflow."""\n\n'
        "from pathlib import Path\n\nfrom lakefeed.dag import build_dag\n\n"
        f"dag = build_dag(Path({str(airflow.lake.root)!r}))\n"
        f"for name, place in {places!r}.items():\n"
        "    task = dag.get_task(name)\n"
        "    task.op_args = [place, *task.op_args[1:]]\n"
    )
    ended = airflow.run()
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture
def shop(database: Database, store_lake: Lake) -> Lake:
    """A project that was never synced, so that only a load knows the columns of its table."""
    database.execute(
        "create table t (id int primary key, note text, at timestamptz default now())",
        "insert into t values (1, 'one')",
    )
    (store_lake.root / "dbt/models/marts/notes.sql").write_text(MART)
    return store_lake


def change(database: Database, lakes: Mapping[str, Lake]) -> None:
    """A column and a row more; the mart reads the new column."""
    database.execute(
        "alter table t add column word text", "insert into t values (2, 'two', now(), 'new')"
    )
    for lake in lakes.values():
        (lake.root / "dbt/models/marts/notes.sql").write_text(MART.replace("note", "note, word"))


def test_tasks_that_load_need_nothing_of_the_machine_that_builds(
    database: Database,
    shop: Lake,
    migrated_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    airflow = airflow_of(shop.declare("t: {cursor: at}"), migrated_home, tmp_path_factory)
    workers = spread(shop, LOADS, tmp_path_factory.mktemp("workers"))
    run(airflow, workers)
    change(database, {"": shop, **workers})

    run(airflow, workers)

    assert shop.query("select * from marts.notes order by id") == [
        (1, "one", None),
        (2, "two", "new"),
    ]
    assert not workers["shop__t"].project.warehouse.exists()


def test_with_a_ducklake_every_task_runs_on_a_machine_of_its_own(
    database: Database,
    catalogue: Database,
    shop: Lake,
    migrated_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = f"s3://{BUCKET}/{catalogue.name}"
    shop = replace(shop, warehouse=DUCKLAKE.replace("data/lake", f"'{folder}'"))
    airflow = airflow_of(shop.declare("t: {cursor: at}"), migrated_home, tmp_path_factory)
    workers = spread(shop, LOADS + BUILDS, tmp_path_factory.mktemp("workers"))
    run(airflow, workers)
    change(database, {"": shop, **workers})

    run(airflow, workers)

    assert shop.query("select * from marts.notes order by id") == [
        (1, "one", None),
        (2, "two", "new"),
    ]
