"""What `lakefeed check --warehouse` finds of a Snowflake: what the role may do, and the stage.

Everything is tried in a schema of its own, which is dropped again:

    _lakefeed_check_<random>.t    a table and its clone
    <raw>/lakefeed_check_<random>.parquet
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress

import pyarrow as pa
from pyarrow.parquet import write_table

from lakefeed.declaration.project import Project
from lakefeed.errors import LakefeedError, Refused
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.transformation.dbt_adapter.snowflake.staged_files import below_stage
from lakefeed.transformation.targets.snowflake import (
    NEW_SCHEMA,
    Snowflake,
    StatementFailed,
    run,
    stage_url,
)
from lakefeed.transformation.targets.snowflake_names import quoted
from lakefeed.transformation.warehouse.base.warehouse import Inspection
from lakefeed.transformation.warehouse.clones.engine import NEVER_ON_AN_ACCOUNT
from lakefeed.transformation.warehouse.clones.publication import public_names
from lakefeed.transformation.warehouse.clones.register import read_register
from lakefeed.transformation.warehouse.clones.relations import refuse_tables_of_others
from lakefeed.transformation.warehouse.snowflake.snowflake_engine import SnowflakeEngine


def inspect_snowflake(project: Project, snowflake: Snowflake) -> Inspection:
    """Tries what builds need of an account and its stage.

    Raises:
        SourceUnreachable: the account can't be reached.
        ExtraMissing: the connector isn't installed.
    """
    ((version,),) = run(snowflake, "select current_version()").fetchall()
    lacks = [*_missing_rights(project, snowflake), *_others(project, snowflake)]
    lacks += _unread(project, snowflake)
    return Inspection(
        "Snowflake",
        str(version),
        snowflake.shown,
        tuple(lacks),
        note=f"{NEVER_ON_AN_ACCOUNT} (docs/snowflake.md)",
    )


def _missing_rights(project: Project, snowflake: Snowflake) -> Iterator[LakefeedError]:
    """What the role may not do; the first that fails is enough."""
    schema = f"_lakefeed_check_{uuid.uuid4().hex[:12]}"
    other = f"{schema}_swapped"
    table, clone = quoted(schema, "t"), quoted(other, "t")
    tried = (
        ("use the warehouse (compute)", "select count(*) from information_schema.schemata"),
        ("create schemas", NEW_SCHEMA.format(quoted(schema))),
        ("create schemas", NEW_SCHEMA.format(quoted(other))),
        ("create tables", f"create or replace table {table} as select 1 as id, 'one' as word"),
        ("clone tables", f"create or replace transient table {clone} clone {table} copy grants"),
        (
            "merge rows",
            f"merge into {table} as t using (select 2 as id, 'two' as word) as s on t.id = s.id "
            "when matched then update set word = s.word "
            "when not matched then insert (id, word) values (s.id, s.word)",
        ),
        ("swap schemas", f"alter schema {quoted(schema)} swap with {quoted(other)}"),
        ("replace PUBLIC", f"create transient schema if not exists {quoted('public')}"),
    )
    try:
        for what, statement in tried:
            try:
                run(snowflake, statement)
            except StatementFailed as error:
                yield Refused(
                    f"Lakefeed can't {what} in {snowflake.shown}: {error.what[:300]}",
                    where=_where(project, "url"),
                    do="give its role these rights (docs/snowflake.md)",
                )
                return
    finally:
        for name in (schema, other):
            # What the role couldn't create, it can't drop.
            with suppress(StatementFailed):
                run(snowflake, f"drop schema if exists {quoted(name)} cascade")


def _others(project: Project, snowflake: Snowflake) -> Iterator[LakefeedError]:
    """Tables that Lakefeed didn't make, and would replace or drop."""
    engine = SnowflakeEngine(snowflake)
    register = read_register(engine)
    try:
        refuse_tables_of_others(project, engine, register)
        engine.refuse_others(public_names(register))
    except Refused as refused:
        yield refused


def _unread(project: Project, snowflake: Snowflake) -> Iterator[LakefeedError]:
    """Why Snowflake can't read raw by the stage. Writes a file there, and removes it."""
    raw, where = project.raw, _where(project, "stage")
    url = stage_url(snowflake)
    path = below_stage(url, raw.url) if url else None
    if path is None:
        found = f"its URL is {url}" if url else "there is no such stage with a URL"
        yield Refused(
            f"the stage {snowflake.stage} doesn't have raw, {raw.url}: {found}",
            where=where,
            do=f"create an external stage with the URL {raw.url}/ (docs/snowflake.md)",
        )
        return
    files, root = open_raw(raw)
    name = f"lakefeed_check_{uuid.uuid4().hex}.parquet"
    files.pipe_file(f"{root}/{name}", _one_row())
    schema = f"_lakefeed_check_{uuid.uuid4().hex[:12]}"
    try:
        run(snowflake, NEW_SCHEMA.format(quoted(schema)))
        run(snowflake, f"create or replace table {quoted(schema, 't')} (id number)")
        run(
            snowflake,
            f"copy into {quoted(schema, 't')} from @{snowflake.stage}/{path} files = ('{name}') "
            "file_format = (type = parquet) match_by_column_name = case_insensitive",
        )
        if run(snowflake, f"select count(*) from {quoted(schema, 't')}").fetchall() == [(1,)]:
            return
        why = "it reads no row of a file that has one"
    except StatementFailed as error:
        why = error.what[:300]
    finally:
        files.rm_file(f"{root}/{name}")
        with suppress(StatementFailed):
            run(snowflake, f"drop schema if exists {quoted(schema)} cascade")
    yield Refused(
        f"Snowflake can't read raw by the stage {snowflake.stage}: {why}",
        where=where,
        do="give the stage's integration access to the bucket (docs/snowflake.md)",
    )


def _one_row() -> bytes:
    sink = pa.BufferOutputStream()
    write_table(pa.table({"id": [1]}), sink)
    return bytes(sink.getvalue())


def _where(project: Project, setting: str) -> str:
    return project.declared.document.where(("warehouse", setting))
