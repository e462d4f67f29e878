"""What somebody who opens the page should look at first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lakefeed.orchestration.inspect.overview import Overview, TableOverview
from lakefeed.site import wording

Level = Literal["failed", "warned"]


@dataclass(frozen=True)
class Notice:
    """One thing to look at, how bad it is, and the anchor that tells more."""

    level: Level
    text: str
    anchor: str


def notices(seen: Overview) -> list[Notice]:
    """What failed, then what is only late or warned of."""
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
        told = f": {', '.join(failed)}" if failed else ""
        yield Notice("failed", f"the newest run failed in part{told}", "runs")
    for table in seen.tables:
        yield from _of_table(table)
    for result in seen.test_results:
        test = result.test
        if test.failed or test.status == "warn":
            told = f"test {test.name}: {wording.plain_message(test.message)}"
            yield Notice("failed" if test.failed else "warned", told, "tests")
    for because, names in _held_back(seen).items():
        yield Notice("failed", f"held back, since {because}: {', '.join(names)}", "models")


def _held_back(seen: Overview) -> dict[str, list[str]]:
    """Models that stay at their last version, by the reason."""
    held: dict[str, list[str]] = {}
    for one in seen.models:
        if one.standing and one.standing.held:
            held.setdefault(one.standing.held.because, []).append(one.model.name)
    return held


def _of_table(seen: TableOverview) -> Iterator[Notice]:
    name, stands = seen.table.shown, seen.status
    if stands.freshness in ("late", "too late"):
        level: Level = "failed" if stands.freshness == "too late" else "warned"
        age = "was never loaded" if stands.age_seconds is None else "is " + stands.freshness
        told = f": its newest load was {wording.span(stands.age_seconds)} old"
        yield Notice(level, f"{name} {age}{told if stands.age_seconds else ''}", "tables")
    if seen.unread:
        yield Notice("failed", f"{name}: raw can't be read: {seen.unread}", "lateness")
    if seen.lateness and seen.lateness.beyond:
        told = wording.counted(seen.lateness.beyond, "row")
        yield Notice("warned", f"{name}: {told} came later than the lookback", "lateness")
