"""What Lakefeed leans on in Spark and Iceberg, on a real cluster and through the thin client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.spark.conftest import Running, Session, connected

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

FAR = "timestamp '2100-01-01 00:00:00'"
# Two cores sleep half a second for each of the rows.
SLOW = "select id, java_method('java.lang.Thread', 'sleep', 500L) as slept from range(0, 16, 1, 4)"


def write(session: Session, value: str, *, rows: int = 20) -> int:
    """Replaces the table `t`; returns the snapshot."""
    session.rows(
        "create or replace table ns.t using iceberg "
        f"as select id, '{value}' as v from range({rows})"
    )
    return session.snapshot("ns.t")


def content(session: Session, relation: str) -> tuple[int, str]:
    """How many rows a relation has, and the greatest value."""
    ((count, greatest),) = session.rows(f"select count(*), max(v) from {relation}")
    return count, greatest


def error_of(session: Session, sql: str) -> str:
    """What a statement fails with."""
    with pytest.raises(Exception) as raised:
        session.rows(sql)
    return str(raised.value)


def test_a_session_is_in_utc_and_in_the_catalogue(session: Session, running: Running) -> None:
    assert session.rows("select current_timezone(), current_catalog()") == [
        ("UTC", running.catalogue)
    ]


@pytest.mark.at_night
def test_catalogues_know_nothing_of_one_another(session: Session, catalog: str) -> None:
    write(session, "mine")

    assert session.rows(f"show namespaces in {catalog}") == []
    session.rows(f"create namespace {catalog}.own")
    session.rows(f"create table {catalog}.own.t using iceberg as select 1 as one")
    assert session.value(f"select one from {catalog}.own.t") == 1


@pytest.mark.at_night
def test_a_session_outlives_its_connections_to_the_catalogue(
    session: Session, running: Running
) -> None:
    write(session, "before")
    name = running.database.name
    running.database.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        f"where datname = '{name}' and pid <> pg_backend_pid()"
    )

    write(session, "after")

    assert content(session, "ns.t") == (20, "after")


@pytest.mark.at_night
def test_both_executors_read_what_is_in_the_object_store(
    session: Session, running: Running
) -> None:
    folder = f"{running.raw_url.replace('s3://', 's3a://')}/{session.namespace}"
    session.spark.range(0, 100, 1, 4).write.parquet(folder)

    found = session.value(f"select count(*) from parquet.`{folder}`")

    assert found == 100
    assert len(running.cluster.executors) == 2


@pytest.mark.at_night
def test_a_merge_updates_and_inserts(session: Session) -> None:
    write(session, "old")
    session.rows(
        "merge into ns.t as t using (select id, 'new' as v from range(10, 30)) as s "
        "on t.id = s.id when matched then update set * when not matched then insert *"
    )

    assert session.rows("select v, count(*) from ns.t group by v order by v") == [
        ("new", 20),
        ("old", 10),
    ]


@pytest.mark.at_night
def test_a_merge_of_two_rows_into_one_fails(session: Session) -> None:
    write(session, "old")

    told = error_of(
        session,
        "merge into ns.t as t using (select 1L as id, 'new' as v from range(2)) as s "
        "on t.id = s.id when matched then update set *",
    )

    assert "MERGE_CARDINALITY_VIOLATION" in told
    assert content(session, "ns.t") == (20, "old")


def test_a_tag_and_a_view_outlive_the_replacement_of_their_table(session: Session) -> None:
    first = write(session, "first")
    session.rows(f"alter table ns.t create tag published as of version {first} retain 3650 days")
    session.rows(f"create or replace view ns.pinned as select * from ns.t version as of {first}")

    write(session, "second", rows=30)

    tagged = "select snapshot_id from ns.t.refs where name = 'published' and type = 'TAG'"
    assert session.value(tagged) == first
    assert content(session, "ns.pinned") == (20, "first")
    assert content(session, "ns.t") == (30, "second")


@pytest.mark.at_night
def test_expiry_keeps_what_a_tag_names_and_what_is_current(session: Session) -> None:
    first = write(session, "first")
    session.rows(f"alter table ns.t create tag published as of version {first}")
    write(session, "second")
    third = write(session, "third")

    expire(session)

    assert snapshots(session) == {first, third}


@pytest.mark.at_night
def test_a_view_whose_snapshot_has_expired_fails_and_shows_no_emptiness(session: Session) -> None:
    first = write(session, "first")
    session.rows(f"create or replace view ns.pinned as select * from ns.t version as of {first}")
    write(session, "second")

    expire(session)

    assert f"Cannot find snapshot with ID {first}" in error_of(session, "select * from ns.pinned")


def expire(session: Session) -> None:
    """What a platform does to a table by itself, at its harshest."""
    table = session.named("ns.t")
    session.rows(
        f"call lake.system.expire_snapshots(table => '{table}', older_than => {FAR}, "
        "retain_last => 1)"
    )


def snapshots(session: Session) -> set[int]:
    return {snapshot for (snapshot,) in session.rows("select snapshot_id from ns.t.snapshots")}


def test_a_table_is_put_back_to_a_snapshot_from_before_its_replacement(session: Session) -> None:
    first = write(session, "first")
    write(session, "second", rows=30)
    assert "not an ancestor" in error_of(session, call(session, "rollback_to_snapshot", first))

    session.rows(call(session, "set_current_snapshot", first))

    assert content(session, "ns.t") == (20, "first")


@pytest.mark.at_night
def test_a_table_that_is_put_back_keeps_its_newest_columns(session: Session) -> None:
    first = write(session, "first", rows=1)
    session.rows("create or replace table ns.t using iceberg as select 1L as id, 'b' as v, 2 as w")

    session.rows(call(session, "set_current_snapshot", first))

    assert session.rows("select * from ns.t") == [(0, "first", None)]
    assert session.rows(f"select * from ns.t version as of {first}") == [(0, "first")]


def call(session: Session, procedure: str, snapshot: int) -> str:
    return f"call lake.system.{procedure}('{session.named('ns.t')}', {snapshot})"


@pytest.mark.at_night
def test_a_snapshot_carries_the_properties_that_its_session_sets(session: Session) -> None:
    key = "spark.sql.iceberg.snapshot-property.lakefeed-build"
    write(session, "without")
    session.rows(f"set `{key}` = b1")
    write(session, "replaced")
    session.rows("insert into ns.t values (100, 'appended')")
    session.rows("delete from ns.t where id = 1")
    session.rows(f"reset `{key}`")
    session.rows("insert into ns.t values (101, 'without')")

    builds = "select summary['lakefeed-build'] from ns.t.snapshots order by committed_at"

    assert session.rows(builds) == [(None,), ("b1",), ("b1",), ("b1",), (None,)]


@pytest.mark.at_night
def test_a_replaced_table_keeps_the_properties_that_are_not_named_again(session: Session) -> None:
    session.rows(
        "create table ns.t using iceberg "
        "tblproperties ('commit.retry.num-retries' = '7', 'write.format.default' = 'orc') "
        "as select 1L as id"
    )
    session.rows(
        "create or replace table ns.t using iceberg "
        "tblproperties ('write.format.default' = 'parquet') as select 2L as id"
    )

    properties = dict(session.rows("show tblproperties ns.t"))

    assert properties["commit.retry.num-retries"] == "7"
    assert properties["write.format.default"] == "parquet"
    assert session.value("select file_format from ns.t.files") == "PARQUET"


def test_one_session_alone_takes_a_lock_that_several_want_at_once(
    session: Session, running: Running
) -> None:
    session.rows(
        "create table ns.locks using iceberg as "
        "select 'build' as name, cast(null as string) as holder"
    )
    takers = ("a", "b", "c")

    def take(who: str) -> str:
        wanted = f"update ns.locks set holder = '{who}' where name = 'build' and holder is null"
        with connected(running, session.namespace) as own:
            try:
                own.rows(wanted)
            except Exception as error:  # noqa: BLE001
                return str(error)
        return ""

    with ThreadPoolExecutor(len(takers)) as several:
        errors = dict(zip(takers, several.map(take, takers), strict=True))

    holder = session.value("select holder from ns.locks")
    assert errors.pop(holder) == ""
    # One who came later finds nothing to change, which is no error: a taker reads the holder back.
    assert all(told == "" or "ValidationException" in told for told in errors.values())


@contextmanager
def in_background(session: Session, statement: str) -> Iterator[Future[Any]]:
    """A statement that has run for a while when the block begins."""
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(session.rows, statement)
        time.sleep(2)
        assert not ended.done(), ended.exception()
        yield ended


@pytest.mark.at_night
def test_a_statement_survives_the_loss_of_an_executor(session: Session, running: Running) -> None:
    with in_background(session, f"create table ns.slow using iceberg as {SLOW}") as ended:
        running.cluster.kill_executor()
        ended.result()

    assert session.value("select count(distinct id) from ns.slow") == 16
    assert session.value("select count(*) from ns.slow") == 16


@pytest.mark.at_night
def test_a_statement_whose_server_is_lost_fails_and_changes_nothing(
    session: Session, running: Running
) -> None:
    write(session, "before")
    statement = f"create or replace table ns.t using iceberg as {SLOW}"

    with in_background(session, statement) as ended:
        running.cluster.kill_server()
        told = str(ended.exception())
    running.cluster.restore()

    assert "UNAVAILABLE" in told
    with connected(running, session.namespace) as later:
        assert content(later, "ns.t") == (20, "before")
