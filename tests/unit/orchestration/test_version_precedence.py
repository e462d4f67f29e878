"""Which version wins and why, from plain data; test_trace.py asks staging itself."""

from __future__ import annotations

import pytest

from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.row_versions import RowVersion
from lakefeed.orchestration.inspect.version_precedence import Judgement, absent_from, judge


def load(number: int, *, whole: bool = False) -> Load:
    moment = f"2026-01-{number:02}T00:00:00+00:00"
    return Load(f"{number}.0", "shop__t", whole, moment, 1, 1, 0, "at", None, None, None, moment)


def version(of: Load, cursor: int | None = None, *, gone: bool = False) -> RowVersion:
    return RowVersion(of, "file", {}, str(cursor), cursor, "2026" if gone else None)


ONE, TWO, THREE, WHOLE = load(1), load(2), load(3), load(4, whole=True)
LOADS = [ONE, TWO, THREE, WHOLE]


def judged(*versions: RowVersion, staged: tuple[Load, ...], deletes: str = "remove") -> Judgement:
    return judge(versions, LOADS, {one.load_id for one in staged}, deletes)


def told(judgement: Judgement) -> list[str]:
    return [verdict.standing for verdict in judgement.verdicts]


def test_the_newest_snapshot_wins_whatever_the_cursor_says() -> None:
    found = judged(version(ONE, 9), version(TWO, 1), staged=(ONE, TWO))

    assert told(found) == ["replaced", "wins"]
    assert "though load 1.0 has a newer cursor" in found.verdicts[1].why


def test_within_one_load_the_newest_cursor_wins() -> None:
    found = judged(version(ONE, 1), version(ONE, 2), staged=(ONE,))

    assert told(found) == ["replaced", "wins"]
    assert found.verdicts[0].why == "the same load holds it with a newer cursor"
    assert "newest cursor of its load" in found.verdicts[1].why


def test_a_load_that_is_not_staged_neither_wins_nor_replaces() -> None:
    found = judged(version(ONE), version(TWO), staged=(ONE,))

    assert told(found) == ["wins", "not staged"]


def test_a_load_before_a_staged_one_of_the_whole_table_counts_no_longer() -> None:
    found = judged(version(ONE), version(THREE), staged=(ONE, WHOLE))

    assert told(found) == ["superseded", "superseded"]
    assert found.told == "has no row: load 4.0, the whole table, lacks it"
    assert found.winner is None


@pytest.mark.parametrize(
    ("deletes", "standings", "has_row"),
    [
        ("remove", ["replaced", "deletes"], False),
        ("mark", ["replaced", "deletes"], True),
        ("ignore", ["wins", "passed over"], True),
    ],
)
def test_a_tombstone_does_what_is_declared(
    deletes: str, standings: list[str], has_row: bool
) -> None:
    found = judged(version(ONE), version(TWO, gone=True), staged=(ONE, TWO), deletes=deletes)

    assert told(found) == standings
    assert (found.winner is not None) == has_row


def test_a_row_that_comes_back_wins_over_its_tombstone() -> None:
    found = judged(version(ONE, gone=True), version(TWO), staged=(ONE, TWO))

    assert told(found) == ["replaced", "wins"]


def test_a_whole_load_lacks_only_what_was_there() -> None:
    later = load(5, whole=True)

    assert absent_from([version(ONE)], [*LOADS, later]) == [WHOLE]
    assert absent_from([version(WHOLE)], [*LOADS, later]) == [later]
    assert absent_from([], LOADS) == []
