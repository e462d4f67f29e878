"""A real Spark cluster, which lives as long as the tests, and whose processes they may kill."""

from __future__ import annotations

import gc
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lakefeed.demo.spark.cluster import CONNECT, THRIFT, Cluster, spark_cluster
from lakefeed.demo.spark.distribution import (
    Spark,
    check_java,
    find_spark,
    jar_cache,
    spark_home,
)
from lakefeed.demo.spark.relay import over_tcp
from lakefeed.demo.spark.settings import CATALOGUE, Place
from lakefeed.demo.store import ObjectStore
from lakefeed.errors import LakefeedError
from lakefeed.orchestration.project.scaffold import write_scaffold
from lakefeed.transformation.targets.spark_session import close_sessions, open_session
from tests.conftest import BUCKET, Database, Lake, new_database

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

REPOSITORY = Path(__file__).parents[2]
_CATALOGUES = 100
# A catalogue that is as Iceberg has it by default.
CACHED = "cached"
# Whether projects build through a Thrift server (make nightly-spark).
BY_THRIFT = bool(os.environ.get("LAKEFEED_SPARK_BY_THRIFT"))
IN_CI = bool(os.environ.get("CI"))


@dataclass(frozen=True)
class Running:
    """A cluster that runs, the database of its catalogues, and where its tables and raw are."""

    cluster: Cluster
    store: ObjectStore
    database: Database
    catalogue: str = CATALOGUE
    warehouse: str = f"s3://{BUCKET}/warehouse"
    raw_url: str = f"s3://{BUCKET}/raw"
    unused: Iterator[int] = field(default_factory=lambda: iter(range(_CATALOGUES)))

    @property
    def remote(self) -> str:
        return self.cluster.remote


@dataclass(frozen=True)
class Session:
    """A session of a client of its own, in a namespace of its test's own."""

    spark: SparkSession
    namespace: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, in which `ns` is the namespace."""
        # A finalizer in the midst of a call of gRPC's may call it too, and both wait (SPARK-55020).
        gc.disable()
        try:
            return [tuple(row) for row in self.spark.sql(self.named(sql)).collect()]
        finally:
            gc.enable()

    def value(self, sql: str) -> Any:
        """The only value of the only row."""
        ((value,),) = self.rows(sql)
        return value

    def named(self, sql: str) -> str:
        return sql.replace("ns.", f"{self.namespace}.")

    def snapshot(self, table: str) -> int:
        """The current snapshot of a table."""
        return int(self.value(f"select snapshot_id from {table}.refs where name = 'main'"))


@pytest.fixture(scope="session")
def spark_here() -> Spark:
    """The Spark of this machine.

    Without Java, or jars that were never downloaded where Maven can't be reached, the tests are
    skipped. CI fails where it lacks what `make` installs for them.
    """
    try:
        check_java()
    except LakefeedError as error:
        pytest.skip(str(error))
    try:
        if find_spec("pyspark") is None:
            raise LakefeedError("the thin client isn't installed", do="run make test-spark")
        spark_home(REPOSITORY)
    except LakefeedError as error:
        (pytest.fail if IN_CI else pytest.skip)(str(error))
    try:
        return find_spark(REPOSITORY, jar_cache())
    except LakefeedError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def spark_cluster_server(
    spark_here: Spark,
    server_url: str,
    store_server: ObjectStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    """The cluster; its catalogue is in the tests' PostgreSQL, and its tables in their store."""
    database = new_database(server_url)
    # Each session has connections of its own to each catalogue, which outlive it.
    database.execute(f"alter database {database.name} set idle_session_timeout = '20s'")
    with over_tcp(database.url) as url:
        place = Place(
            catalogue=url,
            warehouse=Running.warehouse,
            store=store_server,
            catalogues=(CATALOGUE, CACHED, *(f"lake{number}" for number in range(_CATALOGUES))),
        )
        folder, cached = tmp_path_factory.mktemp("spark"), f"spark.sql.catalog.{CACHED}"
        settings = {f"{cached}.cache-enabled": "true"}
        with spark_cluster(spark_here, place, folder, settings) as cluster:
            yield Running(cluster, store_server, database)
            # Those of processes that tests killed are lost; this one's would be asked for in vain.
            close_sessions()


@pytest.fixture
def running(spark_cluster_server: Running) -> Running:
    """The cluster with all its processes, whatever the tests before have killed."""
    spark_cluster_server.cluster.serve(THRIFT if BY_THRIFT else CONNECT)
    return spark_cluster_server


@pytest.fixture
def catalog(running: Running) -> str:
    """The name of an empty catalogue: a warehouse has fixed schemas, so each needs its own."""
    return f"lake{next(running.unused)}"


@pytest.fixture
def spark(running: Running, catalog: str) -> Callable[[str], list[tuple[Any, ...]]]:
    """Runs statements in the catalog that the project builds in."""
    return lambda sql: open_session(running.remote, catalog).rows(sql)


@pytest.fixture
def warehouse(running: Running, catalog: str) -> str:
    """What sources.yaml declares as the warehouse."""
    return declared_warehouse(running, catalog)


@pytest.fixture
def lake(
    running: Running, store: ObjectStore, database: Database, catalog: str, tmp_path: Path
) -> Lake:
    """A project on Spark, with its raw layer where executors read it."""
    return lake_on(running, catalog, tmp_path)


def lake_on(running: Running, catalog: str, folder: Path) -> Lake:
    """A new project that builds in this catalogue, in a folder of this one."""
    root = folder / "on_spark"
    root.mkdir()
    write_scaffold(root)
    raw_url = f"{running.raw_url}/{uuid.uuid4().hex}"
    return Lake(root, warehouse=declared_warehouse(running, catalog), raw_url=raw_url)


def declared_warehouse(running: Running, catalog: str) -> str:
    """What sources.yaml declares as the warehouse."""
    return f"{{type: spark, remote: '{running.remote}', catalog: {catalog}}}"


@pytest.fixture
def session(running: Running) -> Iterator[Session]:
    """A session of this test's own."""
    # What a statement fails with is raised, and is none of the tests' output besides.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    with connected(running, f"t{uuid.uuid4().hex[:12]}") as session:
        session.rows(f"create namespace {session.namespace}")
        yield session


@contextmanager
def connected(running: Running, namespace: str) -> Iterator[Session]:
    """A new session, as a new process would have it."""
    from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator
    from pyspark.sql.connect.client.retries import DefaultPolicy
    from pyspark.sql.connect.session import SparkSession

    spark = SparkSession.builder.remote(running.remote).create()
    # By default a client asks a lost server for ten minutes, and at its process's end again.
    spark.client.set_retry_policies([DefaultPolicy(max_retries=5, max_backoff=2_000)])
    try:
        yield Session(spark, namespace)
    finally:
        # A session that is released before its statements are is told of as an error of the server.
        ExecutePlanResponseReattachableIterator.shutdown()
        spark.stop()
