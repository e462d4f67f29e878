"""A session that reads through psycopg2, where DuckDB's scanner can't be used or isn't wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import duckdb
import psycopg2
from duckdb import DuckDBPyConnection
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, Column

from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.connections.keepalive import Line
from lakefeed.source.connections.sessions import session_on
from lakefeed.source.inspection.types import parsed_text
from lakefeed.source.progress import Sent
from lakefeed.sql import literal, quote

_ROWS_AT_A_TIME = 10_000

# The lake's types by PostgreSQL's oid; all others but decimals are text.
_TYPES = {
    16: "boolean",
    17: "blob",
    20: "bigint",
    21: "smallint",
    23: "integer",
    700: "float",
    701: "double",
    1082: "date",
    1083: "time",
    1114: "timestamp",
    1184: "timestamptz",
    2950: "uuid",
}
_NUMERIC = 1700


class CursorSession(SourceSession):
    """Reads through psycopg2: every value in PostgreSQL's text format, which DuckDB parses."""

    def __init__(self, engine: DuckDBPyConnection, line: Line) -> None:
        super().__init__(engine, line)
        self._source = session_on(line)
        self._source.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)

    def begin(self, snapshot: str | None, settings: str) -> bool:
        with self._source.cursor() as cursor:
            try:
                if snapshot:
                    cursor.execute(f"set transaction snapshot {literal(snapshot)}")
            except psycopg2.Error as error:
                if error.pgcode is None:
                    raise
                self._source.rollback()
                return False
            cursor.execute(f"{settings}; {self.line.announcement}")
        self.execute("begin")
        return True

    def rows_of(self, sql: str) -> str:
        columns, number = self._columns_of(sql), next(self._numbers)
        name = f"from_source_{number}"
        self._engine.register(name, self._texts(number, name, sql, columns))
        values = (f"{_from_text(column)} as {quote(column.name)}" for column in columns)
        return f"(select {', '.join(values)} from {name})"

    def close(self) -> None:
        with suppress(duckdb.Error):
            self.execute("rollback")
        self._source.close()

    def _columns_of(self, sql: str) -> list[Column]:
        with self._source.cursor() as cursor:
            cursor.execute(f"select * from ({sql}\n) as rows limit 0")
            return list(cursor.description or ())

    def _texts(self, number: int, name: str, sql: str, columns: list[Column]) -> Any:
        """All rows as strings, ten thousand of them in memory at a time."""
        import pyarrow as pa

        schema = pa.schema([(column.name, pa.string()) for column in columns])
        texts = ", ".join(f"{quote(column.name)}::text" for column in columns)

        def batches() -> Iterator[Any]:
            with self._source.cursor(name) as cursor:
                cursor.itersize = _ROWS_AT_A_TIME
                cursor.execute(f"select {texts} from ({sql}\n) as rows")
                count = size = 0
                while rows := cursor.fetchmany(_ROWS_AT_A_TIME):
                    arrays = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
                    count, size = count + len(rows), size + sum(array.nbytes for array in arrays)
                    self._received(number, Sent(count, size))
                    yield pa.record_batch(arrays, schema=schema)
            self._received(number, None)

        return pa.RecordBatchReader.from_batches(schema, batches())


def _from_text(column: Column) -> str:
    name = quote(column.name)
    if column.type_code == _NUMERIC and column.precision and column.precision <= 38:
        return parsed_text(name, f"decimal({column.precision},{column.scale})")
    return parsed_text(name, _TYPES.get(column.type_code, "varchar"))
