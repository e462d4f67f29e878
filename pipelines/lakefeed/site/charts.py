"""Bars: how long runs took, how many rows loads brought. Numbers only; the template draws them."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.orchestration.inspect.overview import LoadPoint
from lakefeed.orchestration.reports.run_history import KeptRun
from lakefeed.site import wording
from lakefeed.site.outcomes import outcome_of

HEIGHT = 64
SLOT = 10
MOST_BARS = 60
# Few bars aren't drawn as wide as the page.
_LEAST_SLOTS = 40


@dataclass(frozen=True)
class Bar:
    """One bar from the left: its place, its height, what kind of thing it is, what it says."""

    x: int
    height: float
    kind: str
    title: str


@dataclass(frozen=True)
class Chart:
    """Bars on a ground `width` wide, and what they show in words.

    `first` and `last` stand below the oldest and the newest bar, `tallest` is the tallest's value.
    """

    bars: tuple[Bar, ...]
    width: int
    told: str
    first: str = ""
    last: str = ""
    tallest: str = ""


def runs_chart(runs: Sequence[KeptRun]) -> Chart:
    """How long the newest runs took."""
    shown = runs[-MOST_BARS:]
    heights = _scaled([run.seconds for run in shown])
    bars = tuple(
        Bar(place * SLOT, height, outcome_of(run), _told_of(run))
        for place, (run, height) in enumerate(zip(shown, heights, strict=True))
    )
    failed = sum(1 for run in shown if run.exit_code)
    return Chart(
        bars,
        max(len(bars), _LEAST_SLOTS) * SLOT,
        f"{wording.counted(len(shown), 'run')}, {failed} failed",
        *_ends([run.started_at for run in shown]),
        wording.seconds(max((run.seconds for run in shown), default=0)),
    )


def loads_chart(loads: Sequence[LoadPoint]) -> Chart:
    """How many rows the newest loads of a table brought."""
    shown = loads[-MOST_BARS:]
    heights = _scaled([load.rows for load in shown])
    bars = tuple(
        Bar(
            place * SLOT,
            height,
            load.kind,
            f"{wording.moment(load.at)}: {wording.counted(load.rows, 'row')}"
            f"{'' if load.kind == 'new' else f' ({load.kind})'}",
        )
        for place, (load, height) in enumerate(zip(shown, heights, strict=True))
    )
    most = max((load.rows for load in shown), default=0)
    return Chart(
        bars,
        max(len(bars), _LEAST_SLOTS) * SLOT,
        f"{wording.counted(len(shown), 'load')}, {wording.counted(most, 'row')} at most",
        *_ends([load.at for load in shown]),
        wording.counted(most, "row"),
    )


def _ends(times: Sequence[dt.datetime]) -> tuple[str, str]:
    """What stands below the oldest bar and below the newest, if there is more than one."""
    if not times:
        return "", ""
    newest = wording.moment(times[-1])
    return (wording.moment(times[0]), newest) if len(times) > 1 else (newest, "")


def _scaled(values: Sequence[float]) -> list[float]:
    """Heights by the logarithm, since a first load may bring a thousand times what later ones do;
    what is nothing is a line.
    """
    logs = [math.log10(1 + value) for value in values]
    most = max(logs, default=0)
    return [round(max(HEIGHT * log / most, 2) if most else 2, 1) for log in logs]


def _told_of(run: KeptRun) -> str:
    return (
        f"{wording.moment(run.started_at)}, {run.command}: {outcome_of(run)}, "
        f"{wording.counted(run.rows, 'row')}, {wording.seconds(run.seconds)}"
    )
