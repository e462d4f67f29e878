"""The DAG of Airflow against Spark: each task on a machine of its own, a real one for a builder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lakefeed.orchestration.reports.run_history import read_runs
from tests.airflow.conftest import airflow_of, migrated_home
from tests.airflow.test_workers_apart import BUILDS, LOADS, MART, change, run, spread
from tests.conftest import Database, Lake

__all__ = ["migrated_home"]

pytestmark = [pytest.mark.spark, pytest.mark.at_night, pytest.mark.timeout(900)]

Rows = Callable[[str], list[tuple[Any, ...]]]


def test_every_task_runs_on_a_machine_of_its_own_and_the_marts_equal_the_source(
    database: Database,
    lake: Lake,
    spark: Rows,
    migrated_home: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    database.execute(
        "create table t (id int primary key, note text, at timestamptz default now())",
        "insert into t values (1, 'one')",
    )
    (lake.root / "dbt/models/marts/notes.sql").write_text(MART)
    airflow = airflow_of(lake.declare("t: {cursor: at}"), migrated_home, tmp_path_factory)
    workers = spread(lake, LOADS + BUILDS, tmp_path_factory.mktemp("workers"))

    run(airflow, workers)

    assert spark("select * from public.notes") == database.rows("select id, note from t")
    change(database, {"": lake, **workers})

    run(airflow, workers)

    wanted = database.rows("select id, note, word from t order by id")
    assert spark("select * from public.notes order by id") == wanted
    assert [r.exit_code for r in read_runs(workers["report"].root / "data")] == [0, 0]
