"""The DuckLake that dbt opens: its catalogue in PostgreSQL and the folder of its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.environment.references import for_dbt
from lakefeed.declaration.project import Location, Project
from lakefeed.errors import BuildFailed, ExtraMissing, Refused
from lakefeed.loading.dlt_settings.schemes import duckdb_url, scheme_of
from lakefeed.loading.object_store.duckdb_access import Session, extension_file, give_secret
from lakefeed.source.connections.connection import Connection, catalogue_connection
from lakefeed.sql import literal, quote
from lakefeed.transformation.targets.references import for_profile

# The name of the database in dbt's profile, and so in the SQL of views.
LAKE = "lake"

_EXTENSIONS = ("postgres_scanner", "ducklake")


@dataclass(frozen=True)
class Lake:
    """A DuckLake: how its catalogue is reached, and where its files are."""

    catalogue: Connection
    data: Location

    @property
    def data_url(self) -> str:
        """The folder or URL of its files, as DuckDB takes it."""
        return duckdb_url(self.data)


def lake_of(project: Project) -> Lake:
    """The lake that a project declares; connects to nothing.

    Raises:
        DeclarationError: a variable of `catalog_url` isn't set.
        Refused: its files are in a store that DuckDB can't write to.
    """
    data = data_of(project)
    assert data is not None
    if scheme_of(data) == "gs":
        raise Refused(
            "DuckDB can't write a lake with Google's credentials",
            where="sources.yaml: warehouse.data_url",
            do="make an HMAC key for the bucket and declare it as `s3://…`, with the endpoint "
            "https://storage.googleapis.com (docs/object-store.md)",
        )
    return Lake(catalogue_connection(project), data)


def data_of(project: Project) -> Location | None:
    """Where the files of the declared lake are; None if no lake is declared."""
    url = project.declaration.warehouse.data_url
    if url is None:
        return None
    return Location(url if "://" in url else str(project.root / url), project.root)


def output_of_lake(project: Project) -> dict[str, Any]:
    """The output of dbt's profile for the lake; the URL of its catalogue stays in its variable."""
    declared = project.declaration.warehouse
    url = for_dbt(f"ducklake:postgres:{declared.catalog_url}")
    written = project.reference_at("warehouse", "data_url")
    data = (
        for_profile(project, written) if written else project.seen_from_dbt(declared.data_url or "")
    )
    return {
        "type": "duckdb",
        "path": ":memory:",
        "database": LAKE,
        "schema": "main",
        "threads": 1,
        "attach": [{"path": url, "alias": LAKE, "options": {"data_path": data}}],
        "settings": {"TimeZone": "UTC", "schema": f"{LAKE}.main"},
    }


@contextmanager
def opened(lake: Lake, *, snapshot: int | None = None) -> Iterator[DuckDBPyConnection]:
    """A session whose current database is the lake, or one snapshot of it.

    Raises:
        SourceUnreachable: the catalogue can't be reached.
    """
    session = duckdb.connect(config=settings())
    try:
        prepare(session, lake)
        attach(session, lake, LAKE, snapshot=snapshot)
        session.execute(f"use {LAKE}.main")
        session.execute("set timezone = 'UTC'")
        yield session
    finally:
        session.close()


def settings() -> dict[str, Any]:
    """What DuckDB must be opened with for `prepare`."""
    return {"autoinstall_known_extensions": "false", "allow_unsigned_extensions": "true"}


def prepare(session: Session, lake: Lake) -> None:
    """Loads what a lake needs, from the installed packages alone, and gives access to its files.

    Raises:
        ExtraMissing: a package isn't installed.
        DeclarationError: its files are in an object store for which no credentials were found.
    """
    load_extensions(session)
    give_secret(session, lake.data, name=LAKE)
    session.execute("set allow_unsigned_extensions = false")


def load_extensions(session: Session) -> None:
    """Loads DuckDB's extensions for a lake from the installed packages.

    Raises:
        ExtraMissing: a package isn't installed.
    """
    for name in _EXTENSIONS:
        session.execute(f"load {literal(_extension(name))}")


def attach_for_dbt(session: Session, lake: Lake) -> None:
    """Attaches the lake by the name that it has in dbt's profile, unless the session has that name.

    Raises:
        ExtraMissing: a package isn't installed.
        SourceUnreachable: the catalogue can't be reached.
        BuildFailed: its files are elsewhere than `data_url` says.
    """
    names = session.execute("select database_name from duckdb_databases()").fetchall()
    if (LAKE,) not in names:
        load_extensions(session)
        attach(session, lake, LAKE)


def attach(session: Session, lake: Lake, alias: str, *, snapshot: int | None = None) -> None:
    """Attaches the lake, or one snapshot of it, which can only be read.

    Raises:
        SourceUnreachable: the catalogue can't be reached.
        BuildFailed: its files are elsewhere than `data_url` says.
    """
    options = [f"data_path {literal(lake.data_url)}"] if snapshot is None else []
    options += [f"snapshot_version {snapshot}", "read_only"] if snapshot is not None else []
    url = literal(f"ducklake:postgres:{lake.catalogue.for_session('lakefeed')}")
    statement = f"attach {url} as {quote(alias)} ({', '.join(options)})"
    try:
        try:
            session.execute(statement)
        except duckdb.Error as error:
            # Of sessions that find the catalogue empty at the same moment, one fills it. The others
            # fail once it has.
            if "Failed to initialize DuckLake" not in str(error):
                raise
            session.execute(statement)
    except duckdb.Error as error:
        # The message may contain the password.
        if "DATA_PATH" in str(error).upper():
            raise BuildFailed(
                f"the lake's files aren't in {lake.data_url}",
                do="set `warehouse: {data_url: …}` to the folder that the lake was created with",
            ) from None
        raise lake.catalogue.failure(str(error)) from None


def _extension(name: str) -> str:
    try:
        return str(extension_file(name))
    except (ImportError, FileNotFoundError):
        package = f"duckdb-extension-{name.replace('_', '-')}"
        raise ExtraMissing(
            f"`warehouse: {{type: ducklake}}` needs the package {package}",
            do="install it: pip install 'lakefeed[ducklake]'",
        ) from None
