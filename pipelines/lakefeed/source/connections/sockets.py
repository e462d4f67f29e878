"""The sockets that libpq opened in this process: how long they have been silent, and their end.

DuckDB's scanner shows neither its connection nor its socket, and can't be interrupted while it
waits for one. But each line has a `tcp_user_timeout` that no other has, and the kernel tells that
of every socket. Where it doesn't, as on macOS, no socket is found.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_DESCRIPTORS = Path("/dev/fd")
_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)
_INFO = getattr(socket, "TCP_INFO", None)
# Where `struct tcp_info` has the milliseconds since data came last. It only ever grew at its end.
_LAST_DATA_RECEIVED = 52


def silence_of(user_timeout_ms: int) -> float | None:
    """Seconds since the last byte came through sockets with this time-out.

    0 where bytes wait to be read; None where there is no such socket.
    """
    silences = [_silence(one) for one in _sockets() if _user_timeout(one) == user_timeout_ms]
    return min(silences, default=None)


def shut(user_timeout_ms: int) -> int:
    """Ends all sockets with this time-out, so that whoever waits for them goes on; how many."""
    return sum(_shut(one) for one in _sockets() if _user_timeout(one) == user_timeout_ms)


def shut_unix(path: str) -> int:
    """Ends all sockets that lead to this file; how many."""
    return sum(_shut(one) for one in _sockets() if _peer(one) == path)


def _sockets() -> Iterator[socket.socket]:
    """Each socket of the process, by a descriptor of its own, which is closed afterwards."""
    for path in tuple(_DESCRIPTORS.iterdir()) if _DESCRIPTORS.exists() else ():
        with suppress(OSError):
            descriptor = os.dup(int(path.name))
            try:
                one = socket.socket(fileno=descriptor)
            except OSError:
                os.close(descriptor)
                continue
            with one:
                yield one


def _user_timeout(one: socket.socket) -> int | None:
    if _USER_TIMEOUT is None or one.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        return one.getsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT)
    except OSError:
        return None


def _peer(one: socket.socket) -> object:
    try:
        return one.getpeername() if one.family == socket.AF_UNIX else None
    except OSError:
        return None


def _silence(one: socket.socket) -> float:
    unread = fcntl.ioctl(one.fileno(), termios.FIONREAD, struct.pack("i", 0))
    if _INFO is None or struct.unpack("i", unread)[0]:
        return 0.0
    told = one.getsockopt(socket.IPPROTO_TCP, _INFO, 256)
    return float(struct.unpack_from("I", told, _LAST_DATA_RECEIVED)[0]) / 1000


def _shut(one: socket.socket) -> bool:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True
