"""The same builds at growing sizes, by a DuckDB file and by a Spark cluster. Case `scale`.

Both build from one raw layer in an object store, which isn't measured. The cluster and the store
run on this machine, so they compete for its cores; what the cluster uses is told beside.
"""

from __future__ import annotations

import atexit
import json
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import psutil
import psycopg2

from benchmarks.again import must
from benchmarks.lakefeed import VARIABLE, declare
from benchmarks.place import REPOSITORY, Place
from benchmarks.process import Command
from benchmarks.rounds import Checked, Step
from benchmarks.side_by_side import database_of
from benchmarks.source import Source, ensure_database
from benchmarks.tables import ensure_lineitem, lineitem
from lakefeed import __version__
from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.project import open_project
from lakefeed.demo.lake import copy_with
from lakefeed.demo.local_stack import free_port
from lakefeed.demo.shop import CONNECTION_VARIABLE, create_shop, generate_shop
from lakefeed.demo.shop_events import live_a_day
from lakefeed.demo.spark.cluster import CONNECT, Cluster, spark_cluster
from lakefeed.demo.spark.distribution import find_spark, jar_cache
from lakefeed.demo.spark.settings import Place as SparkPlace
from lakefeed.demo.store import ObjectStore, embedded_store

_BUCKET = "lake"
# Of the demo; 1 is 6,500 rows.
_DEMO_SCALES = (1, 10, 100)
_MAIN = "lakefeed.cli.main"
_LIMIT_SECONDS = 900
_CATALOGUES = 40
_PYTHON = REPOSITORY / ".venv-spark" / "bin" / "python"
_FILE, _SPARK = "DuckDB file", "Spark cluster"


@dataclass(frozen=True)
class _Spark:
    """The cluster, its numbered catalogues that nothing is in yet, and the port of its REST API."""

    cluster: Cluster
    unused: Iterator[int]
    port: int

    def cpu(self) -> float:
        """CPU seconds of all its processes so far."""
        below = psutil.Process().children(recursive=True)
        return sum(_cpu_of(one) for one in below if "java" in _name_of(one))

    def shuffled(self) -> int:
        """Bytes that its executors have written for each other so far."""
        base = f"http://127.0.0.1:{self.port}/api/v1/applications"
        (application,) = _json(base)
        executors = _json(f"{base}/{application['id']}/allexecutors")
        return sum(int(one["totalShuffleWrite"]) for one in executors)


@dataclass
class _Raw:
    """A raw layer that both engines build from, and what loads into it."""

    name: str
    variable: str
    source: Source
    store: ObjectStore
    write_project: Callable[[Path, Mapping[str, str]], object]
    url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {**self.store.environment, self.variable: self.source.url}

    def begin(self, folder: Path) -> None:
        """Loads all rows into a raw layer of its own."""
        self.url = f"s3://{_BUCKET}/{uuid.uuid4().hex}"
        self.write(folder, {})
        self.load(folder)

    def write(self, folder: Path, warehouse: Mapping[str, str]) -> None:
        """A project with this raw layer, in an empty folder."""
        self.write_project(folder, {"raw": f"{{url: '{self.url}'}}", **warehouse})
        must(Command([sys.executable, "-m", _MAIN, "sync"], folder, self.environment))

    def load(self, folder: Path) -> None:
        """Loads what has changed."""
        must(Command([sys.executable, "-m", _MAIN, "load"], folder, self.environment))


@dataclass
class _Build:
    """A project that one engine builds, anew or on top of what it has built."""

    raw: _Raw
    place: Place
    spark: _Spark | None
    change: Callable[[], object] | None = None
    _catalogue: str = ""
    _before: tuple[float, int] = field(default=(0.0, 0))

    @property
    def engine(self) -> str:
        return _SPARK if self.spark else _FILE

    @property
    def _root(self) -> Path:
        return self.place.root / "runs" / f"{self.raw.name}-{'spark' if self.spark else 'file'}"

    @property
    def _loader(self) -> Path:
        return self.place.root / "runs" / f"{self.raw.name}-loader"

    def first(self) -> Command:
        """Gives a build of a new project."""
        if self.spark is None:
            self.raw.begin(self.place.fresh(self._loader.name))
        self.place.fresh(self._root.name)
        warehouse = {}
        if self.spark:
            self._catalogue = f"lake{next(self.spark.unused)}"
            remote = self.spark.cluster.remote
            kind = f"type: spark, remote: '{remote}', catalog: {self._catalogue}"
            warehouse = {"warehouse": f"{{{kind}}}"}
        self.raw.write(self._root, warehouse)
        return self._command()

    def later(self) -> Command:
        """Gives a build of what has changed since; the file's comes first, and loads it."""
        if self.spark is None:
            assert self.change is not None
            self.change()
            self.raw.load(self._loader)
        return self._command()

    def _command(self) -> Command:
        if self.spark:
            self._before = self.spark.cpu(), self.spark.shuffled()
        python = _PYTHON if self.spark else sys.executable
        return Command([python, "-m", _MAIN, "build"], self._root, self.raw.environment)

    def used(self) -> Checked:
        """What the warehouse has, and what the cluster used for the build."""
        if self.spark is None:
            file = self._root / "data" / "warehouse.duckdb"
            return Checked(file.stat().st_size, "", "")
        prefix = f"warehouse/{self._catalogue}/"
        files = [
            size
            for name, size in self.raw.store.list_files(_BUCKET).items()
            if name.startswith(prefix)
        ]
        cpu, shuffled = self._before
        told = (
            f"{self.spark.cpu() - cpu:.0f} s of CPU in the cluster, "
            f"{(self.spark.shuffled() - shuffled) / 1e6:,.1f} MB shuffled, {len(files):,} files"
        )
        return Checked(sum(files), "", told)


