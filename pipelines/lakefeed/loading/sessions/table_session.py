"""The session that reads one table in one run."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot


class TableSession:
    """A session that is opened by whoever needs it first, and used again by whoever comes next.

    A probe that finds new rows leaves it to the load: opening another takes as long as reading a
    small table. A failure within the block passes through the session, which may explain it.
    """

    def __init__(self, source: SourceAtSnapshot, plan: TablePlan) -> None:
        self.source = source
        self.plan = plan
        self._session: SourceSession | None = None
        self._stack = ExitStack()

    def open(self) -> SourceSession:
        """The session, in its transaction at the snapshot.

        Raises:
            SourceUnreachable: no session could be opened.
        """
        if self._session is None:
            self._session = self._stack.enter_context(self.source.session(self.plan))
        return self._session

    def close(self) -> None:
        """Ends the transaction and closes the session."""
        self._session = None
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._stack.__exit__(kind, error, traceback)
