"""`cursor: xmin`: new rows are found by PostgreSQL's row versions, without a cursor column."""

from __future__ import annotations

import time
from typing import Any

import duckdb
import pytest

from lakefeed.demo.server import embedded_postgres
from lakefeed.loading.plan.queries import written_since
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure, only

T = (
    "create table t (id int primary key, word text)",
    "insert into t select i, 'w' || i from generate_series(1, 10) i",
)
STAGED = "select id, word from staging.stg_shop__t order by id"


def begin(database: Database, *statements: str) -> Any:
    session = database.connect()
    for statement in statements:
        session.cursor().execute(statement)
    return session


def test_only_inserts_and_updates_are_read(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: xmin}").run()
    database.execute("insert into t values (11, 'new')", "update t set word = 'x' where id = 3")

    report = lake.run().tables[0]

    assert (report.rows_read, report.rows_written) == (2, 2)
    assert lake.query(STAGED) == database.rows("select id, word from t order by id")
    assert only(lake.load()).rows_written == 0


def test_a_load_without_new_rows_commits_nothing(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: xmin}").load()

    assert only(lake.load()).status == "unchanged"


def test_rows_of_a_late_commit_are_loaded(database: Database, lake: Lake) -> None:
    database.execute(*T)
    late = begin(database, "insert into t values (20, 'late')")
    in_savepoint = begin(
        database,
        "insert into t values (21, 'outside')",
        "savepoint here",
        "insert into t values (22, 'inside')",
        "release savepoint here",
    )
    database.execute("insert into t values (23, 'quick')")
    lake.declare("t: {cursor: xmin}").load()
    database.execute("insert into t values (24, 'quick')")
    lake.load()
    late.commit()
    in_savepoint.commit()

    lake.load()

    assert [row[0] for row in lake.raw("shop__t", "id")] == [*range(1, 11), *range(20, 25)]
    late.close()
    in_savepoint.close()


def test_deletes_are_found_as_well(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: xmin, deletes: remove}").run()
    database.execute("delete from t where id = 3", "update t set word = 'x' where id = 4")
    lake.run()
    database.execute("insert into t values (3, 'back')")

    lake.run()

    assert lake.query(STAGED) == database.rows("select id, word from t order by id")


def test_a_partitioned_table_has_row_versions_too(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, word text) partition by range (id)",
        "create table t1 partition of t for values from (0) to (100)",
        "insert into t values (1, 'a'), (2, 'b')",
    )
    lake.declare("t: {cursor: xmin}").load()
    database.execute("update t set word = 'c' where id = 2")

    assert only(lake.load()).rows_read == 1


def test_a_view_has_no_row_versions(database: Database, lake: Lake) -> None:
    database.execute(*T, "create view v as select * from t")

    told = failure(lake.declare("v: {cursor: xmin, primary_key: id}").load())

    assert "shop.v is a view: its rows have no `xmin`" in told


def test_changing_the_cursor_to_xmin_reads_from_the_beginning(
    database: Database, lake: Lake
) -> None:
    """What the other cursor did not see, this one must."""
    database.execute(
        "create table t (id int primary key, word text, at timestamptz default now())",
        "insert into t values (1, 'a'), (2, 'b')",
    )
    lake.declare("t: {cursor: at}").load()
    database.execute("update t set word = 'silently'")
    lake.load()

    report = only(lake.declare("t: {cursor: xmin}").load())

    assert (
        "the cursor was `at` and is `xmin`, so the table is read from the beginning" in report.notes
    )
    assert ("silently",) in lake.raw("shop__t", "word")
    assert only(lake.load()).rows_read == 0


def test_on_a_restored_server_all_rows_are_read_again_once(
    database: Database,
    lake: Lake,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its transactions are numbered otherwise: a change may have a smaller number than before."""
    database.execute(*T, *["select pg_current_xact_id()"] * 200)
    lake.declare("t: {cursor: xmin}").load()
    with embedded_postgres(tmp_path_factory.mktemp("restored")) as url:
        Database(url).execute(*T, "update t set word = 'restored' where id = 3")
        monkeypatch.setenv(CONNECTION_VARIABLE, url)

        report = only(lake.load())

        assert (report.rows_read, report.rows_written) == (10, 1)
        assert "the server was restored or replaced" in "".join(report.notes)
        again = only(lake.load())
        assert (again.rows_read, again.notes) == (0, ())


def test_status_and_explain_show_the_checkpoint(database: Database, lake: Lake) -> None:
    database.execute(*T)
    checkpoint = only(lake.declare("t: {cursor: xmin}").load()).checkpoint

    assert checkpoint and checkpoint.isdigit()
    assert checkpoint in lake.command("status").stdout
    assert checkpoint in lake.command("explain", "shop.t").stdout


def test_a_range_is_refused(database: Database, lake: Lake) -> None:
    database.execute(*T)

    told = failure(lake.declare("t: {cursor: xmin}").load("shop.t", since="1"))

    assert "has no cursor column, so it can't load a range" in told


CIRCLE = 2**32


@pytest.mark.parametrize(
    ("written", "before", "now", "taken"),
    [
        (5, 5, 10, True),
        (4, 5, 10, False),
        (CIRCLE + 3, CIRCLE + 3, CIRCLE + 9, True),
        (CIRCLE + 2, CIRCLE + 3, CIRCLE + 9, False),
        # Before the turn, seen after it.
        (CIRCLE - 5, CIRCLE - 9, CIRCLE + 2, True),
        (CIRCLE - 10, CIRCLE - 9, CIRCLE + 2, False),
        (CIRCLE + 1, CIRCLE - 9, CIRCLE + 2, True),
        (7 * CIRCLE - 1, 7 * CIRCLE - 1, 7 * CIRCLE, True),
        # A whole turn old, and not to be told from a new one: read again.
        (1, CIRCLE + 1, CIRCLE + 5, True),
    ],
)
def test_transaction_ids_are_distinguished_across_wraparound(
    written: int, before: int, now: int, taken: bool
) -> None:
    condition = written_since(before, now).replace("xmin::text::bigint", str(written % CIRCLE))

    assert duckdb.sql(f"select {condition}").fetchall() == [(taken,)]


def test_it_costs_one_scan_of_the_table(database: Database, lake: Lake) -> None:
    """And no sort and no second query, however many rows there are."""
    database.execute(*T, "insert into t select i, 'w' from generate_series(11, 200000) i")
    lake.declare("t: {cursor: xmin}").load()
    database.execute("update t set word = 'x' where id = 7")
    started = time.monotonic()

    report = only(lake.load())

    assert report.rows_read == 1
    assert time.monotonic() - started < 5
