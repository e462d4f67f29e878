"""The lease by which builds of one warehouse exclude each other, where an engine has no lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lakefeed.errors import Refused
from lakefeed.transformation.warehouse.base import lease
from lakefeed.transformation.warehouse.base.lease import Lease, LeaseLock

SECOND = 1_000_000  # in µs


@dataclass(frozen=True)
class Register:
    """A register that has nothing but the lease."""

    lease: Lease | None = None
    changes: int = 0


@dataclass
class Shared:
    """A register that several processes share, and the clock that they all go by."""

    register: Register = Register()
    now: int = 0
    changing: threading.Lock = field(default_factory=threading.Lock)

    def change(self, change: Callable[[Register], Register]) -> Register:
        with self.changing:
            self.register = change(self.register)
            return self.register

    def seen_by(self, process: str) -> LeaseLock[Register]:
        """The lock as one process has it: what it holds is kept by this name."""
        return LeaseLock(process, lambda: self.register, self.change, lambda: self.now)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Shared:
    monkeypatch.setattr(lease, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(lease, "_PAUSE_SECONDS", 0)
    return Shared()


def counted(found: Register) -> Register:
    return Register(found.lease, found.changes + 1)


def test_a_lock_that_was_given_back_is_free(shared: Shared) -> None:
    with shared.seen_by("one").held():
        assert "on " in shared.seen_by("two").holder()

    assert shared.seen_by("two").holder() == ""
    with shared.seen_by("two").held():
        shared.seen_by("two").assert_held()


def test_a_second_build_is_told_who_holds_the_lock(shared: Shared) -> None:
    with (
        shared.seen_by("one").held(),
        pytest.raises(Refused, match=r"has held the lock .* for ten minutes: process \d+ on "),
        shared.seen_by("two").held(),
    ):
        pass


def test_a_lease_that_was_not_renewed_is_taken_by_the_next_build(shared: Shared) -> None:
    one, two = shared.seen_by("one"), shared.seen_by("two")
    with one.held():
        shared.now += 121 * SECOND

        assert two.holder() == ""
        with two.held():
            assert two.change_locked(counted).changes == 1
            with pytest.raises(Refused, match="lost its lock"):
                one.assert_held()
            with pytest.raises(Refused, match="lost its lock"):
                one.change_locked(counted)

    assert shared.register == Register(None, changes=1)


def test_without_the_lock_nothing_is_changed(shared: Shared) -> None:
    with pytest.raises(Refused, match="lost its lock"):
        shared.seen_by("one").change_locked(counted)

    assert shared.register == Register()


def renewed(shared: Shared, until: int) -> bool:
    """Whether the lease is renewed until then, within half a minute."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        known = shared.register.lease
        if known is not None and known.until == until:
            return True
        time.sleep(0.01)
    return False


def test_a_lease_is_renewed_while_it_is_held(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.01)
    with shared.seen_by("one").held():
        shared.now = 100 * SECOND

        assert renewed(shared, until=220 * SECOND)
        shared.now = 200 * SECOND
        assert shared.seen_by("two").holder() != ""


def test_a_renewal_that_fails_is_tried_again(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.01)
    failures = iter((ConnectionError(), ConnectionError()))
    change = shared.change

    def at_first_failing(made: Callable[[Register], Register]) -> Register:
        if shared.register.lease is not None and (failure := next(failures, None)):
            raise failure
        return change(made)

    monkeypatch.setattr(shared, "change", at_first_failing)
    with shared.seen_by("one").held():
        shared.now = 100 * SECOND

        assert renewed(shared, until=220 * SECOND)
    assert next(failures, None) is None
