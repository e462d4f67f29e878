"""`airflow dags test`, twice, on the shop and on Pagila: the lake equals the source."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from lakefeed.demo.shop import CONNECTION_VARIABLE as SHOP_VARIABLE
from lakefeed.demo.shop import create_shop, generate_shop
from tests.airflow.conftest import REPOSITORY, AirflowOf, airflow_of
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, copy_shop_project
from tests.integration import test_pagila as pagila

pytestmark = [pytest.mark.faults, pytest.mark.at_night]

OF_THE_SOURCE = "select sum(quantity * unit_price), count(*) from order_lines"
OF_THE_MARTS = "select sum(line_total), count(*) from marts.fct_order_line"


def succeed_twice(airflow: AirflowOf, **environment: str) -> None:
    """Two runs, the second of which finds nothing new."""
    for turn in range(2):
        run = airflow.run(**environment)
        assert run.returncode == 0, run.stdout + run.stderr
        assert ("dbt was not started" in run.stdout) == bool(turn)


def test_the_shop(
    database: Database, tmp_path: Path, migrated_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    with closing(psycopg2.connect(database.url)) as session:
        create_shop(session, generate_shop(0.2, 7))
    lake = Lake(copy_shop_project(tmp_path / "shop"))
    shutil.copytree(REPOSITORY / "airflow", lake.root / "airflow")

    succeed_twice(
        airflow_of(lake, migrated_home, tmp_path_factory), **{SHOP_VARIABLE: database.url}
    )

    assert lake.query(OF_THE_MARTS) == database.rows(OF_THE_SOURCE)


@pytest.mark.skipif(not pagila.DUMP.exists(), reason=f"no {pagila.DUMP.name}")
def test_pagila(database: Database, lake: Lake, airflow: AirflowOf) -> None:
    pagila.restore(database)
    (lake.root / "sources.yaml").write_text(pagila.DECLARATION.read_text())

    succeed_twice(airflow, **{CONNECTION_VARIABLE: database.url})

    for table in lake.project.tables:
        count = f"select count(*) from {table.qualified}"
        staged = f"select count(*) from staging.stg_{table.lake_name}"
        assert lake.query(staged) == database.rows(count)
