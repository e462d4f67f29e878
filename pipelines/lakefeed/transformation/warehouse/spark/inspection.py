"""What `lakefeed check --warehouse` finds of a Spark: what its catalog can do, and what it reads.

Everything is tried in a namespace of its own, which is dropped again:

    _lakefeed_check_<random>.t    a table, its tag, and a view of it
    <raw>/lakefeed_check_<random>.parquet
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import write_table

from lakefeed.declaration.models.addresses import THRIFT
from lakefeed.declaration.project import Location, Project
from lakefeed.errors import LakefeedError, Refused
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.transformation.targets.spark import Session, Spark, StatementFailed, quoted
from lakefeed.transformation.targets.spark_session import open_session, server_settings
from lakefeed.transformation.warehouse.base.warehouse import Inspection
from lakefeed.transformation.warehouse.spark.register import read_register
from lakefeed.transformation.warehouse.spark.return_to import refuse_tables_of_others

_SUPPORTED = "4.1"
_SINGLE_SESSION = "spark.sql.hive.thriftServer.singleSession"
_EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSessionExtensions"


def inspect_spark(project: Project, spark: Spark) -> Inspection:
    """Tries what builds need of a Spark and its catalog.

    Raises:
        SourceUnreachable: the server can't be reached, or has no such catalog.
        ExtraMissing: the thin client isn't installed.
    """
    session = open_session(spark.remote, spark.catalog)
    version = str(session.rows("select version()")[0][0]).partition(" ")[0]
    iceberg = _iceberg(session, spark)
    lacks = [*_unsupported(project, version), *_sharing(project, spark)]
    if iceberg is None:
        lacks.append(
            Refused(
                f"the catalog {spark.catalog} isn't one of Iceberg's",
                where=_where(project, "catalog"),
                do=f"start the server with spark.sql.catalog.{spark.catalog}="
                "org.apache.iceberg.spark.SparkCatalog (docs/spark.md)",
            )
        )
    else:
        lacks += [
            *_missing_features(project, session),
            *_cached(project, spark),
            *_tables_of_others(project, session),
        ]
    lacks += _unread(project, session)
    return Inspection(
        "Apache Spark",
        version if iceberg is None else f"{version} (Iceberg {iceberg})",
        f"{spark.shown}/{spark.catalog}",
        tuple(lacks),
    )


def _iceberg(session: Session, spark: Spark) -> str | None:
    """Iceberg's version; None if the catalog isn't one of its."""
    with suppress(StatementFailed):
        found = session.rows(f"select {quoted(spark.catalog)}.system.iceberg_version()")
        return str(found[0][0])
    return None


def _unsupported(project: Project, version: str) -> Iterator[LakefeedError]:
    if not version.startswith(f"{_SUPPORTED}."):
        yield Refused(
            f"the server runs Spark {version}, and Lakefeed is tested with {_SUPPORTED}",
            where=_where(project, "remote"),
            do=f"use a server of Spark {_SUPPORTED} (docs/spark.md)",
        )


def _sharing(project: Project, spark: Spark) -> Iterator[LakefeedError]:
    """That all connections to a Thrift server are one session.

    Source: https://spark.apache.org/docs/latest/sql-distributed-sql-engine.html
    """
    if spark.scheme != THRIFT:
        return
    if (server_settings(spark, _SINGLE_SESSION)[_SINGLE_SESSION] or "").lower() == "true":
        yield Refused(
            f"the server sets {_SINGLE_SESSION}=true, so that builds would see the temporary views "
            "and settings of others",
            where=_where(project, "remote"),
            do=f"start the server with {_SINGLE_SESSION}=false, its default (docs/spark.md)",
        )


def _missing_features(project: Project, session: Session) -> Iterator[LakefeedError]:
    """What the catalog or the server's settings don't allow; the first that fails is enough."""
    schema = f"_lakefeed_check_{uuid.uuid4().hex[:12]}"
    table, view = quoted(schema, "t"), quoted(schema, "v")
    tried = (
        ("create schemas", f"create namespace {quoted(schema)}"),
        ("create tables", f"create table {table} using iceberg as select 1 as id, 'one' as word"),
        ("replace tables", f"create or replace table {table} using iceberg as table {table}"),
        ("update rows", f"update {table} set word = 'two' where id = 1"),
        (
            "merge rows",
            f"merge into {table} as t using (select 2 as id, 'two' as word) as s on t.id = s.id "
            "when matched then update set * when not matched then insert *",
        ),
        ("create tags", f"alter table {table} create tag `lakefeed_check`"),
        ("read a tag", f"select * from {table} version as of 'lakefeed_check'"),
        ("create views", f"create view {view} as select * from {table}"),
        ("read views", f"select * from {view}"),
        ("drop views", f"drop view {view}"),
        ("drop tables", f"drop table {table} purge"),
        ("drop schemas", f"drop namespace {quoted(schema)}"),
    )
    try:
        for what, statement in tried:
            try:
                session.rows(statement)
            except StatementFailed as error:
                yield Refused(
                    f"Lakefeed can't {what} in the catalog: {error.what[:300]}",
                    where=_where(project, "catalog"),
                    do=_remedy(what),
                )
                return
    finally:
        for statement in (
            f"drop view if exists {view}",
            f"drop table if exists {table} purge",
            f"drop namespace if exists {quoted(schema)}",
        ):
            # What the catalog couldn't create, it can't drop.
            with suppress(StatementFailed):
                session.rows(statement)


def _remedy(what: str) -> str:
    if "view" in what:
        return (
            "use a catalog that has views: of Iceberg's JDBC catalogues, one with "
            "jdbc.schema-version=V1 (docs/spark.md)"
        )
    if what in ("update rows", "merge rows", "create tags"):
        return f"start the server with spark.sql.extensions={_EXTENSIONS} (docs/spark.md)"
    return "give the server's credentials these rights in the catalog and its files"


def _cached(project: Project, spark: Spark) -> Iterator[LakefeedError]:
    """That sessions of readers keep what they know of tables, as Iceberg has it by default.

    Source: https://iceberg.apache.org/docs/latest/spark-configuration/#catalog-configuration
    """
    prefix = f"spark.sql.catalog.{spark.catalog}"
    enabled, kept = f"{prefix}.cache-enabled", f"{prefix}.cache.expiration-interval-ms"
    found = server_settings(spark, enabled, kept)
    if (found[enabled] or "").lower() != "false" and found[kept] != "0":
        yield Refused(
            f"the server doesn't set {enabled}=false, so that readers' queries fail with "
            "`Cannot find snapshot` for half a minute after a version is published",
            where=_where(project, "catalog"),
            do=f"start the server with {enabled}=false (docs/spark.md)",
        )


def _tables_of_others(project: Project, session: Session) -> Iterator[LakefeedError]:
    """Tables that Lakefeed didn't make, and that have the names of its models."""
    try:
        refuse_tables_of_others(project, session, read_register(session))
    except Refused as refused:
        yield refused


