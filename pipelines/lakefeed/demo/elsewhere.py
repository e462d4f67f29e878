"""Places for the demo other than its folder: raw in an object store, the warehouse in Spark."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from rich.console import Console

from lakefeed.declaration.project import Project
from lakefeed.demo.lake import copy_with
from lakefeed.demo.server import create_database
from lakefeed.demo.spark.cluster import spark_cluster
from lakefeed.demo.spark.distribution import find_spark, jar_cache
from lakefeed.demo.spark.relay import over_tcp
from lakefeed.demo.spark.settings import CATALOGUE, Place
from lakefeed.demo.store import ObjectStore, embedded_store
from lakefeed.extras import require
from lakefeed.transformation.generate.generated_files import write_generated
from lakefeed.transformation.targets.spark_session import close_sessions
from lakefeed.transformation.warehouse.declared import warehouse_of

REMOTE_VARIABLE = "LAKEFEED_SPARK_REMOTE"
_BUCKET = "lake"
_RAW = {"raw": f"{{url: s3://{_BUCKET}/raw}}"}
_SPARK = {
    "warehouse": f"{{type: spark, remote: '${{{REMOTE_VARIABLE}}}', catalog: {CATALOGUE}}}",
}

# A project to run the demo in until the block ends, of the project and the URL of its PostgreSQL.
Elsewhere = Callable[[Console, Project, str], AbstractContextManager[Project]]


@contextmanager
def in_store(out: Console, project: Project, server: str) -> Iterator[Project]:
    """A copy of the project with its raw layer in an object store, which runs until the end."""
    assert server
    with _store(project) as store:
        out.print("An object store, SeaweedFS, that speaks S3. sources.yaml says where raw is:\n")
        copy = _copy(out, project, _RAW)
        yield copy
        _print_files(out, store, ["raw"])
        shown = Path(warehouse_of(copy).place).relative_to(project.root)
        out.print(f"warehouse   {shown}   (schemas staging, history and marts)")


@contextmanager
def on_spark(out: Console, project: Project, server: str) -> Iterator[Project]:
    """The same, and with its warehouse in Iceberg tables of a Spark cluster.

    Raises:
        ExtraMissing: the thin client isn't installed.
        LakefeedError: Java or Spark isn't installed, or the cluster doesn't start.
    """
    require("pyspark.sql.connect", "spark", "`lakefeed demo --warehouse spark`")
    spark = find_spark(project.root, jar_cache(), out.print)
    with _store(project) as store, over_tcp(create_database(server, "catalogue")) as url:
        place = Place(catalogue=url, warehouse=f"s3://{_BUCKET}/warehouse", store=store)
        began = time.monotonic()
        with spark_cluster(spark, place, project.data / "spark") as cluster:
            seconds = time.monotonic() - began
            out.print(
                "An object store, SeaweedFS, and a Spark cluster: a master, two workers and a "
                f"Spark Connect server,\nstarted in {seconds:.0f} s. sources.yaml says where raw "
                "and the warehouse are:\n",
                soft_wrap=True,
            )
            os.environ[REMOTE_VARIABLE] = cluster.remote
            copy = _copy(out, project, {**_RAW, **_SPARK})
            try:
                yield copy
                _print_files(out, store, ["raw", "warehouse"])
            finally:
                close_sessions()


@contextmanager
def _store(project: Project) -> Iterator[ObjectStore]:
    with embedded_store(project.data / "store") as store:
        store.create_bucket(_BUCKET)
        os.environ.update(store.environment)
        yield store


def _copy(out: Console, project: Project, settings: Mapping[str, str]) -> Project:
    copy = copy_with(project, project.data / "project", settings)
    for name, value in settings.items():
        out.print(f"  {name}: {value}", highlight=False, markup=False)
    out.print()
    write_generated(copy)
    return copy


def _print_files(out: Console, store: ObjectStore, folders: Sequence[str]) -> None:
    files = store.list_files(_BUCKET)
    out.rule("the object store", align="left")
    for folder in folders:
        sizes = [size for name, size in files.items() if name.startswith(f"{folder}/")]
        out.print(f"{len(sizes)} files in s3://{_BUCKET}/{folder}, {sum(sizes):,} bytes.")
    out.print()
