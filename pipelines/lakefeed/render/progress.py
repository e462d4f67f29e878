"""What a run shows while it loads: which tables, how far long reads are, and each result."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table as Grid

from lakefeed.interruption import is_interrupted
from lakefeed.render.parts.grouping import FEWEST_GROUPED, of_notes
from lakefeed.render.parts.wording import table_line
from lakefeed.wording import data_size, duration_text

if TYPE_CHECKING:
    from lakefeed.declaration.table import Table
    from lakefeed.orchestration.reports.listener import LongRead
    from lakefeed.orchestration.reports.run_report import TableReport

_ON_TERMINALS_SECONDS = 2.0
_ELSEWHERE_SECONDS = 60.0
_BAR_WIDTH = 24


class ProgressLines:
    """Shows which tables are loading: live on a terminal, a line per table elsewhere.

    Long reads get a progress bar on a terminal, and a line each minute elsewhere.

    A note that several tables share is printed for the first of them; `print_notes` tells how many
    have it.
    """

    def __init__(self, out: Console) -> None:
        self._out = out
        self._loading: list[str] = []
        self._told: Counter[str] = Counter()
        self._reads: tuple[LongRead, ...] = ()
        self._spinner = Spinner("dots", style="status.spinner")
        self._live = Live(console=out, refresh_per_second=12.5, transient=True)
        self._lock = Lock()

    @property
    def reads_every(self) -> float | None:
        """How often `reading` is to be called, in seconds."""
        return _ON_TERMINALS_SECONDS if self._out.is_terminal else _ELSEWHERE_SECONDS

    def started(self, table: Table) -> None:
        """Shows the table's name while it loads, on a terminal."""
        with self._lock:
            self._loading.append(table.shown)
            self._show()

    def reading(self, reads: Sequence[LongRead]) -> None:
        """Shows how far long reads are; those of an earlier call are over or shown again."""
        with self._lock:
            self._reads = tuple(read for read in reads if read.name in self._loading)
            if self._out.is_terminal:
                self._show()
                return
            for read in self._reads:
                parts = [read.note, *_counts(read)]
                self._out.print(
                    f"reading {read.name}: {', '.join(filter(None, parts))}",
                    soft_wrap=True,
                    markup=False,
                )

    def ended(self, report: TableReport) -> None:
        """Prints the result of a table's load, unless Ctrl-C ended it."""
        if is_interrupted():
            return
        with self._lock:
            if report.name in self._loading:
                self._loading.remove(report.name)
            self._reads = tuple(read for read in self._reads if read.name != report.name)
            self._show()
            self._out.print(table_line(self._with_new_notes(report)), soft_wrap=True)

    def _with_new_notes(self, report: TableReport) -> TableReport:
        patterns = [message.pattern for message in of_notes([report])]
        self._told.update(patterns)
        notes = zip(report.notes, patterns, strict=True)
        new = tuple(note for note, pattern in notes if self._told[pattern] < FEWEST_GROUPED)
        return replace(report, notes=new)

    def waiting(self, why: str) -> None:
        """Shows why the run is waiting, on a terminal; the run's notes contain it as well."""
        with self._lock:
            if self._out.is_terminal:
                self._update(escape(why))

    def _show(self) -> None:
        if not self._out.is_terminal:
            return
        if self._loading:
            self._update(escape(f"loading {', '.join(self._loading)}"))
        else:
            self._live.stop()

    def _update(self, text: str) -> None:
        self._spinner.update(text=text)
        shown: RenderableType = self._spinner
        if self._reads:
            shown = Group(self._spinner, _bars(self._reads))
        self._live.update(shown)
        self._live.start()


def _bars(reads: Sequence[LongRead]) -> Grid:
    """A line for each read: its name, a bar if its length is known, counts and the time left."""
    grid = Grid.grid(padding=(0, 1))
    for read in reads:
        done = read.rows if read.expected_size is None else read.size
        expected = read.expected_rows if read.expected_size is None else read.expected_size
        total = max(expected, done) if expected else None
        bar = ProgressBar(total=total, completed=done, width=_BAR_WIDTH, pulse=total is None)
        counts = ", ".join(filter(None, [read.note, *_counts(read)]))
        grid.add_row(escape(f"  {read.name}"), bar, escape(counts))
    return grid


def _counts(read: LongRead) -> list[str]:
    rows = f"{read.rows:,} rows"
    if read.expected_rows is not None:
        rows = f"{read.rows:,} of about {max(read.expected_rows, read.rows):,} rows"
    parts = [rows] if read.rows else []
    of = f" of {data_size(read.expected_size)}" if read.expected_size else ""
    parts += [f"{data_size(read.size)}{of}"] if read.size else []
    if read.seconds_left is not None:
        left = dt.timedelta(seconds=max(1, round(read.seconds_left)))
        parts.append(f"{_coarsely(left)} left")
    return parts


def _coarsely(span: dt.timedelta) -> str:
    """A time left, without seconds where there are minutes, and without minutes in days."""
    seconds = round(span.total_seconds())
    for unit in (86_400, 3600, 60):
        if seconds >= 10 * unit:
            return duration_text(dt.timedelta(seconds=seconds // unit * unit))
    return duration_text(span)
