"""How `lakefeed unlock` looks on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from lakefeed.orchestration.maintenance.unlock import UnlockReport
from lakefeed.wording import counted


def render_unlock(report: UnlockReport) -> str:
    """Who holds the locks, and how to end them."""
    return "\n".join((*_of_table(report), *_of_build(report)))


def _of_table(report: UnlockReport) -> Iterator[str]:
    if not report.sessions and not report.process:
        yield f"{report.table} is not locked"
        return
    yield f"{report.table} is locked by a run:"
    for place, session in enumerate(report.sessions):
        yield f"  {session}" + ("" if place else "; it holds the lock")
    if report.process:
        yield f"  {report.process}"
    if report.ended:
        yield from _ended(report)
    elif report.sessions:
        yield f"to end that run, for all of its tables: lakefeed unlock {report.table} --end"
    elif report.process:
        yield f"to end it{report.process.where}: kill {report.process.pid}"


def _ended(report: UnlockReport) -> Iterator[str]:
    sessions = counted(len(report.sessions), "session")
    if not report.is_free:
        yield f"told {sessions} to end; the lock isn't free yet: look again with lakefeed unlock"
        return
    yield f"ended {sessions}: {report.table} is free in the source"
    if report.process:
        process = report.process
        yield (
            f"if the run's process doesn't end by itself, it keeps its lock file"
            f"{process.where}: kill {process.pid}"
        )


def _of_build(report: UnlockReport) -> Iterator[str]:
    if report.build:
        yield f"the warehouse is being built by {report.build}"
