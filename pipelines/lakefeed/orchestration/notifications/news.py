"""Decides, from plain data, what of a run is news to the people whom `notify` names.

What fails is told once, again after a day, and once more when it has recovered. Each subject (a
table, a model, a test) is followed by itself, so that a run of some tables says nothing of others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lakefeed.orchestration.reports.run_report import RunReport

REMIND_AFTER = dt.timedelta(days=1)


@dataclass(frozen=True)
class Told:
    """What people know.

    Attributes:
        failing: when each subject that fails was last told, by its name.
        drift: the changes in the source that were told and that the newest run still saw.
    """

    failing: dict[str, dt.datetime]
    drift: tuple[str, ...] = ()


@dataclass(frozen=True)
class News:
    """What a run brings to tell: all that fails, what has recovered, and what changed."""

    failing: tuple[str, ...] = ()
    recovered: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()


def news_of(report: RunReport, command: str, told: Told, now: dt.datetime) -> News | None:
    """What to tell of a run that ended with this report; None if it is nothing new."""
    failing = tuple(dict.fromkeys(_failing(report)))
    recovered = tuple(
        name for name in told.failing if name in {command, *_sound(report)} - {*failing}
    )
    drift = tuple(line for line in report.drift if line not in told.drift)
    is_new = any(_is_due(told.failing.get(name), now) for name in failing)
    return News(failing, recovered, drift) if is_new or recovered or drift else None


def news_of_stop(command: str, told: Told, now: dt.datetime) -> News | None:
    """What to tell of a command that an error ended, so that there is no report."""
    return News((command,)) if _is_due(told.failing.get(command), now) else None


def after_telling(told: Told, news: News, now: dt.datetime) -> Told:
    """What people know once they were told the news."""
    known = {name: at for name, at in told.failing.items() if name not in news.recovered}
    failing = known | dict.fromkeys(news.failing, now)
    return Told(failing, (*told.drift, *news.drift))


def still_seen(told: Told, report: RunReport) -> Told:
    """What people know, without changes in the source that this run no longer sees."""
    return replace(told, drift=tuple(line for line in told.drift if line in report.drift))


def _is_due(told_at: dt.datetime | None, now: dt.datetime) -> bool:
    return told_at is None or now - told_at >= REMIND_AFTER


def _failing(report: RunReport) -> Iterator[str]:
    yield from (table.name for table in report.failures)
    if report.build_error:
        yield "dbt"
    if report.build:
        yield from (node.name for node in report.build.failures)
    yield from report.kept


def _sound(report: RunReport) -> Iterator[str]:
    """What this run has seen to work."""
    yield from (table.name for table in report.tables if table.status != "failed")
    if report.build:
        yield "dbt"
        yield from (n.name for n in report.build.nodes if not n.failed and n.status != "skipped")