def _unread(project: Project, session: Session) -> Iterator[LakefeedError]:
    """Why the executors can't read raw. Writes a file there, and removes it."""
    # Spark ignores files whose names begin with an underscore.
    raw, name = project.raw, f"lakefeed_check_{uuid.uuid4().hex}.parquet"
    where = project.declared.document.where(("raw", "url"))
    if raw.is_local:
        Path(raw.url).mkdir(parents=True, exist_ok=True)
    files, root = open_raw(raw)
    path = f"{root}/{name}"
    files.pipe_file(path, _one_row())
    try:
        count = f"select count(*) from parquet.{quoted(f'{_for_executors(raw)}/{name}')}"
        if session.rows(count) == [(1,)]:
            return
        why = "it reads no row of a file that has one"
    except StatementFailed as error:
        why = error.what[:300]
    finally:
        files.rm_file(path)
    if raw.is_local:
        yield Refused(
            f"Spark's executors can't read raw: {raw.url} is a folder of this machine",
            where=where,
            do="declare raw in an object store that they read: `raw: {url: s3://…}` "
            "(docs/object-store.md)",
        )
    else:
        yield Refused(
            f"Spark's executors can't read raw at {raw.url}: {why}",
            where=where,
            do="give the server the packages and credentials to read it as "
            f"{_for_executors(raw)} (docs/spark.md)",
        )


def _one_row() -> bytes:
    sink = pa.BufferOutputStream()
    write_table(pa.table({"id": [1]}), sink)
    return bytes(sink.getvalue())


def _for_executors(raw: Location) -> str:
    """The raw layer as Hadoop's file systems name it."""
    if raw.is_local:
        return f"file:{raw.url}"
    scheme, _, rest = raw.url.rstrip("/").partition("://")
    return f"{'s3a' if scheme == 's3' else scheme}://{rest}"


def _where(project: Project, setting: str) -> str:
    return project.declared.document.where(("warehouse", setting))
