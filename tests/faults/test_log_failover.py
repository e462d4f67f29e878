"""A log that is read from a standby, and servers that are promoted: nothing is lost unsaid."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, Lake, logical_server
from tests.standby import catch_up, standby_of
from tests.wal.conftest import NAME
from tests.wal.test_loading import loaded, newest

pytestmark = pytest.mark.faults

TABLE = (
    "create table t (id int primary key, word text)",
    "insert into t values (1, 'a')",
    f"create publication {NAME} for table t",
)
SLOT = f"select pg_create_logical_replication_slot('{NAME}', 'pgoutput')"
FAILOVER = f"{SLOT[:-1]}, twophase => false, failover => true)"
DECLARED = "t: {cursor: wal}"


@dataclass(frozen=True)
class Pair:
    """A primary with a table, and a standby of it."""

    primary: Database
    standby: Database

    def write(self, *statements: str) -> None:
        """Writes on the primary, and waits for the standby."""
        self.primary.execute(*statements)
        catch_up(self.primary, self.standby)

    def promote(self) -> None:
        """Has the standby accept writes, as after the end of the primary."""
        self.standby.execute("select pg_promote()")


@pytest.fixture(params=[18, pytest.param(16, marks=pytest.mark.at_night)])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    version, folder = request.param, tmp_path / "servers"
    folder.mkdir()
    with logical_server(folder / "primary", version) as server:
        primary = Database(server.get_uri())
        primary.execute(*TABLE, "select pg_create_physical_replication_slot('standby')")
        socket = primary.url.partition("host=")[2]
        settings = {
            "primary_conninfo": f"host={socket} user=postgres dbname=postgres",
            "primary_slot_name": "standby",
            "hot_standby_feedback": "on",
        }
        if version >= 17:
            settings["sync_replication_slots"] = "on"
        with standby_of(server, **settings) as standby:
            catch_up(primary, standby)
            yield Pair(primary, standby)


def reads(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    """Has the project read this server from now on."""
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url)


def refusal(lake: Lake) -> str:
    """Why the only table fails."""
    (failed,) = lake.load().failures
    return str(failed.error)


def rows(database: Database) -> list[tuple[object, ...]]:
    return database.rows("select id, word from t order by 1")


def keep_log_of(pair: Pair) -> None:
    """Creates the slot on the standby, which waits for a note of the primary."""
    with ThreadPoolExecutor(1) as pool:
        created = pool.submit(pair.standby.execute, SLOT)
        while not created.done():
            pair.primary.execute("select pg_log_standby_snapshot()")
            time.sleep(0.2)
        created.result()


def test_a_transaction_that_is_open_during_the_first_load_from_a_standby_is_not_lost(
    pair: Pair, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby's snapshot doesn't tell which transactions are open."""
    keep_log_of(pair)
    reads(monkeypatch, pair.standby)
    open_one = pair.primary.connect()
    open_one.cursor().execute("update t set word = 'late'")
    pair.write("insert into t values (2, 'b')")

    lake.declare(DECLARED)
    first = lake.load()
    if first.failures:
        # It may have written before the table was published.
        assert "can't be loaded for the first time yet" in str(first.failures[0].error)
    open_one.commit()
    catch_up(pair.primary, pair.standby)
    loaded(lake)
    pair.write("insert into t values (3, 'c')")

    assert newest(loaded(lake)) == rows(pair.primary)


