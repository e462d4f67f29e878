"""What `lakefeed check --warehouse` finds of a DuckLake: its catalogue and the place of its files.

It never attaches a lake that doesn't exist yet, since that would create one.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.project import Project
from lakefeed.disk import why_unwritable
from lakefeed.errors import LakefeedError, Refused, StorageFailed
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.source.connections.sessions import connect
from lakefeed.sql import literal
from lakefeed.transformation.targets.ducklake import LAKE, Lake, attach, prepare, settings
from lakefeed.transformation.warehouse.base.warehouse import Inspection

_CATALOGUE = """
select
    current_setting('server_version'),
    pg_is_in_recovery(),
    has_schema_privilege('public', 'create'),
    to_regclass('public.ducklake_metadata') is not null,
    has_table_privilege(to_regclass('public.ducklake_metadata'), 'insert')
"""


def inspect_lake(project: Project, lake: Lake) -> Inspection:
    """Tries what builds need of a lake. Writes a file into its folder, and removes it.

    Raises:
        SourceUnreachable: the catalogue can't be reached.
        ExtraMissing: a package isn't installed.
    """
    with closing(duckdb.connect(config=settings())) as session:
        prepare(session, lake)
        with connect(lake.catalogue, "lakefeed check") as catalogue:
            server, lacks, exists = _catalogue(project, catalogue)
        if exists and not lacks:
            lacks += _attached(session, lake)
        lacks += _place(project, lake, session)
        (version,) = session.execute(
            "select extension_version from duckdb_extensions() where extension_name = 'ducklake'"
        ).fetchall()[0]
    return Inspection(
        "DuckLake",
        f"{version} (DuckDB {duckdb.__version__}, PostgreSQL {server})",
        project.declaration.warehouse.data_url or "",
        tuple(lacks),
    )


def _catalogue(project: Project, session: PgConnection) -> tuple[str, list[LakefeedError], bool]:
    """The server's version, what the catalogue's database lacks, and whether a lake is in it."""
    with session.cursor() as cursor:
        cursor.execute(_CATALOGUE)
        found = cursor.fetchone()
    assert found is not None
    server, is_standby, may_create, exists, may_write = found
    where = project.declared.document.where(("warehouse", "catalog_url"))
    lacks: list[LakefeedError] = []
    if is_standby:
        lacks.append(
            Refused(
                "the catalogue's server is a standby, which can't be written",
                where=where,
                do="let the URL name the primary",
            )
        )
    elif not may_create or (exists and not may_write):
        lacks.append(
            Refused(
                "this role may not write the catalogue's database",
                where=where,
                do="let the role own the database, or: grant create on schema public to it, and "
                "all privileges on the tables that are there",
            )
        )
    return str(server).partition(" ")[0], lacks, bool(exists)


def _attached(session: duckdb.DuckDBPyConnection, lake: Lake) -> Iterator[LakefeedError]:
    try:
        attach(session, lake, LAKE)
    except LakefeedError as error:
        yield error


def _place(
    project: Project, lake: Lake, session: duckdb.DuckDBPyConnection
) -> Iterator[LakefeedError]:
    """Why files can't be written to the place of the tables, and read there."""
    where = project.declared.document.where(("warehouse", "data_url"))
    if lake.data.is_local:
        if error := why_unwritable(Path(lake.data.url)):
            yield error
        return
    name = f"_lakefeed_check_{uuid.uuid4().hex}.parquet"
    file = literal(f"{lake.data_url}/{name}")
    try:
        session.execute(f"copy (select 1 as id) to {file} (format parquet)")
        session.execute(f"from read_parquet({file})").fetchall()
        files, root = open_raw(lake.data)
        files.rm_file(f"{root}/{name}")
    except (duckdb.Error, OSError, LakefeedError) as error:
        # DuckDB's message may contain a signed URL.
        told = error.what if isinstance(error, LakefeedError) else type(error).__name__
        yield StorageFailed(
            f"files can't be written, read and removed in {lake.data_url}: {told}",
            where=where,
            do="check the bucket and the credentials (docs/object-store.md)",
        )
