"""Explains which version of a row staging takes, by the rules of the staging macro.

A load counts if it is staged and no later staged load supersedes it. Among the versions in these
loads, the newest snapshot wins, then the newest cursor, or the last change in the log. A tombstone
removes the row, marks it or is ignored, depending on `deletes`. (The macros are `staging.sql`,
`commit_log.sql` and `changes_of_log.sql` in transformation/dbt_package; tests/integration/
test_trace.py and tests/wal/test_several_versions.py check that they agree.)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from lakefeed.loading.raw.load_manifest import Load, effective
from lakefeed.loading.raw.row_versions import RowVersion

VersionOutcome = Literal["wins", "deletes", "replaced", "superseded", "passed over", "not staged"]


@dataclass(frozen=True)
class Precedence:
    """The outcome of a version, and why."""

    standing: VersionOutcome
    why: str


@dataclass(frozen=True)
class Judgement:
    """A verdict for each version, the version that staging has, and a sentence about it."""

    verdicts: tuple[Precedence, ...]
    winner: RowVersion | None
    told: str


def judge(
    versions: Sequence[RowVersion],
    loads: Sequence[Load],
    staged: Collection[str],
    deletes: str,
) -> Judgement:
    """Decides what staging does with these versions once the `staged` loads are staged.

    Versions and loads must be in order.
    """
    counting = effective([load for load in loads if load.load_id in staged])
    ids = {load.load_id for load in counting}
    eligible = [v for v in versions if v.load.load_id in ids and not _is_ignored(v, deletes)]
    last = eligible[-1] if eligible else None
    verdicts = tuple(
        _verdict(version, eligible, loads=loads, staged=staged) for version in versions
    )
    winner = last if last and not (last.deleted_at and deletes == "remove") else None
    return Judgement(verdicts, winner, _summary(versions, counting, last, deletes))


def absent_from(versions: Sequence[RowVersion], loads: Sequence[Load]) -> list[Load]:
    """The loads of the whole table without a row that was there before: they show a deletion."""
    holding = {version.load.load_id for version in versions}
    absent, present = [], False
    for load in loads:
        if load.load_id in holding:
            present = True
        elif load.is_whole and present:
            absent.append(load)
            present = False
    return absent


def _is_ignored(version: RowVersion, deletes: str) -> bool:
    return version.deleted_at is not None and deletes == "ignore"


def _verdict(
    version: RowVersion,
    eligible: Sequence[RowVersion],
    *,
    loads: Sequence[Load],
    staged: Collection[str],
) -> Precedence:
    superseding = _superseding(version.load, loads, staged)
    if superseding:
        return Precedence(
            "superseded",
            f"load {superseding.load_id} later read the whole table and supersedes this load",
        )
    if version.load.load_id not in staged:
        return Precedence("not staged", "no build has staged its load yet")
    if version not in eligible:
        return Precedence("passed over", "a tombstone, ignored because of `deletes: ignore`")
    if version is not eligible[-1]:
        return Precedence("replaced", _what_replaces_it(version, eligible))
    if version.deleted_at:
        return Precedence("deletes", "a tombstone, and the newest version: the row was deleted")
    return Precedence("wins", _why_it_wins(version, eligible))


def _what_replaces_it(version: RowVersion, eligible: Sequence[RowVersion]) -> str:
    place = next(place for place, other in enumerate(eligible) if other is version)
    following = eligible[place + 1]
    if following.change and version.change and following.change.lsn == version.change.lsn:
        return "its transaction changed the row once more"
    if following.change:
        later = following.load
        where = "the same load" if later is version.load else f"load {later.load_id}"
        return f"{where} has a later change from the log"
    if following.load is version.load:
        return "the same load has a version with a newer cursor"
    return f"load {following.load.load_id} has a newer snapshot"


def _superseding(load: Load, loads: Sequence[Load], staged: Collection[str]) -> Load | None:
    later = loads[loads.index(load) + 1 :]
    return next((load for load in later if load.supersedes and load.load_id in staged), None)


def _why_it_wins(version: RowVersion, eligible: Sequence[RowVersion]) -> str:
    others = [other for other in eligible if other is not version]
    if not others:
        return "it is the only version in the loads that count"
    if version.change:
        return "it is the last change in the log"
    if others[-1].load is version.load:
        return "it has the newest cursor of the load with the newest snapshot"
    newer = [other for other in others if (other.cursor_rank or 0) > (version.cursor_rank or 0)]
    if newer and version.cursor_rank:
        return (
            f"its snapshot is the newest, although load {newer[-1].load.load_id} has a newer "
            "cursor: the cursor was set back in the source"
        )
    return "its snapshot is the newest"


def _summary(
    versions: Sequence[RowVersion],
    counting: Sequence[Load],
    last: RowVersion | None,
    deletes: str,
) -> str:
    if last is None and not counting:
        return "has no row: no load is staged"
    if last is None:
        whole = counting[0]
        if whole.supersedes and any(version.load.order < whole.order for version in versions):
            return f"has no row: load {whole.load_id} read the whole table without it"
        return "has no row: no staged load contains it"
    load_id = last.load.load_id
    if last.deleted_at is None:
        return f"has the row from load {load_id}"
    if deletes == "mark":
        return f"has the row with _deleted_at: load {load_id} found it deleted in the source"
    return f"has no row: load {load_id} found it deleted in the source"
