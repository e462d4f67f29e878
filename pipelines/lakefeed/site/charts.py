"""Bar charts of run durations and rows per load, as numbers that the template draws."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.orchestration.inspect.overview import LoadPoint
from lakefeed.orchestration.reports.run_history import KeptRun
from lakefeed.site import wording
from lakefeed.site.outcomes import outcome_of
from lakefeed.wording import counted

HEIGHT = 64
SLOT = 10
MOST_BARS = 60
# A few bars would otherwise stretch over the whole page.
_LEAST_SLOTS = 40


@dataclass(frozen=True)
class Bar:
    """A bar: its position from the left, its height, its kind (a CSS class) and its tooltip."""

    x: int
    height: float
    kind: str
    title: str


@dataclass(frozen=True)
class Chart:
    """Bars on a canvas of this width, with a `summary` for screen readers.

    `first` and `last` label the oldest and the newest bar; `tallest` is the highest value.
    """

    bars: tuple[Bar, ...]
    width: int
    summary: str
    first: str = ""
    last: str = ""
    tallest: str = ""


def runs_chart(runs: Sequence[KeptRun]) -> Chart:
    """The duration of the last runs."""
    shown = runs[-MOST_BARS:]
    heights = _scaled([run.seconds for run in shown])
    bars = tuple(
        Bar(place * SLOT, height, outcome_of(run), _tooltip(run))
        for place, (run, height) in enumerate(zip(shown, heights, strict=True))
    )
    failed = sum(1 for run in shown if run.exit_code)
    first, last = _ends([run.started_at for run in shown])
    return Chart(
        bars=bars,
        width=max(len(bars), _LEAST_SLOTS) * SLOT,
        summary=f"{counted(len(shown), 'run')}, {failed} failed",
        first=first,
        last=last,
        tallest=wording.seconds(max((run.seconds for run in shown), default=0)),
    )


def loads_chart(loads: Sequence[LoadPoint]) -> Chart:
    """The rows of a table's last loads."""
    shown = loads[-MOST_BARS:]
    heights = _scaled([load.rows for load in shown])
    bars = tuple(
        Bar(
            place * SLOT,
            height,
            load.kind,
            f"{wording.moment(load.at)}: {counted(load.rows, 'row')}"
            f"{'' if load.kind == 'new' else f' ({load.kind})'}",
        )
        for place, (load, height) in enumerate(zip(shown, heights, strict=True))
    )
    most = max((load.rows for load in shown), default=0)
    first, last = _ends([load.at for load in shown])
    return Chart(
        bars=bars,
        width=max(len(bars), _LEAST_SLOTS) * SLOT,
        summary=f"{counted(len(shown), 'load')}, {counted(most, 'row')} maximum",
        first=first,
        last=last,
        tallest=counted(most, "row"),
    )


def _ends(times: Sequence[dt.datetime]) -> tuple[str, str]:
    """The labels of the oldest and the newest bar; one label if there is only one bar."""
    if not times:
        return "", ""
    newest = wording.moment(times[-1])
    return (wording.moment(times[0]), newest) if len(times) > 1 else (newest, "")


def _scaled(values: Sequence[float]) -> list[float]:
    """Heights on a log scale, since a first load may have a thousand times the rows of later ones.

    Zero is drawn as a line.
    """
    logs = [math.log10(1 + value) for value in values]
    most = max(logs, default=0)
    return [round(max(HEIGHT * log / most, 2) if most else 2, 1) for log in logs]


def _tooltip(run: KeptRun) -> str:
    return (
        f"{wording.moment(run.started_at)}, {run.command}: {outcome_of(run)}, "
        f"{counted(run.rows, 'row')}, {wording.seconds(run.seconds)}"
    )
