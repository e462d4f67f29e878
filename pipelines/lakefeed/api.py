"""Lakefeed from Python: a project's commands as methods that return their reports as data.

    import lakefeed

    project = lakefeed.open("path/to/project")
    report = project.run(select=["shop.orders"])

For notebooks, scripts and other orchestrators. Nothing is printed, no signal handler is replaced,
and no process is started that would import the script again. What Lakefeed needs is imported at the
first call that needs it.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from lakefeed.interruption import as_guest

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project as DeclaredProject
    from lakefeed.loading.preview import LoadPreview
    from lakefeed.orchestration.ingest.load import LoadRequest
    from lakefeed.orchestration.inspect.status import TableStatus
    from lakefeed.orchestration.reports.run_report import RunReport

# The start or the end of a backfill, in the terms of the cursor.
Bound = str | int | dt.date | dt.datetime

# dlt's settings, dbt's working directory and the environment belong to the whole process.
_one_at_a_time = RLock()


def open(path: str | os.PathLike[str] | None = None) -> Project:
    """Opens the project in a folder, as `lakefeed --project` does.

    Reads sources.yaml and its catalogue. Connects to nothing and needs no secret.

    Args:
        path: the project's folder; by default the current one, or the nearest around it.

    Raises:
        LakefeedError: sources.yaml isn't there or is wrong; with every mistake in it.
    """
    from lakefeed.declaration.document.root import nearest_root

    return Project(Path(path) if path is not None else nearest_root())


class Project:
    """A project folder. Every method reads its files as they are when it is called.

    Methods of all projects in a process run one after the other, whichever thread calls them.
    Errors are `lakefeed.LakefeedError`; tables that fail and models that can't be built don't raise
    one: the report says so.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        """The project's folder."""
        self._read()

    def __repr__(self) -> str:
        return f"lakefeed.open({str(self.root)!r})"

    @property
    def tables(self) -> tuple[str, ...]:
        """The declared tables, such as `shop.orders`, in the order of sources.yaml."""
        return tuple(table.shown for table in self._read().tables)

    def run(
        self,
        select: Sequence[str] = (),
        *,
        full_refresh: bool = False,
        since: Bound | None = None,
        until: Bound | None = None,
        allow_shrink: bool = False,
    ) -> RunReport:
        """Loads what is new, builds and tests the models below it, and publishes them.

        Args:
            select: tables (`shop.orders`), sources (`shop`), patterns (`shop.order*`) or tags
                (`tag:core`); all tables where there are none.
            full_refresh: read tables whole, whatever their mode.
            since: backfill from this value of the cursor, inclusive.
            until: backfill up to this value, exclusive. It needs `since`.
            allow_shrink: accept a full refresh that loses many rows.

        Returns:
            What happened to each table (`tables`, `failures`), to the models (`build`), and the
            exit code that the command would have had (`exit_code`); `as_json()` has all of it.

        Raises:
            LakefeedError: nothing could begin: a selector, the range or sources.yaml is wrong, the
                disk takes no files, or another run is building.
        """
        from lakefeed.loading.dlt_adapter.isolation import dlt_restored
        from lakefeed.orchestration.run import run

        request = _request(select, full_refresh, since, until, allow_shrink=allow_shrink)
        with _as_guest(), dlt_restored():
            return run(self._read(), request)

    def load(
        self,
        select: Sequence[str] = (),
        *,
        full_refresh: bool = False,
        since: Bound | None = None,
        until: Bound | None = None,
        allow_shrink: bool = False,
    ) -> RunReport:
        """Loads what is new into raw, without dbt.

        Arguments, report and errors are those of `run`.
        """
        from lakefeed.loading.dlt_adapter.isolation import dlt_restored
        from lakefeed.orchestration.run import load_alone

        request = _request(select, full_refresh, since, until, allow_shrink=allow_shrink)
        with _as_guest(), dlt_restored():
            return load_alone(self._read(), request)

    def status(self, select: Sequence[str] = ()) -> list[TableStatus]:
        """Where each table stands: checkpoint, last load, rows, files, age, last failure.

        Reads raw and the warehouse; connects to no source.

        Args:
            select: as for `run`.

        Raises:
            LakefeedError: a selector or sources.yaml is wrong, or the lake can't be read.
        """
        from lakefeed.orchestration.inspect.status import status
        from lakefeed.orchestration.project.selection import select_tables

        with _as_guest():
            project = self._read()
            selected = select_tables(project, _texts(select))
            return status(project, selected, dt.datetime.now(dt.UTC))

    def plan(
        self,
        select: Sequence[str] = (),
        *,
        full_refresh: bool = False,
        since: Bound | None = None,
        until: Bound | None = None,
    ) -> list[LoadPreview]:
        """What `load` with these arguments would read: columns, cursor, window, what it supersedes.

        Connects to each source for its tables, their columns and the transactions in flight; reads
        no rows and changes nothing. A table that can't be loaded has an `error`.

        Args:
            select, full_refresh, since, until: as for `run`.

        Raises:
            LakefeedError: a selector, the range or sources.yaml is wrong, or the lake is out of
                reach.
        """
        from lakefeed.orchestration.ingest.preview import preview_loads

        request = _request(select, full_refresh, since, until)
        with _as_guest():
            return preview_loads(self._read(), request)

    def _read(self) -> DeclaredProject:
        from lakefeed.declaration.project import open_project

        return open_project(self.root)


def _request(
    select: Sequence[str],
    full_refresh: bool,
    since: Bound | None,
    until: Bound | None,
    *,
    allow_shrink: bool = False,
) -> LoadRequest:
    from lakefeed.orchestration.ingest.load import LoadRequest

    return LoadRequest(
        select=_texts(select),
        full_refresh=full_refresh,
        since=_text(since),
        until=_text(until),
        allow_shrink=allow_shrink,
    )


def _texts(select: Sequence[str]) -> tuple[str, ...]:
    """One selector may stand for itself: it would else be taken for a list of letters."""
    return (select,) if isinstance(select, str) else tuple(select)


def _text(bound: Bound | None) -> str | None:
    """A bound as one would type it."""
    if bound is None or isinstance(bound, str):
        return bound
    return bound.isoformat() if isinstance(bound, dt.date) else str(bound)


@contextmanager
def _as_guest() -> Iterator[None]:
    """What belongs to the whole process is used by one call at a time, and isn't ended."""
    with _one_at_a_time, as_guest():
        yield
