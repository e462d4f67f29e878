"""The changes of a transaction are kept until it commits, without what was rolled back."""

from __future__ import annotations

import struct
from contextlib import closing
from pathlib import Path

import pytest

from lakefeed.errors import StorageFailed
from lakefeed.source.log.messages import INSERT, Column, Relation
from lakefeed.source.log.rows import Change
from lakefeed.source.log.spool import Spool

TABLE = Relation(
    oid=1, schema="public", name="t", identity="d", columns=(Column("a", 25, -1, True),)
)
# Enough that a thousand of them don't stay in memory.
LONG = "x" * 1000


def row(text: str) -> bytes:
    value = text.encode()
    return b"N" + struct.pack(">HcI", 1, b"t", len(value)) + value


def filled(spool: Spool, subtransaction: int, count: int, text: str = LONG) -> None:
    for _ in range(count):
        spool.add(subtransaction, TABLE, INSERT, row(f"{subtransaction} {text}"))


def kept(spool: Spool) -> list[int]:
    """Of which subtransaction each change is that is left."""
    return [int(str((change.new or ("",))[0]).split()[0]) for change in spool.changes()]


def test_changes_come_back_in_their_order(tmp_path: Path) -> None:
    with closing(Spool(tmp_path)) as spool:
        for number in range(5000):
            spool.add(1, TABLE, INSERT, row(f"{number} {LONG}"))
        spool.add_truncate(1, TABLE)

        changes = list(spool.changes())

    assert changes[:2] == [
        Change(TABLE, "insert", (f"{number} {LONG}",), None) for number in range(2)
    ]
    assert len(changes) == 5001
    assert changes[-1] == Change(TABLE, "truncate", None, None)


def test_a_value_may_be_larger_than_what_is_read_at_once(tmp_path: Path) -> None:
    with closing(Spool(tmp_path)) as spool:
        filled(spool, 1, 2, text="y" * 5_000_000)
        filled(spool, 2, 1)

        assert kept(spool) == [1, 1, 2]


@pytest.mark.parametrize("count", [1, 1000])
def test_what_is_rolled_back_is_forgotten_with_all_within_it(tmp_path: Path, count: int) -> None:
    with closing(Spool(tmp_path)) as spool:
        filled(spool, 1, count)
        filled(spool, 2, count)
        filled(spool, 3, count)
        filled(spool, 2, count)
        # The server names those that are within others first.
        spool.roll_back(3)
        spool.roll_back(2)
        filled(spool, 1, 1)
        filled(spool, 4, count)
        spool.roll_back(5)

        assert kept(spool) == [1] * (count + 1) + [4] * count


def test_a_subtransaction_may_change_nothing_before_those_within_it(tmp_path: Path) -> None:
    with closing(Spool(tmp_path)) as spool:
        filled(spool, 1, 1)
        filled(spool, 3, 1)
        filled(spool, 2, 1)
        spool.roll_back(3)
        spool.roll_back(2)

        assert kept(spool) == [1]


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    filled(spool, 1, 1000)

    assert spool.size > 1_000_000
    assert list(tmp_path.iterdir()) == []
    spool.close()


def test_a_folder_that_isnt_there_is_named(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "missing")) as spool, pytest.raises(StorageFailed):
        filled(spool, 1, 1000)
