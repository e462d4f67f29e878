"""Shuts down connections that have gone silent, so that nothing waits for them forever.

TCP keepalives detect a peer that is gone, but not a firewall, proxy or NAT that has dropped the
connection and still acknowledges. So if a line that is being waited for receives nothing for a
minute, the watchdog asks the server through a new session what the line's session is doing. If it
is busy, the wait goes on; if nothing can arrive any more, the line is shut down.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any

import psycopg2

from lakefeed import interruption
from lakefeed.errors import EXIT_PARTLY_FAILED
from lakefeed.source.connections import sockets
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.keepalive import Line, open_lines
from lakefeed.source.connections.side_query import NoAnswer, ask

_SILENT_AFTER_SECONDS = 60.0
_SILENT_AFTER = "LAKEFEED_SILENT_AFTER_SECONDS"
_MOST_ANSWER_SECONDS = 15.0
# How long a wait may take to fail if no socket was found that could be shut down.
_GRACE_SECONDS = 10.0
_INTERRUPT_SECONDS = 2.0

_OURS = """
from pg_locks as ours
where ours.locktype = 'advisory' and ours.granted and ours.objsubid = 2 and ours.classid = %s
    and ours.database = (select oid from pg_database where datname = current_database())
"""
_ACTIVITIES = f"""
with
server as (select inet_server_addr()::text as address, inet_server_port() as port),
ours as (select ours.objid::bigint as number, ours.pid {_OURS})
select server.address, server.port, ours.number, activity.state, activity.wait_event
from server
left join ours on true
left join pg_stat_activity as activity using (pid)
"""
_CANCEL = f"select pg_cancel_backend(ours.pid) {_OURS}"

_asking: set[int] = set()
_starting = Lock()
_watcher: Thread | None = None


@dataclass(frozen=True)
class Activity:
    """The activity of a session, from `pg_stat_activity`."""

    state: str | None
    wait_event: str | None


def why_dead(activity: Activity | None, *, computes: bool) -> str:
    """Why nothing more can arrive from a silent session; empty if something still can.

    Args:
        activity: None if the server has no such session.
        computes: whether this process was busy, perhaps with the last rows that it received.
    """
    if activity is None:
        return "the server has ended the session"
    if activity.wait_event == "ClientWrite":
        return "what the server sends doesn't arrive"
    if activity.state in ("idle", "idle in transaction") and not computes:
        return "the server has finished, but its answer didn't arrive"
    return ""


def watch(line: Line) -> Line:
    """Monitors the line from now on, until it is closed."""
    global _watcher  # noqa: PLW0603 - one per process; a fork needs its own
    with _starting:
        if _watcher is None or not _watcher.is_alive():
            _watcher = Thread(target=_watch, name="lakefeed-watch", daemon=True)
            _watcher.start()
    interruption.on_interrupt("lines", interrupt_lines)
    return line


def interrupt_lines(connection: Connection | None = None) -> None:
    """Cancels what lines wait for: on the server if it answers, otherwise by shutting them down.

    Args:
        connection: the connection whose lines to interrupt; None for all.
    """
    lines = [line for line in _lines() if connection in (None, line.connection)]
    for waiting in {line.connection.run: line.connection for line in lines}.values():
        Thread(target=_cancel, args=(waiting,), daemon=True).start()
    limit = time.monotonic() + _INTERRUPT_SECONDS
    while any(line.waits_since for line in lines) and time.monotonic() < limit:
        time.sleep(0.05)
    for line in lines:
        if line.waits_since:
            line.cut(with_others=True)


def _cancel(connection: Connection) -> None:
    try:
        ask(connection, _CANCEL, [connection.run], within=_INTERRUPT_SECONDS)
    except (NoAnswer, psycopg2.Error):
        # `interrupt_lines` shuts the lines down a moment later.
        return


def _silent_after() -> float:
    return float(os.environ.get(_SILENT_AFTER) or _SILENT_AFTER_SECONDS)


def _lines() -> list[Line]:
    return list(open_lines.copy().values())


def _watch() -> None:
    while True:
        limit = _silent_after()
        time.sleep(min(1.0, limit / 10))
        silent: dict[int, list[Line]] = {}
        for line in _lines():
            if line.has_waited_too_long():
                line.end("the server didn't answer in time")
            elif _is_silent(line, limit) and line.connection.run not in _asking:
                silent.setdefault(line.connection.run, []).append(line)
        for run, lines in silent.items():
            _asking.add(run)
            Thread(target=_look_after, args=(lines, limit), daemon=True).start()


def _is_silent(line: Line, limit: float) -> bool:
    if line.seconds_waited() < limit:
        return False
    silence = sockets.silence_of(line.user_timeout_ms)
    # Without the kernel's measure, a process that isn't busy is assumed to receive nothing.
    return not line.computes() if silence is None else silence >= limit


def _look_after(silent: list[Line], limit: float) -> None:
    connection = silent[0].connection
    try:
        dead, answers = _dead_among(silent, connection, limit)
        for line in silent:
            line.note_asked()
        for line, why in dead.items():
            _end(line, f"nothing received for {limit:g} s, and {why}", with_others=not answers)
    finally:
        _asking.discard(connection.run)


def _dead_among(
    silent: list[Line], connection: Connection, limit: float
) -> tuple[dict[Line, str], bool]:
    """The dead lines with the reason for each, and whether the server answers.

    If it doesn't answer, all lines of the connection are dead, even those that nothing waits for.
    """
    try:
        within = min(_MOST_ANSWER_SECONDS, max(2.0, limit / 4))
        return _dead_by(silent, ask(connection, _ACTIVITIES, [connection.run], within=within)), True
    except NoAnswer:
        every = [line for line in _lines() if line.connection is connection]
        return dict.fromkeys(every, "the server doesn't answer a new connection either"), False
    except psycopg2.Error:
        # An error is an answer too.
        return {}, True


def _dead_by(silent: Iterable[Line], rows: Sequence[tuple[Any, ...]]) -> dict[Line, str]:
    server = f"{rows[0][0]} {rows[0][1]}"
    sessions = {row[2]: Activity(row[3], row[4]) for row in rows}
    known = {line.server for line in _lines() if line.server}
    dead = {}
    for line in silent:
        found = sessions.get(line.number)
        # A load balancer may have sent the query to another server.
        if found is None and (line.is_elsewhere or (known and server not in known)):
            continue
        if found is not None and line.unix_socket:
            # Nothing is lost in a Unix socket; this process is slow.
            continue
        if why := why_dead(found, computes=line.computes()):
            dead[line] = why
    return dead


def _end(line: Line, why: str, *, with_others: bool) -> None:
    if line.end(why, with_others=with_others) or not line.waits_since:
        return
    # No socket was found, so the wait can only be ended with the process, which loses no data.
    time.sleep(_GRACE_SECONDS)
    if line.waits_since and not interruption.is_guest():
        interruption.end_process(f"error: {line.failure()}", EXIT_PARTLY_FAILED)
