"""A session that reads one source in one transaction and processes the rows in DuckDB.

There are two kinds with identical values and types (tests/integration/test_types.py): one reads
through DuckDB's PostgreSQL scanner; if that can't be loaded, the other reads through psycopg2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.errors import SourceUnreachable
from lakefeed.loading.sessions.duckdb_engine import all_threads, one_thread
from lakefeed.loading.sessions.read_progress import ReadProgress
from lakefeed.loading.sessions.rows_read import RowsRead
from lakefeed.source.connections.failure import is_of_connecting
from lakefeed.source.connections.keepalive import Line
from lakefeed.source.connections.watched_session import CLOSING_SECONDS
from lakefeed.source.progress import Sent
from lakefeed.sql import literal

_ATTACHED = "source"
# The prefix of the scanner's functions.
_SCANNER = "postgres_"
_EXPORT = "select pg_export_snapshot()"
_PID = "select pg_backend_pid()"
# One thread processes so many in some tenths of a second.
_FEW_ROWS = 500_000


class SourceSession(ABC):
    """A DuckDB session that can also read the source, over a monitored line."""

    # Whether another transaction can follow after `end`.
    can_be_kept: ClassVar[bool] = False

    def __init__(self, engine: DuckDBPyConnection, line: Line) -> None:
        self._engine = engine
        self.line = line
        self._progress, self._lake_name = ReadProgress(), ""
        self._numbers = count()

    def tell_received(self, progress: ReadProgress, lake_name: str) -> None:
        """Tells what arrives, for this table, where the server doesn't count it."""
        self._progress, self._lake_name = progress, lake_name

    def _received(self, number: int, sent: Sent | None) -> None:
        """Tells what has arrived of a statement, numbered within the session."""
        self._progress.received(self._lake_name, (self.line.number, number), sent)

    def copied_rows_of(self, sql: str) -> AbstractContextManager[str]:
        """`rows_of`, for a statement within the block that may take long."""
        return nullcontext(self.rows_of(sql))

    def execute(self, statement: str, parameters: object = None) -> DuckDBPyConnection:
        """Runs a statement in DuckDB.

        Raises:
            SourceUnreachable: the scanner couldn't open another connection, or the line was given
                up. It isn't chained to DuckDB's error, whose text may contain the password.
        """
        with self.line.explained():
            try:
                return self._engine.execute(statement, parameters)
            except duckdb.Error as error:
                if not is_of_connecting(str(error)):
                    raise
                failure = self.line.connection.failure(str(error))
            raise failure

    def changed_rows(self, statement: str) -> int:
        """Runs a statement in DuckDB that writes rows, and returns how many it wrote."""
        return int(self.execute(statement).fetchall()[0][0])

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """Runs a query on the source that returns few rows."""
        return self.execute(f"from {self.rows_of(sql)}").fetchall()

    def in_one_thread(self) -> AbstractContextManager[None]:
        """Limits DuckDB to one thread: more don't make statements that read the source faster."""
        return one_thread(self._engine)

    def in_threads_for(self, rows: int) -> AbstractContextManager[None]:
        """Lets DuckDB use all cores for statements that process so many rows, if that pays."""
        return all_threads(self._engine) if rows > _FEW_ROWS else nullcontext()

    @abstractmethod
    def begin(self, snapshot: str | None, settings: str) -> bool:
        """Begins a transaction at this snapshot, if one is given.

        Returns whether it did. If not, no transaction is open.
        """

    def end(self) -> None:
        """Rolls back the transaction: its locks are released, and its temporary tables gone."""
        self.execute("rollback")

    @abstractmethod
    def rows_of(self, sql: str) -> str:
        """A from-clause item with the rows of a query on the source. It can be read only once."""

    @abstractmethod
    def close(self) -> None:
        """Rolls back the transaction and closes the connection to the source."""

    def backend_pid(self) -> int:
        """The pid of the server process that reads, which may change after the transaction."""
        return int(self.fetch(_PID)[0][0])

    def export_snapshot(self) -> str:
        """Exports this session's snapshot, for other sessions to use while this one is open."""
        return str(self.fetch(_EXPORT)[0][0])


@dataclass(frozen=True)
class OpenedSession:
    """An open session, and what closes it."""

    session: SourceSession
    stack: ExitStack

    def close(self) -> None:
        """Closes the session."""
        self.stack.close()


class ScannerSession(SourceSession):
    """Reads through DuckDB's PostgreSQL scanner.

    DuckDB keeps the connection after a transaction. If the server has ended it meanwhile, the next
    transaction gets another one.
    """

    can_be_kept = True

    def __init__(self, engine: DuckDBPyConnection, line: Line) -> None:
        super().__init__(engine, line)
        self._rows_read: RowsRead | None = None
        dsn, password = line.dsn_without_password
        # In a secret, because DuckDB shows the connection string of attached databases. Also
        # without a password: otherwise DuckDB would use the default secret of the user.
        # (https://duckdb.org/docs/stable/core_extensions/postgres#configuring-via-secrets)
        option = f", password {literal(password)}" if password else ""
        self.execute(f"create or replace temporary secret {_ATTACHED} (type postgres{option})")
        with line.waiting():
            self.execute(
                f"attach {literal(dsn)} as {_ATTACHED} "
                f"(type postgres, read_only, secret {_ATTACHED})"
            )

    def execute(self, statement: str, parameters: object = None) -> DuckDBPyConnection:
        if _SCANNER not in statement:
            return super().execute(statement, parameters)
        with self.line.waiting():
            return super().execute(statement, parameters)

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        # DuckDB still reads from the source while rows are fetched.
        with self.line.waiting():
            return SourceSession.execute(self, f"from {self.rows_of(sql)}").fetchall()

    def begin(self, snapshot: str | None, settings: str) -> bool:
        at_snapshot = f"set transaction snapshot {literal(snapshot)}; " if snapshot else ""
        self.execute("begin")
        try:
            # In one message: each takes as long as reading a few rows.
            self._on_source(f"{at_snapshot}{settings}; {self.line.announcement}")
        except duckdb.Error as error:
            # The message may be translated, so the reason can't be read from it. A session that
            # can still roll back failed because of the snapshot.
            try:
                self.execute("rollback")
            except duckdb.Error:
                raise error from None
            if snapshot is None:
                raise
            return False
        return True

    def end(self) -> None:
        with self.line.waiting():
            super().end()

    def rows_of(self, sql: str) -> str:
        return f"{_SCANNER}query({literal(_ATTACHED)}, {literal(sql)})"

    def count_rows(self) -> None:
        """Has the session count the rows that it copies, since the server doesn't."""
        self._rows_read = RowsRead(self._engine, f"rows_read_{self.line.number}")

    @contextmanager
    def copied_rows_of(self, sql: str) -> Iterator[str]:
        rows = self.rows_of(sql)
        if self._rows_read is None:
            yield rows
            return
        number = next(self._numbers)
        try:
            with self._rows_read.counted(
                rows, lambda count: self._received(number, Sent(count, size=0))
            ) as counted:
                yield counted
        finally:
            self._received(number, None)

    def close(self) -> None:
        for statement in ("rollback", f"detach {_ATTACHED}", f"drop secret {_ATTACHED}"):
            with suppress(duckdb.Error, SourceUnreachable), self.line.waiting(CLOSING_SECONDS):
                self.execute(statement)

    def _on_source(self, statements: str) -> None:
        self.execute(f"call {_SCANNER}execute({literal(_ATTACHED)}, {literal(statements)})")
