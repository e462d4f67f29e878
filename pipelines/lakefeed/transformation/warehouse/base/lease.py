"""A lock for engines that have none that ends with its holder: a lease in a register.

Its holder renews it; one whose holder was killed ends within two minutes. A holder that lost its
lease can't publish, since what it would publish into is the register itself.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from lakefeed.errors import LakefeedError, Refused
from lakefeed.interruption import raise_if_interrupted

NOTHING_LOST = "nothing was published and nothing is lost: the next run builds what is missing"

_LEASE_SECONDS = 120
_RENEW_SECONDS = 30
_WAIT_SECONDS = 600.0
_PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Lease:
    """The lock: who holds it, and until when it need not be renewed, in µs of a shared clock."""

    holder: str
    token: str
    until: int


class Leased(Protocol):
    """A register, which is a dataclass, with a lease or none."""

    @property
    def lease(self) -> Lease | None:
        """Who builds now."""


R = TypeVar("R", bound=Leased)


@dataclass
class _Held:
    """A lease that this process holds."""

    token: str
    # Renewing and publishing both replace the register.
    changing: threading.Lock = field(default_factory=threading.Lock)
    ends: threading.Event = field(default_factory=threading.Event)


_held: dict[Hashable, _Held] = {}


@dataclass(frozen=True)
class LeaseLock(Generic[R]):
    """The lock of one warehouse.

    Attributes:
        warehouse: what tells it from others in this process.
        read: reads the register.
        change: replaces the register by what a function makes of it.
        clock: the time in µs by the clock that all builders share.
    """

    warehouse: Hashable
    read: Callable[[], R]
    change: Callable[[Callable[[R], R]], R]
    clock: Callable[[], int]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds the lock; waits for it up to ten minutes.

        Raises:
            Refused: another build has held it all the time.
        """
        held = _Held(self._acquired())
        _held[self.warehouse] = held
        renewing = threading.Thread(target=self._renew, args=(held,), daemon=True)
        renewing.start()
        try:
            yield
        finally:
            held.ends.set()
            renewing.join()
            del _held[self.warehouse]
            # A lease that can't be given back ends by itself.
            with suppress(Exception):
                self.change(lambda found: _without(found, held.token))

    def change_locked(self, change: Callable[[R], R]) -> R:
        """Replaces the register as the holder of the lock.

        Raises:
            Refused: this process doesn't hold the lock any more; and whatever `change` raises.
        """
        held = _held.get(self.warehouse)

        def by_holder(found: R) -> R:
            if held is None or found.lease is None or found.lease.token != held.token:
                raise _lost()
            return change(found)

        if held is None:
            raise _lost()
        with held.changing:
            return self.change(by_holder)

    def assert_held(self) -> None:
        """Checks that this process still holds the lock.

        Raises:
            Refused: its lease has ended, so another build may have begun.
        """
        held, lease = _held.get(self.warehouse), self.read().lease
        if held is None or lease is None or lease.token != held.token:
            raise _lost()

    def holder(self) -> str:
        """Who holds the lock and how to end it; empty if nobody does."""
        lease = self.read().lease
        if lease is None or lease.until < self.clock():
            return ""
        return f"{lease.holder}; end it there, and the lock ends within two minutes"

    def _acquired(self) -> str:
        """Takes the lease; returns its token."""
        token, deadline = uuid.uuid4().hex, time.monotonic() + _WAIT_SECONDS
        holder = f"process {os.getpid()} on {socket.gethostname()}"

        def taken(found: R) -> R:
            now = self.clock()
            if found.lease is not None and found.lease.until >= now:
                raise _Taken(found.lease.holder)
            return _with(found, Lease(holder, token, now + _LEASE_SECONDS * 1_000_000))

        while True:
            try:
                self.change(taken)
            except _Taken as other:
                if time.monotonic() > deadline:
                    raise Refused(
                        "another build has held the lock of the warehouse for ten minutes: "
                        f"{other}",
                        do="wait for it, or end it there",
                    ) from None
            else:
                return token
            raise_if_interrupted()
            time.sleep(_PAUSE_SECONDS)

    def _renew(self, held: _Held) -> None:
        def renewed(found: R) -> R:
            if found.lease is None or found.lease.token != held.token:
                raise _lost()
            until = self.clock() + _LEASE_SECONDS * 1_000_000
            return _with(found, replace(found.lease, until=until))

        while not held.ends.wait(_RENEW_SECONDS):
            # What fails here is told by whoever asks for the lock next; a server that restarts may
            # answer the next time.
            with suppress(Exception), held.changing:
                self.change(renewed)


class _Taken(Exception):
    """Another process holds the lease."""


def _without(found: R, token: str) -> R:
    mine = found.lease is not None and found.lease.token == token
    return _with(found, None) if mine else found


def _with(found: R, lease: Lease | None) -> R:
    register: Any = found
    changed: R = replace(register, lease=lease)
    return changed


def _lost() -> LakefeedError:
    return Refused(
        "this run lost its lock on the warehouse: it wasn't renewed in time", do=NOTHING_LOST
    )
