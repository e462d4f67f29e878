"""The Python API: a project's commands as methods that return their reports as data.

    import lakefeed

    project = lakefeed.open("path/to/project")
    report = project.run(select=["shop.orders"])

For notebooks, scripts and other orchestrators. Prints nothing, replaces no signal handlers, and
starts no processes that would import the calling script again. Importing it is cheap: dlt, dbt and
DuckDB are imported by the first call that needs them.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING

from lakefeed.interruption import as_guest

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project as DeclaredProject
    from lakefeed.loading.forecast.planned_load import LoadPreview
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.inspect.status import TableStatus
    from lakefeed.orchestration.reports.run_report import RunReport

# The start or the end of a backfill: a value of the cursor.
Bound = str | int | dt.date | dt.datetime

# dlt's settings, dbt's working directory and the environment are shared by the whole process.
_one_at_a_time = RLock()


def open(path: str | os.PathLike[str] | None = None) -> Project:
    """Opens the project in a folder, as the option `--project` does.

    Reads sources.yaml and its catalogue. Needs no connection and no secrets.

    Args:
        path: the project's folder. By default the current folder, or its nearest parent that is a
            project.

    Raises:
        LakefeedError: sources.yaml is missing or invalid; lists every mistake in it.
    """
    from lakefeed.declaration.document.root import nearest_root

    return Project(Path(path) if path is not None else nearest_root())


class Project:
    """A project folder. Every method reads sources.yaml again, so it sees your edits.

    Within a process, calls run one at a time, even for different projects and from different
    threads. Errors are raised as `lakefeed.LakefeedError`. Tables that fail to load and models that
    fail to build raise none: they are in the report.
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
        """Loads new rows, then builds, tests and publishes the downstream models.

        Args:
            select: tables (`shop.orders`), sources (`shop`), patterns (`shop.order*`) or tags
                (`tag:core`). All tables by default.
            full_refresh: read whole tables, whatever their mode.
            since: backfill from this cursor value, inclusive.
            until: backfill up to this cursor value, exclusive. Requires `since`.
            allow_shrink: accept a full refresh that loses many rows.

        Returns:
            The result of each table (`tables`, `failures`) and of the models (`build`), and the
            exit code of the equivalent command (`exit_code`). `as_json()` returns all of it.

        Raises:
            LakefeedError: the run couldn't start: a selector, the range or sources.yaml is invalid,
                the disk isn't writable, or another run is building.
        """
        from lakefeed.orchestration.run import run

        request = _request(select, full_refresh, since, until, allow_shrink=allow_shrink)
        return self._reported(run, request)

    def load(
        self,
        select: Sequence[str] = (),
        *,
        full_refresh: bool = False,
        since: Bound | None = None,
        until: Bound | None = None,
        allow_shrink: bool = False,
    ) -> RunReport:
        """Loads new rows into raw, without running dbt.

        Takes the same arguments as `run`, and returns and raises the same.
        """
        from lakefeed.orchestration.run import load_alone

        request = _request(select, full_refresh, since, until, allow_shrink=allow_shrink)
        return self._reported(load_alone, request)

    def status(self, select: Sequence[str] = ()) -> list[TableStatus]:
        """The state of each table: checkpoint, last load, rows, files, age, last failure.

        Reads raw and the warehouse, and connects to no source.

        Args:
            select: as for `run`.

        Raises:
            LakefeedError: a selector or sources.yaml is invalid, or the lake can't be read.
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
        """What `load` with these arguments would read: columns, cursor, window, superseded loads.

        Connects to each source to learn its tables, their columns and the transactions in flight.
        Reads no rows and changes nothing. A table that can't be loaded has an `error`.

        Args:
            select, full_refresh, since, until: as for `run`.

        Raises:
            LakefeedError: a selector, the range or sources.yaml is invalid, or the lake can't be
                reached.
        """
        from lakefeed.orchestration.ingest.preview import preview_loads

        request = _request(select, full_refresh, since, until)
        with _as_guest():
            return preview_loads(self._read(), request)

    def _reported(
        self, command: Callable[[DeclaredProject, LoadRequest], RunReport], request: LoadRequest
    ) -> RunReport:
        from lakefeed.loading.dlt_adapter.isolation import dlt_restored

        with _as_guest(), dlt_restored():
            return command(self._read(), request)

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
    from lakefeed.orchestration.ingest.load_request import LoadRequest

    return LoadRequest(
        select=_texts(select),
        full_refresh=full_refresh,
        since=_text(since),
        until=_text(until),
        allow_shrink=allow_shrink,
    )


def _texts(select: Sequence[str]) -> tuple[str, ...]:
    """Accepts a single string too, which would otherwise be taken for a list of letters."""
    return (select,) if isinstance(select, str) else tuple(select)


def _text(bound: Bound | None) -> str | None:
    """A bound as a user would type it."""
    if bound is None or isinstance(bound, str):
        return bound
    return bound.isoformat() if isinstance(bound, dt.date) else str(bound)


@contextmanager
def _as_guest() -> Iterator[None]:
    """Uses what the process shares in one call at a time, and never ends the process."""
    with _one_at_a_time, as_guest():
        yield
