"""Reads one large commit from PostgreSQL's log in three ways, and measures what each costs.

    python -m benchmarks.log [ROWS]

docs/design/reading-the-log.md has the figures.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg2

from lakefeed.demo.server import embedded_postgres
from lakefeed.source.connections.connection import connection_from_url
from lakefeed.source.log.feed import Feed
from lakefeed.source.log.lsn import lsn_text
from lakefeed.source.log.session import LogSource
from lakefeed.source.log.slots import create_slot_sql, flushed
from lakefeed.source.log.stream import Changes

ROWS = 5_000_000
WAYS = ("peek", "stream", "stream in progress")
_SETTINGS = {"wal_level": "logical", "max_wal_size": "8GB", "autovacuum": "off"}
_MB = 1_000_000


def main() -> None:
    """Measures all ways, each in a process of its own, or one of them."""
    if len(sys.argv) > 2:
        print(json.dumps(_read(*sys.argv[1:])))  # noqa: T201
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with TemporaryDirectory(prefix="lakefeed-log-") as name, _server(Path(name, "postgres")) as url:
        written = _commit(url, rows)
        print(f"{rows:,} rows, {written / _MB:,.0f} MB of log")  # noqa: T201
        for way in WAYS:
            told = _measured(url, Path(name, "postgres"), way, written)
            print(f"{way}: {told}", flush=True)  # noqa: T201


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    with embedded_postgres(folder) as url, closing(psycopg2.connect(url)) as session:
        session.autocommit = True
        for name, value in _SETTINGS.items():
            session.cursor().execute(f"alter system set {name} = '{value}'")
    with embedded_postgres(folder) as url:
        yield url


def _commit(url: str, rows: int) -> int:
    """Makes the commit, and returns how many bytes of log it has."""
    with closing(psycopg2.connect(url)) as session, session.cursor() as cursor:
        cursor.execute(
            "create table t (id int primary key, note text, amount numeric, at timestamptz);"
            "create publication published for table t"
        )
        session.commit()
        cursor.execute(create_slot_sql("measured"))
        session.commit()
        before = flushed(session)
        cursor.execute(
            "insert into t select i, lpad(i::text, 50, 'x'), i * 1.25, now() "
            f"from generate_series(1, {rows}) as i"
        )
        session.commit()
        return flushed(session) - before


def _measured(url: str, folder: Path, way: str, written: int) -> str:
    before = _statistics(url)
    with _watching(folder) as most:
        told = subprocess.run(
            [sys.executable, "-m", "benchmarks.log", way, url],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    after = _statistics(url)
    read: dict[str, Any] = json.loads(told.stdout)
    return (
        f"{read['changes']:,} changes, {read['seconds']:.1f} s, "
        f"{written / _MB / read['seconds']:.0f} MB of log/s, "
        f"{read['changes'] / read['seconds']:,.0f} changes/s, {read['cpu']:.1f} s of CPU and "
        f"{read['memory'] / _MB:.0f} MB of memory here; on the source at most "
        f"{most['base/pgsql_tmp'] / _MB:,.0f} MB of temporary files, "
        f"{most['pg_replslot'] / _MB:,.0f} MB in pg_replslot (spilled "
        f"{(after - before) / _MB:,.0f} MB)"
    )


def _statistics(url: str) -> int:
    # The statistics are sent a moment after the slot was released.
    time.sleep(2)
    with closing(psycopg2.connect(url)) as session, session.cursor() as cursor:
        cursor.execute("select coalesce(sum(spill_bytes), 0) from pg_stat_replication_slots")
        ((spilled,),) = cursor.fetchall()
    return int(spilled)


@contextmanager
def _watching(folder: Path) -> Iterator[dict[str, int]]:
    """How many bytes some of the server's folders have at most while the block runs."""
    most = {"base/pgsql_tmp": 0, "pg_replslot": 0}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            for name, size in most.items():
                most[name] = max(size, _size(folder / name))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            size += path.stat().st_size
    return size


def _read(way: str, url: str) -> dict[str, float]:
    """Reads the log, as a process of its own, whose memory is measured."""
    with closing(psycopg2.connect(url)) as session, session.cursor() as cursor:
        end = flushed(session)
        cursor.execute("select 't'::regclass::oid::bigint")
        ((oid,),) = cursor.fetchall()
        began = time.monotonic()
        changes = _peeked(session, end) if way == "peek" else _streamed(url, end, oid, way)
    seconds = time.monotonic() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    cpu = time.process_time()
    return {"changes": changes, "seconds": seconds, "memory": memory, "cpu": cpu}


def _peeked(session: Any, end: int) -> int:
    """Only receives the changes: the way is out of the question, so that nothing decodes them."""
    count = 0
    with session.cursor("peeked") as cursor:
        cursor.itersize = 10_000
        cursor.execute(
            "select data from pg_logical_slot_peek_binary_changes('measured', %s, null, "
            "'proto_version', '2', 'publication_names', 'published')",
            [lsn_text(end)],
        )
        for (data,) in cursor:
            count += bytes(data[:1]) == b"I"
    return count


def _streamed(url: str, end: int, oid: int, way: str) -> int:
    source = LogSource("measured", "published", streaming=way == "stream in progress")
    feed = Feed(connection_from_url("measured", url), source, upto=end)
    with Changes(feed, upto=end, wanted=[oid]) as items:
        # Besides its changes, there are the beginning and the end of the transaction.
        return sum(1 for _ in items) - 2


if __name__ == "__main__":
    main()
