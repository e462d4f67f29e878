"""Lines: network connections that are kept alive, identified at both ends, and can be shut down.

In this process a line's socket is identified by its `tcp_user_timeout`, which no other line has. On
the server its session is identified by an advisory lock that each of its transactions takes, since
a pooler may give each transaction another server process.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.extensions import parse_dsn

from lakefeed.errors import SourceUnreachable
from lakefeed.source.connections import sockets
from lakefeed.source.connections.connection import Connection

# The kernel probes after 30 s without a byte, and closes the connection within the next 30 s.
_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_USER_TIMEOUT_MS = 60_000
_NEVER_MS = 86_400_000
# The server's side. Its timeout is long since it also runs while this process doesn't read, as on a
# laptop that sleeps.
_ON_THE_SERVER = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15min",
    "client_connection_check_interval": "10s",
}
# A process that works on rows uses a larger share of CPU time than this; one that waits, a smaller.
_COMPUTING = 0.1
_numbers = itertools.count()
_MOST_LINES = 10_000

# All open lines, by number.
open_lines: dict[int, Line] = {}


class Line:
    """A connection to the server that the watchdog monitors from its creation until `close`.

    Attributes:
        waits_since: when the current wait for the server began; None if nothing waits.
        ended: why the line was shut down; empty if it wasn't.
        server: the address and port that the server reports.
        is_elsewhere: whether it leads to another server than the connection's other sessions.
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
        """The `tcp_user_timeout` that identifies the line's socket to the kernel."""
        declared = parse_dsn(self.connection.dsn).get("tcp_user_timeout")
        base = _USER_TIMEOUT_MS if declared is None else int(declared) or _NEVER_MS
        return base + self.number

    @property
    def dsn(self) -> str:
        """The DSN for libpq, including the password."""
        return self.connection.for_session(self.application, **self._keywords)

    @property
    def dsn_without_password(self) -> tuple[str, str | None]:
        """The DSN without its password, and the password, if it has one."""
        return self.connection.without_password(self.application, **self._keywords)

    @property
    def _keywords(self) -> dict[str, int]:
        """The keepalive parameters, except those that the URL sets itself."""
        given = parse_dsn(self.connection.dsn)
        keepalives = {name: value for name, value in _KEEPALIVES.items() if name not in given}
        return {**keepalives, "tcp_user_timeout": self.user_timeout_ms}

    @property
    def announcement(self) -> str:
        """The SQL that registers each transaction as this line's, and sets the server's keepalives.

        The last two columns of the last statement are the server's address and port. Settings that
        the server doesn't have are skipped. `client_connection_check_interval` is only set on
        Linux, since servers on other systems may refuse it.
        """
        return self._announcement(local=True)

    @property
    def announcement_of_session(self) -> str:
        """The same, once for a whole session, of a kind that has no transactions."""
        return self._announcement(local=False)

    def _announcement(self, *, local: bool) -> str:
        wanted = ", ".join(f"('{name}', '{value}')" for name, value in _ON_THE_SERVER.items())
        key = f"{self.connection.run}, {self.number}"
        kind = "xact_" if local else ""
        return (
            f"select set_config(name, value, {str(local).lower()}) "
            f"from (values {wanted}) as wanted (name, value) "
            "where current_setting(name, true) is not null "
            "and (name like 'tcp%' or version() like '%linux%'); "
            f"select pg_advisory_{kind}lock_shared({key}), inet_server_addr()::text, "
            "inet_server_port()"
        )

    @contextmanager
    def waiting(self, at_most: float | None = None) -> Iterator[None]:
        """Has the watchdog monitor the line while the block waits for the server.

        Args:
            at_most: seconds after which the line is shut down in any case; None if the server may
                take as long as it needs.

        Raises:
            SourceUnreachable: the line was shut down.
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
        """Replaces an error that was caused by shutting the line down by one that says why.

        Raises:
            SourceUnreachable: the line was shut down.
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
        """Restarts the measurement of `seconds_waited` and `computes`."""
        self._since, self._cpu_then = time.monotonic(), time.process_time()

    def seconds_waited(self) -> float:
        """How long the current wait has taken since it began or the server was last asked."""
        return time.monotonic() - self._since if self.waits_since else 0.0

    def has_waited_too_long(self) -> bool:
        """Whether the wait has exceeded its limit, so that the line is to be shut down."""
        most, since = self._waits_at_most, self.waits_since
        if self.unix_socket:
            # The kernel reports a server that is gone at once.
            return False
        return most is not None and since is not None and time.monotonic() - since > most

    def computes(self) -> bool:
        """Whether this process has been busy since, perhaps with the last rows that it received."""
        return time.process_time() - self._cpu_then > _COMPUTING * self.seconds_waited()

    @property
    def unix_socket(self) -> str:
        """The path of the server's Unix socket; empty if the line uses TCP."""
        given = parse_dsn(self.connection.dsn)
        host = given.get("host") or os.environ.get("PGHOST") or "/tmp"
        port = given.get("port") or os.environ.get("PGPORT") or "5432"
        is_local = str(host).startswith("/") and not given.get("hostaddr")
        return f"{host}/.s.PGSQL.{port}" if is_local else ""

    def end(self, why: str, *, with_others: bool = False) -> int:
        """Shuts the line down, so that whatever waits for it fails.

        Returns how many sockets were shut down.

        Args:
            why: the reason, for `failure`.
            with_others: see `cut`.
        """
        self.ended = self.ended or why
        return self.cut(with_others=with_others)

    def cut(self, *, with_others: bool = False) -> int:
        """Shuts down the line's sockets, and returns how many there were.

        Args:
            with_others: for a Unix socket, which can't be told from other lines' sockets, shut down
                all of them; otherwise none.
        """
        if self.unix_socket:
            return sockets.shut_unix(self.unix_socket) if with_others else 0
        return sockets.shut(self.user_timeout_ms)

    def close(self) -> None:
        """Ends the monitoring; to be called when the line's session is closed."""
        if open_lines.get(self.number) is self:
            del open_lines[self.number]

    def failure(self) -> SourceUnreachable:
        return SourceUnreachable(
            f"the connection to {self.connection.shown} went silent: {self.ended}",
            do="run again; no data was lost, since nothing of the interrupted read was committed. "
            "If it happens again, check what lies in between: a firewall, NAT, a proxy, a VPN",
        )
