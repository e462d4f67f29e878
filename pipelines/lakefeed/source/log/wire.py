"""Messages of a replication connection, read and answered through libpq.

psycopg2's own `read_message` may answer a keepalive of the server with the position up to which the
server has read, which confirms it (`pq_read_replication_message` in its psycopg/pqpath.c): the slot
would move before raw is committed. So the libpq that psycopg2 has loaded is called here.
"""

from __future__ import annotations

import ctypes
import select
import time
from functools import cache
from struct import Struct
from typing import Any

from psycopg2 import _psycopg
from psycopg2.extensions import connection as PgConnection

# The first bytes of messages, and where that of the plugin begins in a message of data.
DATA, KEEPALIVE = b"wk"
BODY = 25

_KEEPALIVE_BODY = Struct(">QqB")
_POSITION = Struct(">Q")
_STATUS = Struct(">cQQQqB")
_EPOCH_SECONDS = 946_684_800
_SQLSTATE, _PRIMARY = b"CM"
_NOTICE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)


class WireError(Exception):
    """The server ended the stream.

    Attributes:
        code: its SQLSTATE; empty if the connection was lost.
        message: the server's own.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Wire:
    """The messages that follow START_REPLICATION.

    Attributes:
        warnings: what the server warned of meanwhile.
    """

    def __init__(self, session: PgConnection) -> None:
        self._libpq = _libpq()
        self._connection = ctypes.c_void_p(session.pgconn_ptr)
        self._buffer = ctypes.c_void_p()
        self._to_buffer = ctypes.byref(self._buffer)
        self._poll = select.poll()
        self._poll.register(session.fileno(), select.POLLIN)
        self.warnings: list[str] = []
        # libpq keeps no reference to it.
        self._notice = _NOTICE(lambda _, text: self.warnings.append(text.decode(errors="replace")))
        self._libpq.PQsetNoticeProcessor(self._connection, self._notice, None)

    def read(self) -> bytes | None:
        """The next message, of DATA or KEEPALIVE; None if none has arrived.

        Raises:
            WireError: the server ended the stream.
        """
        size = self._libpq.PQgetCopyData(self._connection, self._to_buffer, 1)
        if size == 0:
            # Only now, so that libpq's buffer stays small.
            if not self._libpq.PQconsumeInput(self._connection):
                raise WireError("", "the connection was lost")
            size = self._libpq.PQgetCopyData(self._connection, self._to_buffer, 1)
        if size > 0:
            data: bytes = _bytes_from(self._buffer, size)
            self._libpq.PQfreemem(self._buffer)
            return data
        if size == 0:
            return None
        raise self._error()

    def wait(self, seconds: float) -> bool:
        """Whether something arrives within this time; returns as soon as it does."""
        return bool(self._poll.poll(seconds * 1000))

    def tell_alive(self, *, ask: bool = False) -> None:
        """Tells the server that this process is alive, and confirms nothing.

        Args:
            ask: have the server answer with a keepalive.

        Raises:
            WireError: the connection was lost.
        """
        now = int((time.time() - _EPOCH_SECONDS) * 1_000_000)
        status = _STATUS.pack(b"r", 0, 0, 0, now, ask)
        put = self._libpq.PQputCopyData(self._connection, status, len(status))
        if put <= 0 or self._libpq.PQflush(self._connection) != 0:
            raise WireError("", "the connection was lost")

    def _error(self) -> WireError:
        result = self._libpq.PQgetResult(self._connection)
        if not result:
            return WireError("", "the connection was lost")
        code, message = (
            (self._libpq.PQresultErrorField(result, field) or b"").decode(errors="replace")
            for field in (_SQLSTATE, _PRIMARY)
        )
        self._libpq.PQclear(result)
        return WireError(code, message or "the server ended the stream")


def position_of(data: bytes) -> int:
    """The position in the log of what a message of DATA says."""
    (position,) = _POSITION.unpack_from(data, 1)
    return int(position)


def wal_end(keepalive: bytes) -> tuple[int, bool]:
    """The position that the server has reached in its log, and whether it wants an answer.

    It has sent all that was committed below that position.
    """
    end, _, wants_answer = _KEEPALIVE_BODY.unpack_from(keepalive, 1)
    return end, bool(wants_answer)


_bytes_from = ctypes.pythonapi.PyBytes_FromStringAndSize
_bytes_from.restype = ctypes.py_object
_bytes_from.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t]


@cache
def _libpq() -> Any:
    """The libpq that psycopg2 uses. None of what is called waits, so the GIL is kept."""
    libpq = ctypes.PyDLL(_psycopg.__file__)
    pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    for name, result, arguments in (
        ("PQgetCopyData", integer, [pointer, pointer, integer]),
        ("PQconsumeInput", integer, [pointer]),
        ("PQfreemem", None, [pointer]),
        ("PQputCopyData", integer, [pointer, text, integer]),
        ("PQflush", integer, [pointer]),
        ("PQgetResult", pointer, [pointer]),
        ("PQresultErrorField", text, [pointer, integer]),
        ("PQclear", None, [pointer]),
        ("PQsetNoticeProcessor", pointer, [pointer, _NOTICE, pointer]),
    ):
        function = getattr(libpq, name)
        function.restype, function.argtypes = result, arguments
    return libpq
