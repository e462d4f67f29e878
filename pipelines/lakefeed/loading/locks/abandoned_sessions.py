"""Sessions that a run has left behind in the source: known for sure on the machine that it ran on.

A run that is cut off from its source, or killed on a machine whose network dies with it, leaves
sessions there until the server notices, which may take hours: they hold the tables' locks. So each
run that takes such a lock has a lock file for as long as its session is open, and removes it where
the session was closed in good order. A file that is there, and nobody's, says that what the run
left behind is nobody's either.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from threading import Lock

import psycopg2
from filelock import FileLock, Timeout

from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.side_query import NoAnswer, ask
from lakefeed.source.connections.watched_session import WatchedSession

_ANSWER_SECONDS = 10.0
_FORGOTTEN_AFTER_SECONDS = 7 * 24 * 3600
_END = """
select pg_terminate_backend(ours.pid) from pg_locks as ours
where ours.locktype = 'advisory' and ours.granted and ours.objsubid = 2 and ours.classid = %s
    and ours.database = (select oid from pg_database where datname = current_database())
"""
_claiming = Lock()


def claim_run(folder: Path, session: WatchedSession) -> None:
    """Notes, until the session is closed, that somebody is there for it."""
    path = _path(folder, session.line.connection.run)
    with _claiming:
        if path in session.at_close:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _forget_old(path.parent)
        # Taken and given back by different threads.
        lock = FileLock(path, thread_local=False)
        lock.acquire()

        def give_back(in_good_order: bool) -> None:
            if in_good_order:
                path.unlink(missing_ok=True)
            lock.release()

        session.at_close[path] = give_back


def end_what_was_left(folder: Path, connection: Connection, run: int) -> bool:
    """Ends the sessions of a run where it is known to be no more; whether it did.

    Side effect: ends sessions of the source.
    """
    path = _path(folder, run)
    if not path.exists() or not _is_nobodys(path):
        return False
    try:
        ended = ask(connection, _END, [run], within=_ANSWER_SECONDS)
    except (NoAnswer, psycopg2.Error):
        # The role may not end them, or there is no session left to do so by.
        return False
    path.unlink(missing_ok=True)
    return bool(ended)


def _forget_old(folder: Path) -> None:
    """Removes what runs left whose sessions their servers have long noticed to be dead."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            age = time.time() - path.stat().st_mtime
            if age > _FORGOTTEN_AFTER_SECONDS and _is_nobodys(path):
                path.unlink()


def _is_nobodys(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return True
    except Timeout:
        return False


def _path(folder: Path, run: int) -> Path:
    return folder / "runs" / f"{run}.lock"
