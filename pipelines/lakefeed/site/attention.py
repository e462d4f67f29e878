"""What needs attention: failures, late tables, warnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lakefeed.orchestration.inspect.overview import Overview, TableOverview
from lakefeed.site import wording
from lakefeed.wording import counted

Level = Literal["failed", "warned"]


@dataclass(frozen=True)
class Notice:
    """A problem, its level, and the anchor of the section with its details."""

    level: Level
    text: str
    anchor: str


def notices(seen: Overview) -> list[Notice]:
    """Failures, then warnings."""
    found = list(_notices(seen))
    return sorted(found, key=lambda notice: notice.level != "failed")


def _notices(seen: Overview) -> Iterator[Notice]:
    if seen.unread:
        yield Notice("warned", seen.unread, "models")
    if seen.rolled_back:
        yield Notice("warned", seen.rolled_back, "models")
    if seen.runs and seen.runs[-1].exit_code:
        run = seen.runs[-1]
        failed = [table.name for table in run.tables if table.error]
        tables = f": {', '.join(failed)}" if failed else ""
        yield Notice("failed", f"the last run partly failed{tables}", "runs")
    for table in seen.tables:
        yield from _of_table(table)
    for slot in seen.slots:
        if slot.problem or slot.is_late:
            yield Notice("warned", slot.shown, "tables")
    for result in seen.test_results:
        test = result.test
        if test.failed or test.status == "warn":
            text = f"test {test.name}: {wording.plain_message(test.message)}"
            yield Notice("failed" if test.failed else "warned", text, "tests")
    for because, names in _held_back(seen).items():
        yield Notice("failed", f"held back because {because}: {', '.join(names)}", "models")


def _held_back(seen: Overview) -> dict[str, list[str]]:
    """Models held back at their last published version, by reason."""
    held: dict[str, list[str]] = {}
    for found in seen.models:
        if found.standing and found.standing.held:
            held.setdefault(found.standing.held.because, []).append(found.model.name)
    return held


def _of_table(seen: TableOverview) -> Iterator[Notice]:
    name, status = seen.table.shown, seen.status
    if status.freshness in ("late", "too late"):
        level: Level = "failed" if status.freshness == "too late" else "warned"
        problem = "was never loaded" if status.age_seconds is None else "is " + status.freshness
        age = f": its newest load is {wording.span(status.age_seconds)} old"
        yield Notice(level, f"{name} {problem}{age if status.age_seconds else ''}", "tables")
    if seen.unread:
        yield Notice("failed", f"{name}: raw can't be read: {seen.unread}", "lateness")
    if seen.lateness and seen.lateness.beyond and not status.paused:
        rows = counted(seen.lateness.beyond, "row")
        yield Notice("warned", f"{name}: {rows} arrived later than the lookback", "lateness")
