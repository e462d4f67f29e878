"""Which version of a row staging takes, and why: the rules of the staging macro, in words.

A load counts if it is staged and no load that is staged superseded it since. Of the versions in
loads that count, that of the newest snapshot wins, then that of the newest cursor. A tombstone
takes the row out, marks it or is passed over, as `deletes` says. (`staging.sql` and
`commit_log.sql` in transformation/dbt_package; tests/integration/test_trace.py holds the two
against each other.)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.row_versions import RowVersion

Standing = Literal["wins", "deletes", "replaced", "superseded", "passed over", "not staged"]


@dataclass(frozen=True)
class Precedence:
    """What became of a version, and why."""

    standing: Standing
    why: str


@dataclass(frozen=True)
class Judgement:
    """A verdict for each version; the version whose row staging has; and that in words."""

    verdicts: tuple[Precedence, ...]
    winner: RowVersion | None
    told: str


def judge(
    versions: Sequence[RowVersion],
    loads: Sequence[Load],
    staged: Collection[str],
    deletes: str,
) -> Judgement:
    """What staging makes of these versions once these loads are staged; all in their order."""
    counting = _loads_that_count([load for load in loads if load.load_id in staged])
    ids = {load.load_id for load in counting}
    running = [v for v in versions if v.load.load_id in ids and not _is_passed_over(v, deletes)]
    last = running[-1] if running else None
    verdicts = tuple(_verdict(version, running, loads=loads, staged=staged) for version in versions)
    taken = last if last and not (last.deleted_at and deletes == "remove") else None
    return Judgement(verdicts, taken, _told(versions, counting, last, deletes))


def absent_from(versions: Sequence[RowVersion], loads: Sequence[Load]) -> list[Load]:
    """The loads of the whole table that lack a row which was there before: there it is deleted."""
    holding = {version.load.load_id for version in versions}
    absent, present = [], False
    for load in loads:
        if load.load_id in holding:
            present = True
        elif load.supersedes and present:
            absent.append(load)
            present = False
    return absent


def _loads_that_count(loads: Sequence[Load]) -> Sequence[Load]:
    start = max((place for place, load in enumerate(loads) if load.supersedes), default=0)
    return loads[start:]


def _is_passed_over(version: RowVersion, deletes: str) -> bool:
    return version.deleted_at is not None and deletes == "ignore"


def _verdict(
    version: RowVersion,
    running: Sequence[RowVersion],
    *,
    loads: Sequence[Load],
    staged: Collection[str],
) -> Precedence:
    superseding = _superseding(version.load, loads, staged)
    if superseding:
        return Precedence(
            "superseded",
            f"load {superseding.load_id} read the whole table later, so that this load no longer "
            "counts",
        )
    if version.load.load_id not in staged:
        return Precedence("not staged", "no build has taken its load yet")
    if version not in running:
        return Precedence("passed over", "`deletes: ignore` passes over what left the source")
    if version is not running[-1]:
        return Precedence("replaced", _what_replaces_it(version, running))
    if version.deleted_at:
        return Precedence("deletes", "nothing newer counts, and this says that the row is gone")
    return Precedence("wins", _why_it_wins(version, running))


def _what_replaces_it(version: RowVersion, running: Sequence[RowVersion]) -> str:
    following = running[running.index(version) + 1]
    if following.load is version.load:
        return "the same load holds it with a newer cursor"
    return f"load {following.load.load_id} has a newer snapshot"


def _superseding(load: Load, loads: Sequence[Load], staged: Collection[str]) -> Load | None:
    later = loads[loads.index(load) + 1 :]
    return next((one for one in later if one.supersedes and one.load_id in staged), None)


def _why_it_wins(version: RowVersion, running: Sequence[RowVersion]) -> str:
    others = [one for one in running if one is not version]
    if not others:
        return "it is the only version in the loads that count"
    if others[-1].load is version.load:
        return "it has the newest cursor of its load, whose snapshot is the newest"
    newer = [one for one in others if (one.cursor_rank or 0) > (version.cursor_rank or 0)]
    if newer and version.cursor_rank:
        return (
            f"its snapshot is the newest, though load {newer[-1].load.load_id} has a newer cursor: "
            "the source was corrected backwards"
        )
    return "its snapshot is the newest"


def _told(
    versions: Sequence[RowVersion],
    counting: Sequence[Load],
    last: RowVersion | None,
    deletes: str,
) -> str:
    if last is None and not counting:
        return "has no row: no load is staged"
    if last is None:
        whole = counting[0]
        if whole.supersedes and any(one.load.order < whole.order for one in versions):
            return f"has no row: load {whole.load_id}, the whole table, lacks it"
        return "has no row: no load that is staged holds it"
    if last.deleted_at is None:
        return f"has the row as load {last.load.load_id} brought it"
    if deletes == "mark":
        return f"has the row with _deleted_at: load {last.load.load_id} missed it in the source"
    return f"has no row: load {last.load.load_id} missed it in the source"
