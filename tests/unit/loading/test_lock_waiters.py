"""A waiting session is described by the kind of its statement, without values."""

from __future__ import annotations

import pytest

from lakefeed.loading.sessions.lock_waiters import Waiter, kind_of_query


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("alter table t add x int", "ALTER TABLE"),
        ("  /* from: 'app' */ -- now\n DROP\n  TABLE t", "DROP TABLE"),
        ("truncate t", "TRUNCATE"),
        ("update t set password = 'secret'", "UPDATE"),
        ("Lock t", "LOCK T"),
        ("", ""),
        ("<insufficient privilege>", ""),
    ],
)
def test_a_query_is_described_by_its_first_words(query: str, kind: str) -> None:
    assert kind_of_query(query) == kind


def test_a_session_with_a_hidden_query_is_described_by_the_lock_that_it_waits_for() -> None:
    waiter = Waiter(7, "", "<insufficient privilege>", "AccessExclusiveLock")

    assert str(waiter) == "pid 7 is waiting for AccessExclusiveLock"