def scale_case(server: Source, place: Place, scale: float, _only_ours: bool) -> list[Step]:
    """The demo at 1, 10 and 100, and 6 million rows of one table times the scale."""
    stack = ExitStack()
    atexit.register(stack.close)
    store = stack.enter_context(embedded_store(place.fresh("store")))
    store.create_bucket(_BUCKET)
    spark = _start_spark(stack, server, place, store)
    steps = []
    for size in _DEMO_SCALES:
        source = ensure_database(server, f"demo_at_{size}")
        if not source.has("orders"):
            with closing(psycopg2.connect(source.url)) as session:
                create_shop(session, generate_shop(size, 7))
        raw = _Raw(f"demo-{size}", CONNECTION_VARIABLE, source, store, _write_demo)
        steps += _steps(f"the demo at scale {size}", raw, place, spark, partial(_a_day, source))
    big = ensure_database(server, database_of(scale))
    ensure_lineitem(big, place, scale)
    (rows,) = big.row("select count(*) from lineitem")
    raw = _Raw("lineitem", VARIABLE, big, store, _write_lineitem)
    return [*steps, *_steps(f"{rows:,} rows of one table", raw, place, spark, None)]


def _steps(
    what: str, raw: _Raw, place: Place, spark: _Spark, change: Callable[[], object] | None
) -> list[Step]:
    """The steps of both engines: a first build, and one after a change if one is given."""
    builds = [_Build(raw, place, engine, change) for engine in (None, spark)]
    steps = [_step(f"{what}, first build", build, build.first) for build in builds]
    if change:
        steps += [_step(f"{what}, after a day", build, build.later) for build in builds]
    return steps


def _step(group: str, build: _Build, start: Callable[[], Command]) -> Step:
    return Step(
        group,
        build.engine,
        __version__,
        start,
        build.used,
        build.spark is None,
        limit_seconds=_LIMIT_SECONDS,
    )


def _start_spark(stack: ExitStack, server: Source, place: Place, store: ObjectStore) -> _Spark:
    """
    Raises:
        LakefeedError: Java or Spark is missing.
    """
    spark = find_spark(REPOSITORY, jar_cache())
    server.execute(
        "drop database if exists scale_catalogue with (force)", "create database scale_catalogue"
    )
    settings = SparkPlace(
        catalogue=server.named("scale_catalogue").url,
        warehouse=f"s3://{_BUCKET}/warehouse",
        store=store,
        catalogues=tuple(f"lake{number}" for number in range(_CATALOGUES)),
    )
    port = free_port()
    ui = {"spark.ui.enabled": "true", "spark.ui.port": str(port)}
    cluster = stack.enter_context(spark_cluster(spark, settings, place.fresh(CONNECT), ui))
    return _Spark(cluster, count(), port)


def _write_demo(folder: Path, settings: Mapping[str, str]) -> None:
    copy_with(open_project(REPOSITORY), folder, settings)


def _write_lineitem(folder: Path, settings: Mapping[str, str]) -> None:
    declare(folder, [lineitem()])
    with (folder / DECLARATION_FILE).open("a", encoding="utf-8") as declaration:
        declaration.writelines(f"{name}: {value}\n" for name, value in settings.items())


def _a_day(source: Source) -> None:
    with closing(psycopg2.connect(source.url)) as session:
        live_a_day(session, 7)


def _name_of(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def _cpu_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _json(url: str) -> list[dict[str, str]]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        found: list[dict[str, str]] = json.load(answer)
        return found
