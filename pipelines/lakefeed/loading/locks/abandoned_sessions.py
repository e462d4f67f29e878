"""Ends sessions that a dead run left in the source, if that run was on this machine.

A run that loses its connection, or whose machine loses power, leaves sessions in the source that
keep the tables' locks until the server notices, which may take hours. So each run that takes such a
lock also keeps a lock file while its session is open, and removes the file when the session is
closed properly. A file that no process has locked proves that the run's sessions are abandoned.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from threading import Lock

import psycopg2
from filelock import FileLock

from lakefeed.loading.locks.lock_file import is_unlocked
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.side_query import NoAnswer, ask
from lakefeed.source.connections.watched_session import WatchedSession

_ANSWER_SECONDS = 10.0
_EXPIRED_AFTER_SECONDS = 7 * 24 * 3600
_END = """
select pg_terminate_backend(locks.pid) from pg_locks as locks
where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 2 and locks.classid = %s
    and locks.database = (select oid from pg_database where datname = current_database())
"""
_claiming = Lock()


def claim_run(folder: Path, session: WatchedSession) -> None:
    """Marks the run of this session as alive until the session is closed."""
    path = _path(folder, session.line.connection.run)
    with _claiming:
        if path in session.at_close:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_expired(path.parent)
        # Acquired and released by different threads.
        lock = FileLock(path, thread_local=False)
        lock.acquire()

        def release(closed_properly: bool) -> None:
            if closed_properly:
                path.unlink(missing_ok=True)
            lock.release()

        session.at_close[path] = release


def end_abandoned_sessions(folder: Path, connection: Connection, run: int) -> bool:
    """Ends a run's sessions in the source if the run is known to be dead; whether it did."""
    path = _path(folder, run)
    if not path.exists() or not is_unlocked(path):
        return False
    try:
        ended = ask(connection, _END, [run], within=_ANSWER_SECONDS)
    except (NoAnswer, psycopg2.Error):
        # The role may not end them, or the source has no free session to do it in.
        return False
    path.unlink(missing_ok=True)
    return bool(ended)


def _remove_expired(folder: Path) -> None:
    """Removes the files of dead runs after a week: servers have ended their sessions by then."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            age = time.time() - path.stat().st_mtime
            if age > _EXPIRED_AFTER_SECONDS and is_unlocked(path):
                path.unlink()


def _path(folder: Path, run: int) -> Path:
    return folder / "runs" / f"{run}.lock"
