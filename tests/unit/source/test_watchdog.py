"""When a silent session is considered dead."""

from __future__ import annotations

import pytest

from lakefeed.source.connections.watchdog import Activity, why_dead


@pytest.mark.parametrize(
    ("activity", "computes", "why"),
    [
        (None, False, "the server has ended the session"),
        (Activity("active", "ClientWrite"), True, "what the server sends doesn't arrive"),
        (Activity("idle in transaction", "ClientRead"), False, "its answer didn't arrive"),
        (Activity("idle", "ClientRead"), False, "its answer didn't arrive"),
        (Activity("idle in transaction", "ClientRead"), True, ""),
        (Activity("active", None), False, ""),
        (Activity("active", "DataFileRead"), False, ""),
        (Activity("active", "relation"), False, ""),
        (Activity(None, None), False, ""),
    ],
    ids=[
        *("gone", "writing", "idle in transaction", "idle", "idle while we compute"),
        *("computing", "reading", "waiting for a lock", "not to be seen"),
    ],
)
def test_a_session_is_dead_if_nothing_more_can_arrive(
    activity: Activity | None, computes: bool, why: str
) -> None:
    told = why_dead(activity, computes=computes)

    assert told.endswith(why)
    assert bool(told) == bool(why)
