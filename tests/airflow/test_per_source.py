"""`load: per_source` in a real run: one task per source, and `docs` at the end."""

from __future__ import annotations

import pytest

from tests.airflow.conftest import AirflowOf
from tests.airflow.test_graph import with_airflow
from tests.conftest import Database, Lake

TABLES = "a: {cursor: at, freshness: {error_after: 1d}}\nb: {cursor: at}"


@pytest.mark.faults
def test_a_failed_table_leaves_the_other_tables_of_its_task_loaded_and_staged(
    database: Database, lake: Lake, airflow: AirflowOf
) -> None:
    for table in "ab":
        database.execute(
            f"create table {table} (id int primary key, at timestamptz default now())",
            f"insert into {table} values (1)",
        )
    with_airflow(lake.declare(TABLES), "load: per_source, retries: 0, docs: true")
    first = airflow.run()
    assert first.returncode == 0, first.stdout + first.stderr
    database.execute("insert into a values (2)", "drop table b")

    second = airflow.run()

    assert second.returncode == 1
    assert "failed: shop" in second.stdout + second.stderr
    assert "newest load" in first.stdout
    # The site includes the failed run.
    site = (lake.root / "data" / "docs" / "index.html").read_text()
    assert site.count("airflow</td>") == 2
    assert lake.query("select id from staging.stg_shop__a order by id") == [(1,), (2,)]
    assert lake.query("select id from staging.stg_shop__b") == [(1,)]
