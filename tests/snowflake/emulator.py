"""fakesnow's server, with what it lacks of Snowflake's SQL and Lakefeed needs.

Runs in an environment of its own, since fakesnow needs another DuckDB than Lakefeed:
`.venv-snowflake_server/bin/python tests/snowflake/emulator.py PORT`. What is added here proves
nothing of Snowflake: docs/snowflake.md lists it, and what the emulator lets pass besides.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import uvicorn
from fakesnow import arrow, transforms
from fakesnow.copy_into import ReadParquet
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.server import app
from pyarrow.fs import S3FileSystem

_SWAP = re.compile(r'^\s*alter schema "(\w+)" swap with "(\w+)"\s*$', re.IGNORECASE)
_GRANTS = re.compile(r"^\s*show (future )?grants ", re.IGNORECASE)
# Schemas of Snowflake's information schema that the emulator hasn't.
_UNKNOWN = re.compile(
    r"from information_schema\.(stages|file_formats|sequences|functions|procedures) ", re.IGNORECASE
)
# Of these, DuckDB wants no schema, and fakesnow's COPY one.
_TEMPORARY = re.compile(
    r"^(\s*(?:/\*.*?\*/)?\s*create or replace\s+)temporary(\s+(?:table\s|view\s+[\w\"]+\.))",
    re.IGNORECASE | re.DOTALL,
)
# fakesnow's clone doesn't replace.
_CLONE = re.compile(r"^\s*create or replace transient table (.+) clone (.+)$", re.IGNORECASE)
_NO_GRANTS = "select 1 as a, 2 as b, 3 as c, 4 as d, 5 as e, 6 as f where false"

# Threads share a session, which Snowflake allows and DuckDB doesn't; and all sessions one DuckDB.
_one_at_a_time = asyncio.Lock()
_copies = Path(tempfile.mkdtemp(prefix="emulator_", dir=os.environ.get("TMPDIR")))


def _rewritten(command: str) -> str:
    if _GRANTS.match(command):
        return _NO_GRANTS
    command = _UNKNOWN.sub("from (select null as x where false) ", command)
    if "as x where false" in command:
        return "select 'x' as x where false"
    command = _TEMPORARY.sub(r"\1\2", command)
    command = re.sub(r"\s+copy grants\b", "", command, flags=re.IGNORECASE)
    command = _CLONE.sub(r"create or replace table \1 as select * from \2", command.strip())
    command = command.replace("c.datetime_precision", "6")
    # It always has the same time, which would say that no table ever changes.
    return command.replace("to_varchar(last_altered)", "to_varchar(sysdate()) || uuid_string()")


def _swap(cursor: Any, one: str, other: str) -> None:
    duck = cursor._duck_conn
    duck.execute("begin")
    for source, target in ((one, "_SWAPPED"), (other, one), ("_SWAPPED", other)):
        duck.execute(f'create schema if not exists "{target}"')
        for (name,) in duck.execute(
            "select table_name from duckdb_tables() where schema_name = ? "
            "and database_name = current_database()",
            [source],
        ).fetchall():
            duck.execute(f'create table "{target}"."{name}" as from "{source}"."{name}"')
            duck.execute(f'drop table "{source}"."{name}"')
        for name, sql in duck.execute(
            "select view_name, sql from duckdb_views() where schema_name = ? "
            "and database_name = current_database()",
            [source],
        ).fetchall():
            duck.execute(f'drop view "{source}"."{name}"')
            query = sql.partition(" AS ")[2]
            duck.execute(f'create view "{target}"."{name}" as {query}')
    duck.execute('drop schema "_SWAPPED"')
    duck.execute("commit")


def _executing(execute: Callable[..., Any]) -> Callable[..., Any]:
    def executed(cursor: Any, command: str, *arguments: Any, **options: Any) -> Any:
        if found := _SWAP.match(command):
            _swap(cursor, *found.groups())
            command = "select 'Statement executed successfully.' as status"
        return execute(cursor, _rewritten(command), *arguments, **options)

    return executed


def _near(url: str) -> str:
    """A copy of a file in the object store, in which UUIDs are the bytes that Snowflake reads."""
    if not url.startswith("s3://"):
        return url
    store = S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=os.environ["AWS_ENDPOINT_URL"].partition("://")[2],
        scheme="http",
    )
    rows = pq.read_table(url.removeprefix("s3://"), filesystem=store, partitioning=None)
    columns = [
        pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
        if isinstance(column.type, pa.ExtensionType)
        else column
        for column in rows.columns
    ]
    copy = _copies / f"{abs(hash(url))}.parquet"
    pq.write_table(pa.table(columns, names=rows.column_names), copy)
    return str(copy)


def _with_nulls(struct_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """fakesnow answers 1970-01-01 for a time that is null."""

    def converted(times: Any) -> Any:
        whole = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
        found = struct_of(whole)
        parts = [found.field(at) for at in range(found.type.num_fields)]
        return pa.StructArray.from_arrays(parts, fields=list(found.type), mask=pc.is_null(whole))

    return converted


def _with_38_digits(narrowed: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """fakesnow makes NUMBER(38,0) an integer of 64 bits."""
    return lambda expression: expression if expression.expressions else narrowed(expression)


async def _answered(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        await app(scope, receive, send)
        return
    async with _one_at_a_time:
        await app(scope, receive, send)


def main(port: int) -> None:
    """Serves until it is killed."""
    FakeSnowflakeCursor.execute = _executing(FakeSnowflakeCursor.execute)
    arrow.timestamp_to_sf_struct = _with_nulls(arrow.timestamp_to_sf_struct)
    transforms.integer_precision = _with_38_digits(transforms.integer_precision)
    # fakesnow's sums are floats, which it takes for what Snowflake makes of texts.
    transforms.numeric_agg_implicit_cast = lambda expression: expression
    read = ReadParquet.read_expression
    ReadParquet.read_expression = lambda self, url: read(self, _near(url))
    uvicorn.run(_answered, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main(int(sys.argv[1]))
