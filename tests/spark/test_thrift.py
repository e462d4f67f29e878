"""Builds through a Thrift server, as EMR and Dataproc have it, keep the promises of Spark Connect.

`make nightly-spark` runs more of the tests in this folder so, by LAKEFEED_SPARK_BY_THRIFT.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from lakefeed.demo.spark.cluster import THRIFT
from lakefeed.loading.object_store.filesystem import open_raw
from tests.conftest import Database, Lake
from tests.spark.conftest import Running
from tests.spark.test_dbt import DECLARED, EVERY_TYPE, LATER, differences

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

Rows = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def running(spark_cluster_server: Running) -> Running:
    """The cluster with a Thrift server, in place of the Connect server of other tests."""
    spark_cluster_server.cluster.serve(THRIFT)
    return spark_cluster_server


def test_loads_are_built_and_published_with_every_type_as_on_duckdb(
    database: Database, lake: Lake, catalog: str, spark: Rows
) -> None:
    database.execute(*EVERY_TYPE)
    first = lake.declare(DECLARED).run()
    assert first.exit_code == 0, first
    database.execute(
        "alter table t alter price type numeric(12, 4), alter whole type bigint, drop fleeting",
        *LATER,
    )
    second = lake.run()
    assert second.exit_code == 0, second

    assert differences(lake, catalog) == {}
    assert spark("select count(*), max(price) from public.stg_shop__t") == [(5, Decimal("7.1250"))]
    assert lake.run().build is None, "nothing is left to build"


def test_a_load_of_which_a_file_is_lost_stops_its_model_with_the_rows_that_were_read(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table t (id int primary key, at timestamptz default now())",
        "insert into t select * from generate_series(1, 3)",
    )
    assert lake.declare("t: {cursor: at}").load().exit_code == 0
    database.execute("insert into t select * from generate_series(4, 5)")
    assert lake.load().exit_code == 0
    files, _ = open_raw(lake.project.raw)
    # What is in the file is known from its copy on this machine.
    files.rm_file(str(lake.files("shop__t")[-1]))

    ended = lake.command("build")

    assert ended.returncode == 1, ended
    assert "isn't whole (rows in its manifest: 2, rows read: 0)" in ended.stdout + ended.stderr
