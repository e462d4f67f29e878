"""What `lakefeed check --warehouse` finds of a BigQuery: what the account may do, and the bucket.

Everything is tried in a dataset of its own, which is dropped again:

    _lakefeed_check_<random>.t    a table, its clone and a view
    <raw>/lakefeed_check_<random>.parquet
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version

import pyarrow as pa
from pyarrow.parquet import write_table

from lakefeed.declaration.project import Project
from lakefeed.errors import LakefeedError, Refused
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.transformation.targets.bigquery import (
    BigQuery,
    StatementFailed,
    load_parquet,
    open_client,
    quoted,
    rows_of,
)
from lakefeed.transformation.warehouse.base.warehouse import Inspection
from lakefeed.transformation.warehouse.bigquery.bigquery_engine import BigQueryEngine
from lakefeed.transformation.warehouse.clones.engine import NEVER_ON_AN_ACCOUNT
from lakefeed.transformation.warehouse.clones.publication import public_names
from lakefeed.transformation.warehouse.clones.register import read_register
from lakefeed.transformation.warehouse.clones.relations import refuse_tables_of_others


def inspect_bigquery(project: Project, bigquery: BigQuery) -> Inspection:
    """Tries what builds need of a project of Google Cloud and its bucket.

    Raises:
        SourceUnreachable: it can't be reached.
        ExtraMissing: the client isn't installed.
    """
    engine, dataset = BigQueryEngine(bigquery), f"_lakefeed_check_{uuid.uuid4().hex[:12]}"
    engine.clock()
    try:
        lacks = [*_missing_rights(project, engine, dataset)]
        # Without a dataset, no file can be loaded.
        lacks += [] if lacks else [*_others(project, engine), *_unread(project, engine, dataset)]
    finally:
        with suppress(StatementFailed):
            engine.drop_schema(dataset)
    client = f"its client {version('google-cloud-bigquery')}"
    place = f"{bigquery.project} ({bigquery.location})"
    note = f"{NEVER_ON_AN_ACCOUNT} (docs/bigquery.md)"
    return Inspection("BigQuery", f"by {client}", place, tuple(lacks), note=note)


def _missing_rights(
    project: Project, engine: BigQueryEngine, dataset: str
) -> Iterator[LakefeedError]:
    """What the account may not do; the first that fails is enough."""
    table, clone, view = (quoted(dataset, name) for name in ("t", "cloned", "v"))
    tried = (
        ("create tables", f"create table {table} as select 1 as id, 'one' as word"),
        (
            "merge rows",
            f"merge into {table} as t using (select 2 as id, 'two' as word) as s on t.id = s.id "
            "when matched then update set word = s.word "
            "when not matched then insert (id, word) values (s.id, s.word)",
        ),
        ("clone tables", f"create table {clone} clone {table}"),
        ("create views", f"create view {view} as select * from {clone}"),
        ("read views", f"select * from {view}"),
    )
    what = "create datasets"
    try:
        engine.create_schema(dataset)
        for what, statement in tried:  # noqa: B007 - the error names it
            engine.rows(statement)
    except StatementFailed as error:
        yield Refused(
            f"Lakefeed can't {what} in {engine.place}: {error.what[:300]}",
            where=_where(project, "project"),
            do="give its account these roles (docs/bigquery.md)",
        )


def _others(project: Project, engine: BigQueryEngine) -> Iterator[LakefeedError]:
    """Tables that Lakefeed didn't make, and would replace."""
    register = read_register(engine)
    try:
        refuse_tables_of_others(project, engine, register)
        engine.refuse_others(public_names(register))
    except Refused as refused:
        yield refused


def _unread(project: Project, engine: BigQueryEngine, dataset: str) -> Iterator[LakefeedError]:
    """Why BigQuery can't load from raw. Writes a file there, and removes it."""
    files, root = open_raw(project.raw)
    name = f"lakefeed_check_{uuid.uuid4().hex}.parquet"
    files.pipe_file(f"{root}/{name}", _one_row())
    client = open_client(engine.bigquery)
    try:
        load_parquet(client, f"{dataset}.loaded", {"id": "int64"}, [f"{project.raw.url}/{name}"])
        if rows_of(client, f"select id from {quoted(dataset, 'loaded')}") == [(1,)]:
            return
        why = "it loads no row of a file that has one"
    except StatementFailed as error:
        why = error.what[:300]
    finally:
        files.rm_file(f"{root}/{name}")
    yield Refused(
        f"BigQuery can't load from raw, {project.raw.url}: {why}",
        where=project.declared.document.where(("raw", "url")),
        do="give its account access to the bucket, which must be in the warehouse's location "
        "(docs/bigquery.md)",
    )


def _one_row() -> bytes:
    sink = pa.BufferOutputStream()
    write_table(pa.table({"id": [1]}), sink)
    return bytes(sink.getvalue())


def _where(project: Project, setting: str) -> str:
    return project.declared.document.where(("warehouse", setting))
