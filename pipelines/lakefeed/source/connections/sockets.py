"""Finds the sockets that libpq opened in this process, measures their silence, and shuts them down.

DuckDB's scanner exposes neither its connections nor their sockets, and can't be interrupted while
it waits for the server. But each line has a unique `tcp_user_timeout`, by which the kernel lets its
socket be found. Where the kernel doesn't report that option, as on macOS, no socket is found.
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
# Offset of `tcpi_last_data_recv` (ms) in `struct tcp_info`, which has only grown at its end.
_LAST_DATA_RECEIVED = 52


def silence_of(user_timeout_ms: int) -> float | None:
    """Seconds since the line with this timeout received its last byte.

    0 if there are unread bytes; None if there is no such socket.
    """
    silences = [_silence(found) for found in _sockets() if _user_timeout(found) == user_timeout_ms]
    return min(silences, default=None)


def shut(user_timeout_ms: int) -> int:
    """Shuts down the sockets with this timeout, and returns how many there were."""
    return sum(_shut(found) for found in _sockets() if _user_timeout(found) == user_timeout_ms)


def shut_unix(path: str) -> int:
    """Shuts down the sockets that are connected to this path, and returns how many there were."""
    return sum(_shut(found) for found in _sockets() if _peer(found) == path)


def _sockets() -> Iterator[socket.socket]:
    """Each socket of this process, through a duplicate descriptor that is closed afterwards."""
    for path in tuple(_DESCRIPTORS.iterdir()) if _DESCRIPTORS.exists() else ():
        with suppress(OSError):
            descriptor = os.dup(int(path.name))
            try:
                duplicate = socket.socket(fileno=descriptor)
            except OSError:
                os.close(descriptor)
                continue
            with duplicate:
                yield duplicate


def _user_timeout(found: socket.socket) -> int | None:
    if _USER_TIMEOUT is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        return found.getsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT)
    except OSError:
        return None


def _peer(found: socket.socket) -> object:
    try:
        return found.getpeername() if found.family == socket.AF_UNIX else None
    except OSError:
        return None


def _silence(found: socket.socket) -> float:
    unread = fcntl.ioctl(found.fileno(), termios.FIONREAD, struct.pack("i", 0))
    if _INFO is None or struct.unpack("i", unread)[0]:
        return 0.0
    tcp_info = found.getsockopt(socket.IPPROTO_TCP, _INFO, 256)
    return float(struct.unpack_from("I", tcp_info, _LAST_DATA_RECEIVED)[0]) / 1000


def _shut(found: socket.socket) -> bool:
    try:
        found.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True
