"""The line of a session to its server: how it is kept up, known at both ends, and given up.

Here its sockets are known by a time-out that no other line has, and at the server its session is
known by a lock that each of its transactions takes: a pooler may give each another process.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg2.extensions import parse_dsn

from lakefeed.errors import SourceUnreachable
from lakefeed.source.connections import sockets

if TYPE_CHECKING:
    from lakefeed.source.connections.connection import Connection

# The kernel asks after half a minute without a byte, and gives up within the next.
_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_USER_TIMEOUT_MS = 60_000
_NEVER_MS = 86_400_000
# The server's side. Its time-out also counts while we don't read, as on a laptop that sleeps.
_ON_THE_SERVER = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15min",
    "client_connection_check_interval": "10s",
}
# A process that works on rows uses more of the time than this, and one that waits uses less.
_COMPUTING = 0.1
_numbers = itertools.count()
_MOST_LINES = 10_000

# All lines that are open, by number.
open_lines: dict[int, Line] = {}


class Line:
    """From its making until `close`, a line that the watchdog looks after.

    `waits_since` is None where nobody waits for it just now. `ended` says why it was given up;
    `server` is where it leads, as the server calls itself; `is_elsewhere` says that it doesn't lead
    where other sessions of this connection do.
    """

    def __init__(self, connection: Connection, application: str) -> None:
        self.connection = connection
        self.number = next(_numbers) % _MOST_LINES
        self.application = application
        self.waits_since: float | None = None
        self._waits_at_most: float | None = None
        self._since = self._cpu_then = 0.0
        self.ended = ""
        self.server = ""
        self.is_elsewhere = False
        open_lines[self.number] = self

    @property
    def user_timeout_ms(self) -> int:
        """What the kernel knows its sockets by."""
        declared = parse_dsn(self.connection.dsn).get("tcp_user_timeout")
        base = _USER_TIMEOUT_MS if declared is None else int(declared) or _NEVER_MS
        return base + self.number

    @property
    def dsn(self) -> str:
        """For libpq, with the password in it."""
        return self.connection.for_session(self.application, **self._keywords)

    @property
    def dsn_without_password(self) -> tuple[str, str | None]:
        """The same, and the password apart; None where it has none."""
        return self.connection.without_password(self.application, **self._keywords)

    @property
    def _keywords(self) -> dict[str, int]:
        """What has the kernel ask whether the other side is there, where the URL doesn't say."""
        given = parse_dsn(self.connection.dsn)
        keepalives = {name: value for name, value in _KEEPALIVES.items() if name not in given}
        return {**keepalives, "tcp_user_timeout": self.user_timeout_ms}

    @property
    def announcement(self) -> str:
        """What each of its transactions begins with, beside the settings. The server's name and
        port are the last statement's last two columns.

        A setting that the server doesn't know is left out. On other systems than Linux it may
        refuse to look whether a client is still there.
        """
        wanted = ", ".join(f"('{name}', '{value}')" for name, value in _ON_THE_SERVER.items())
        key = f"{self.connection.run}, {self.number}"
        return (
            f"select set_config(name, value, true) from (values {wanted}) as wanted (name, value) "
            "where current_setting(name, true) is not null "
            "and (name like 'tcp%' or version() like '%linux%'); "
            f"select pg_advisory_xact_lock_shared({key}), inet_server_addr()::text, "
            "inet_server_port()"
        )

    @contextmanager
    def waiting(self, at_most: float | None = None) -> Iterator[None]:
        """Around whatever waits for the server, so that the watch looks after it.

        Args:
            at_most: seconds after which it is given up unasked; None where the server may take its
                time.

        Raises:
            SourceUnreachable: the line was given up meanwhile.
        """
        self.note_asked()
        self._waits_at_most = at_most
        self.waits_since = time.monotonic()
        try:
            with self.explained():
                yield
        finally:
            self.waits_since = None

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Has what fails by the end of the line say why it was given up.

        Raises:
            SourceUnreachable: it was given up.
        """
        try:
            yield
        except Exception:
            if not self.ended:
                raise
            failure = self.failure()
        else:
            return
        raise failure

    def note_asked(self) -> None:
        """Begins to count anew how long it has been waited for."""
        self._since, self._cpu_then = time.monotonic(), time.process_time()

    def seconds_waited(self) -> float:
        """For how long it has been waited for, since the server was asked last."""
        return time.monotonic() - self._since if self.waits_since else 0.0

    def has_waited_too_long(self) -> bool:
        """Whether it is to be given up unasked."""
        most, since = self._waits_at_most, self.waits_since
        if self.unix_socket:
            # The kernel tells of a server that is gone.
            return False
        return most is not None and since is not None and time.monotonic() - since > most

    def computes(self) -> bool:
        """Whether this process has been at work meanwhile, perhaps on the last rows that came."""
        return time.process_time() - self._cpu_then > _COMPUTING * self.seconds_waited()

    @property
    def unix_socket(self) -> str:
        """The file of the server's socket; empty where the line crosses a network."""
        given = parse_dsn(self.connection.dsn)
        host = given.get("host") or os.environ.get("PGHOST") or "/tmp"
        port = given.get("port") or os.environ.get("PGPORT") or "5432"
        is_local = str(host).startswith("/") and not given.get("hostaddr")
        return f"{host}/.s.PGSQL.{port}" if is_local else ""

    def end(self, why: str, *, with_others: bool = False) -> int:
        """Gives it up, so that whoever waits for it goes on; how many sockets there were to end."""
        self.ended = self.ended or why
        return self.cut(with_others=with_others)

    def cut(self, *, with_others: bool = False) -> int:
        """Ends its sockets; how many there were.

        Args:
            with_others: of sockets that are files, which look all the same, those of other lines
                too.
        """
        if self.unix_socket:
            return sockets.shut_unix(self.unix_socket) if with_others else 0
        return sockets.shut(self.user_timeout_ms)

    def close(self) -> None:
        """To be called when its session is closed."""
        if open_lines.get(self.number) is self:
            del open_lines[self.number]

    def failure(self) -> SourceUnreachable:
        return SourceUnreachable(
            f"the connection to {self.connection.shown} went silent: {self.ended}",
            do="run again: nothing that was being read was committed, and nothing is lost; if it "
            "happens again, look at what lies in between: a firewall, NAT, a proxy, a VPN",
        )


def new_run() -> int:
    """A number for the sessions of one run, which no other run is likely to have."""
    return int.from_bytes(os.urandom(4)) >> 2 | 1 << 30