def test_a_standby_is_read_on_by_its_own_slot_once_it_is_promoted(
    pair: Pair, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_log_of(pair)
    reads(monkeypatch, pair.standby)
    loaded(lake.declare(DECLARED))
    pair.write("update t set word = 'aa'", "insert into t values (2, 'b')")
    loaded(lake)
    pair.write("insert into t values (3, 'unread')")

    pair.promote()
    pair.standby.execute("delete from t where id = 1", "insert into t values (4, 'new')")

    loaded(lake)
    pair.standby.execute("update t set word = 'last' where id = 4")
    assert newest(loaded(lake)) == rows(pair.standby)


def test_a_slot_that_the_promoted_server_lacks_is_told_apart_and_the_way_back_works(
    pair: Pair, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.primary.execute(SLOT)
    reads(monkeypatch, pair.primary)
    loaded(lake.declare(DECLARED))
    pair.write("insert into t values (2, 'b')")
    reads(monkeypatch, pair.standby)
    pair.promote()

    said = refusal(lake)

    assert "the server was promoted or restored since the latest load" in said
    assert "lakefeed cdc setup --source shop --apply; lakefeed run --select shop.t" in said
    ended = lake.command("cdc", "setup", "--source", "shop", "--apply", "--allow-unbounded-wal")
    assert ended.returncode == 0, ended.stdout
    assert lake.load("shop.t", full_refresh=True).exit_code == 0
    pair.standby.execute("delete from t where id = 1")
    assert newest(loaded(lake)) == rows(pair.standby)


@pytest.mark.parametrize("pair", [18], indirect=True)
class TestASlotThatIsTakenOver:
    """With `failover => true` (PostgreSQL 17+), a standby keeps a copy of the slot."""

    def test_nothing_is_read_anew_and_nothing_is_lost(
        self, pair: Pair, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pair.primary.execute(FAILOVER)
        reads(monkeypatch, pair.primary)
        loaded(lake.declare(DECLARED))
        pair.write("update t set word = 'aa'")
        loaded(lake)
        synced(pair, lake)
        pair.write("insert into t values (2, 'unread')")

        reads(monkeypatch, pair.standby)
        pair.promote()
        pair.standby.execute("insert into t values (3, 'new')")

        loaded(lake)
        pair.standby.execute("delete from t where id = 1")
        assert newest(loaded(lake)) == rows(pair.standby)
        assert lake.raw("shop__t", "count(*)") == [(5,)]

    def test_changes_that_the_standby_never_had_are_not_taken_for_its_own(
        self, pair: Pair, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pair.primary.execute(FAILOVER)
        reads(monkeypatch, pair.primary)
        loaded(lake.declare(DECLARED))
        loaded(lake)
        synced(pair, lake)
        stop_receiving(pair)
        pair.primary.execute("insert into t values (2, 'gone with the primary')")
        loaded(lake)

        reads(monkeypatch, pair.standby)
        pair.promote()
        pair.standby.execute("insert into t select i, 'new' from generate_series(3, 3000) as i")

        assert "that it lost" in refusal(lake)
        assert lake.run(full_refresh=True, allow_shrink=True).exit_code == 0
        pair.standby.execute("delete from t where id = 1")
        assert lake.run().exit_code == 0
        staged = lake.query("select id, word from staging.stg_shop__t order by 1")
        assert staged == rows(pair.standby)


def synced(pair: Pair, lake: Lake) -> None:
    """Loads until the standby has a copy of the slot that it keeps when it is promoted.

    It keeps one only once the slot has moved past the transaction that was the next when it first
    copied it, and a slot moves when a load reads a note of the running transactions.
    """
    confirmed = f"select confirmed_flush_lsn from pg_replication_slots where slot_name = '{NAME}'"
    is_there = f"{confirmed} and synced and not temporary and invalidation_reason is null"
    until = time.monotonic() + 90
    while pair.standby.rows(is_there) != pair.primary.rows(confirmed):
        assert time.monotonic() < until, pair.standby.rows("select * from pg_replication_slots")
        pair.primary.execute("select pg_log_standby_snapshot()")
        loaded(lake)


def stop_receiving(pair: Pair) -> None:
    """Cuts the standby off from the primary."""
    pair.standby.execute("alter system set primary_conninfo = ''", "select pg_reload_conf()")
    while pair.standby.rows("select 1 from pg_stat_wal_receiver where status = 'streaming'"):
        time.sleep(0.2)
