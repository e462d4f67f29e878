"""What a run costs its source: CPU, and the longest statement."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import psycopg2

from benchmarks.process import server_cpu
from benchmarks.source import Source

_INTERVAL = 0.05
_LONGEST = (
    "select coalesce(max(extract(epoch from clock_timestamp() - query_start)), 0)::float8 "
    "from pg_stat_activity where state = 'active' and backend_type = 'client backend' "
    "and pid <> pg_backend_pid()"
)


class Watch:
    """Looks at the server while the body of a `with` runs.

    One session serves all runs: when it ended, its CPU would be counted with the next.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._session = psycopg2.connect(source.url)
        self._session.autocommit = True
        self._pid = self._session.get_backend_pid()
        self.longest = 0.0
        self.cpu = 0.0

    def __enter__(self) -> Watch:
        self.longest = 0.0
        self._before = server_cpu(self._source.postmaster, self._pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        # The sessions of a run may take a moment to end.
        time.sleep(0.1)
        self.cpu = server_cpu(self._source.postmaster, self._pid) - self._before

    def _look(self) -> None:
        with self._session.cursor() as cursor:
            while not self._done.wait(_INTERVAL):
                cursor.execute(_LONGEST)
                found = cursor.fetchone()
                self.longest = max(self.longest, found[0] if found else 0.0)

    def close(self) -> None:
        """Ends the session."""
        self._session.close()
