"""Which version wins and why, from plain data; test_trace.py compares it with real staging."""

from __future__ import annotations

import pytest

from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.row_versions import RowVersion
from lakefeed.orchestration.inspect.version_precedence import Judgement, absent_from, judge


def load(number: int, *, whole: bool = False) -> Load:
    moment = f"2026-01-{number:02}T00:00:00+00:00"
    return Load(
        load_id=f"{number}.0",
        table="shop__t",
        supersedes=whole,
        snapshot_at=moment,
        rows_read=1,
        rows=1,
        null_cursors=0,
        cursor="at",
        cursor_min=None,
        cursor_max=None,
        checkpoint_before=None,
        checkpoint=moment,
    )


def version(of: Load, cursor: int | None = None, *, gone: bool = False) -> RowVersion:
    return RowVersion(
        load=of,
        file="file",
        values={},
        cursor=str(cursor),
        cursor_rank=cursor,
        deleted_at="2026" if gone else None,
    )


ONE, TWO, THREE, WHOLE = load(1), load(2), load(3), load(4, whole=True)
LOADS = [ONE, TWO, THREE, WHOLE]


def judged(*versions: RowVersion, staged: tuple[Load, ...], deletes: str = "remove") -> Judgement:
    return judge(versions, LOADS, {load.load_id for load in staged}, deletes)


def outcomes(judgement: Judgement) -> list[str]:
    return [verdict.standing for verdict in judgement.verdicts]


def test_the_newest_snapshot_wins_regardless_of_the_cursor() -> None:
    found = judged(version(ONE, 9), version(TWO, 1), staged=(ONE, TWO))

    assert outcomes(found) == ["replaced", "wins"]
    assert "although load 1.0 has a newer cursor" in found.verdicts[1].why


def test_within_one_load_the_newest_cursor_wins() -> None:
    found = judged(version(ONE, 1), version(ONE, 2), staged=(ONE,))

    assert outcomes(found) == ["replaced", "wins"]
    assert found.verdicts[0].why == "the same load has a version with a newer cursor"
    assert found.verdicts[1].why == "it has the newest cursor of the load with the newest snapshot"


def test_an_unstaged_load_neither_wins_nor_replaces() -> None:
    found = judged(version(ONE), version(TWO), staged=(ONE,))

    assert outcomes(found) == ["wins", "not staged"]


def test_a_staged_load_of_the_whole_table_supersedes_earlier_loads() -> None:
    found = judged(version(ONE), version(THREE), staged=(ONE, WHOLE))

    assert outcomes(found) == ["superseded", "superseded"]
    assert found.told == "has no row: load 4.0 read the whole table without it"
    assert found.winner is None


@pytest.mark.parametrize(
    ("deletes", "expected", "has_row"),
    [
        ("remove", ["replaced", "deletes"], False),
        ("mark", ["replaced", "deletes"], True),
        ("ignore", ["wins", "passed over"], True),
    ],
)
def test_a_tombstone_is_applied_as_deletes_declares(
    deletes: str, expected: list[str], has_row: bool
) -> None:
    found = judged(version(ONE), version(TWO, gone=True), staged=(ONE, TWO), deletes=deletes)

    assert outcomes(found) == expected
    assert (found.winner is not None) == has_row


def test_a_row_that_returns_wins_over_its_tombstone() -> None:
    found = judged(version(ONE, gone=True), version(TWO), staged=(ONE, TWO))

    assert outcomes(found) == ["replaced", "wins"]


def test_a_row_is_absent_only_from_whole_table_loads_after_it_existed() -> None:
    later = load(5, whole=True)

    assert absent_from([version(ONE)], [*LOADS, later]) == [WHOLE]
    assert absent_from([version(WHOLE)], [*LOADS, later]) == [later]
    assert absent_from([], LOADS) == []
