"""Loading: which rows reach raw in which mode, and what the second load reads."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.table import Table
from lakefeed.orchestration.reports.listener import Silence
from lakefeed.source.connections.connection import Connection
from lakefeed.source.snapshot import Snapshot, open_snapshot
from tests.conftest import Database, Lake, failure, only

ORDERS = """
create table orders (
    id int primary key, note text, updated_at timestamptz default now()
)
"""


def test_the_first_load_reads_all_rows_and_the_second_reads_the_changes(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'old'), (2, 'same')")
    lake.declare("orders: {cursor: updated_at}").load()
    database.execute("update orders set note = 'new', updated_at = now() where id = 1")

    second = only(lake.load())

    assert second.rows_written == 1
    assert lake.raw("shop__orders", "id, note") == [(1, "new"), (1, "old"), (2, "same")]


def test_a_load_that_finds_nothing_new_commits_nothing(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a')")
    lake.declare("orders: {cursor: updated_at, lookback: 1h}").load()

    second = only(lake.load())

    assert (second.status, second.rows_read, second.rows_written) == ("unchanged", 1, 0)
    assert len(lake.files("shop__orders")) == 1


# Prints which large modules the threads that load tables import, and whether one imports pandas.
IMPORTS = """
import sys, threading
class Seen:
    def find_spec(self, name, path=None, target=None):
        is_ready = hasattr(sys.modules.get("lakefeed.loading.load"), "load_table")
        is_ready = is_ready or name == "pandas"
        if is_ready and threading.current_thread().name.startswith("lakefeed"):
            seen.add(name)
seen = set()
sys.meta_path.insert(0, Seen())
sys.argv = ["lakefeed", "load"]
from lakefeed.cli.main import main
try:
    main()
finally:
    large = ("pyarrow.", "sqlalchemy.", "requests.", "pandas")
    large += ("dlt.extract", "dlt.normalize", "dlt.load")
    imported = [name for name in seen if name.startswith(large) and name in sys.modules]
    print("imported late:", sorted(imported))
"""


def test_modules_that_loads_need_are_imported_before_tables_are_loaded_in_parallel(
    database: Database, lake: Lake, tmp_path: Path
) -> None:
    # A package that DuckDB, pyarrow and dlt look for, though Lakefeed doesn't need it.
    pandas = tmp_path / "site" / "pandas"
    pandas.mkdir(parents=True)
    (pandas / "__init__.py").write_text("class DataFrame: pass\nclass NaT: pass\n")
    database.execute(ORDERS, "insert into orders values (1, 'a')", "create table b (id int)")
    lake.declare("orders: {cursor: updated_at}\nb: {mode: full_refresh}")

    ended = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        cwd=lake.root,
        env={**os.environ, "PYTHONPATH": str(pandas.parent)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "imported late: []" in ended.stdout, ended.stdout + ended.stderr


def test_files_are_in_folders_by_source_table_and_load_date(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a')")
    lake.declare("orders: {cursor: updated_at}")
    load_id = only(lake.load()).load_id

    (file,) = lake.files("shop__orders")

    parts = file.relative_to(lake.root / "data" / "raw").parts
    assert parts[:2] == ("shop__orders", "orders")
    assert parts[2].startswith("load_date=20")
    assert parts[3].startswith(f"{load_id}.")
    assert lake.raw("shop__orders", "_dlt_load_id") == [(load_id,)]


def test_no_second_copy_of_the_rows_is_kept(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a')")
    lake.declare("orders: {cursor: updated_at}").load()

    assert list((lake.root / "data" / ".dlt").rglob("*.parquet")) == []
    assert len(lake.files("shop__orders")) == 1


def test_dlt_does_not_rewrite_the_files_that_duckdb_wrote_for_any_type(
    database: Database, lake: Lake
) -> None:
    """dlt rewrites an imported file if its types aren't as expected, which may change values."""
    database.execute(
        "create domain positive as int check (value > 0)",
        "create table t (id int primary key, a timestamp, b timestamptz, c numeric(10, 2), d uuid,"
        " e date, f time, g bytea, h real, i double precision, j boolean, k smallint, l positive,"
        " m varchar(9), n char(4), o numeric, p jsonb, q text[], r interval,"
        " updated_at timestamp not null default now())",
        "insert into t values (1, now(), now(), 1.10, gen_random_uuid(), now(), '24:00', 'x', 1.1,"
        " 1.1, true, 1, 2, 'v', 'c', 1.10, '{}', '{a}', '1 day')",
    )
    lake.declare("t: {cursor: {column: updated_at, timezone: UTC}}").load()

    (file,) = lake.files("shop__t")

    assert pq.read_metadata(file).created_by.startswith("DuckDB")
    assert lake.load().tables[0].status == "unchanged"


def test_a_full_refresh_writes_a_copy_only_if_a_row_changed(database: Database, lake: Lake) -> None:
    database.execute("create table t (a int, b text)", "insert into t values (1, 'x'), (1, 'x')")
    lake.declare("t: {mode: full_refresh, max_shrink: 100%}").load()
    assert only(lake.load()).status == "unchanged"
    database.execute("delete from t where ctid = (select min(ctid) from t)")

    third = only(lake.load())

    assert third.rows_written == 1
    assert len(lake.files("shop__t")) == 2


def test_a_full_refresh_of_an_incremental_table_reads_all_rows_and_later_loads_continue_from_it(
    database: Database, lake: Lake
) -> None:
    database.execute(
        ORDERS,
        "insert into orders values (1, 'a', '2026-01-01Z')",
        "insert into orders values (2, 'b')",
    )
    lake.declare("orders: {cursor: updated_at}").load()
    database.execute("update orders set note = 'changed without a trace' where id = 1")
    assert only(lake.load()).rows_written == 0

    refreshed = only(lake.load(full_refresh=True))
    database.execute("insert into orders values (3, 'c')")

    assert refreshed.rows_read == 2
    assert only(lake.load()).rows_written == 1


def test_a_backfill_reads_its_range_and_does_not_move_the_checkpoint(
    database: Database, lake: Lake
) -> None:
    database.execute(
        ORDERS,
        "insert into orders select d, 'x', '2026-01-01Z'::timestamptz + d * interval '1 day'"
        " from generate_series(1, 9) as d",
    )
    before = only(lake.declare("orders: {cursor: updated_at}").load()).checkpoint
    database.execute("update orders set note = 'y' where id in (3, 5, 7)")

    backfill = only(lake.load(since="2026-01-04", until="2026-01-08"))

    assert backfill.rows_read == 4
    again = {row for row in lake.raw("shop__orders", "id, note") if row[1] == "y"}
    assert again == {(3, "y"), (5, "y")}
    after = only(lake.load())
    assert (after.checkpoint_before, after.rows_written) == (before, 0)


def test_a_backfill_of_all_tables_skips_tables_without_a_cursor_unless_they_are_named(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "create table t (id int)", "insert into t values (1)")
    lake.declare("orders: {cursor: updated_at}\nt: {mode: full_refresh}")

    assert only(lake.load(since="2026-01-01")).name == "shop.orders"
    assert "can't load a range" in failure(lake.load("shop.t", since="2026-01-01"))


def test_the_lookback_reads_below_the_checkpoint_and_finds_late_rows(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a', now())")
    lake.declare("orders: {cursor: updated_at, lookback: 1h}").load()
    database.execute(
        "insert into orders values (2, 'late', now() - interval '50 minutes'),"
        " (3, 'too late', now() - interval '70 minutes')"
    )

    lake.load()

    assert lake.raw("shop__orders", "id") == [(1,), (2,)]


def test_a_transaction_that_commits_after_the_load_arrives_with_the_next_without_lookback(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS)
    slow = database.connect()
    slow.cursor().execute("insert into orders values (1, 'slow')")
    database.execute("select pg_sleep(0.01)", "insert into orders values (2, 'quick')")
    lake.declare("orders: {cursor: updated_at}").load()
    slow.commit()
    slow.close()

    lake.load()

    assert [row[0] for row in lake.raw("shop__orders", "id")] == [1, 2]


def test_a_cursor_in_the_future_does_not_hide_later_rows(database: Database, lake: Lake) -> None:
    database.execute(
        ORDERS, "insert into orders values (1, 'x', 'infinity'), (2, 'y', '2999-01-01')"
    )
    lake.declare("orders: {cursor: updated_at}").load()
    database.execute("insert into orders values (3, 'z', now())")

    assert only(lake.load()).rows_written == 1


def test_all_rows_with_the_cursor_value_of_the_checkpoint_are_loaded(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a', '2026-01-01Z')")
    lake.declare("orders: {cursor: updated_at}").load()
    database.execute("insert into orders values (2, 'b', '2026-01-01Z'), (3, 'c', '2026-01-01Z')")

    assert only(lake.load()).rows_written == 2


@pytest.mark.parametrize(("choice", "expected"), [("include", [1, 2]), ("exclude", [1])])
def test_rows_with_a_null_cursor_are_read_as_declared(
    database: Database, lake: Lake, choice: str, expected: list[int]
) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a', now()), (2, 'b', null)")
    report = only(lake.declare(f"orders: {{cursor: updated_at, on_null_cursor: {choice}}}").load())

    assert [row[0] for row in lake.raw("shop__orders", "id")] == expected
    assert report.null_cursors == len(expected) - 1
    assert only(lake.load()).rows_written == 0


def test_rows_with_a_null_cursor_stop_the_table_if_declared_an_error(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "insert into orders values (2, 'b', null)")
    report = lake.declare("orders: {cursor: updated_at, on_null_cursor: error}").load()

    assert "1 row with a null cursor `updated_at`" in failure(report)
    assert lake.files("shop__orders") == []


@pytest.mark.parametrize(
    ("type_", "first", "second"),
    [("bigint", "1", "2"), ("date", "'2026-01-01'", "'2026-01-02'")],
)
def test_numbers_and_dates_can_be_cursors(
    database: Database, lake: Lake, type_: str, first: str, second: str
) -> None:
    database.execute(f"create table t (id int primary key, at {type_})")
    database.execute(f"insert into t values (1, {first})")
    lake.declare("t: {cursor: at}").load()
    database.execute(f"insert into t values (2, {second})")

    assert only(lake.load()).rows_written == 1


def test_a_timestamp_without_time_zone_is_read_in_its_declared_zone(
    database: Database, lake: Lake
) -> None:
    """Ahead of UTC it looks like the future, but the checkpoint must follow it."""
    database.execute(
        "create table t (id int primary key, at timestamp)",
        "insert into t values (1, now() at time zone 'Asia/Tokyo' - interval '1 minute')",
    )
    first = only(lake.declare("t: {cursor: {column: at, timezone: Asia/Tokyo}}").load())

    (tokyo,) = database.rows("select (max(at) - now() at time zone 'UTC') > '8 hours' from t")
    assert tokyo == (True,)
    assert str(first.checkpoint) == str(database.rows("select max(at) from t")[0][0])


def test_included_columns_are_loaded_together_with_key_and_cursor(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table t (a int, id int primary key, secret text, b int, at timestamptz)",
        "insert into t values (1, 2, 's', 3, now())",
    )
    lake.declare("t: {cursor: at, columns: {include: [b]}}").load()

    names = pq.read_schema(lake.files("shop__t")[0]).names
    assert names == ["id", "b", "at", "_dlt_load_id"]


def test_excluded_columns_never_reach_the_lake(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, secret text)", "insert into t values (1, 'hidden')"
    )
    lake.declare("t: {mode: full_refresh, columns: {exclude: [secret]}}").load()

    assert pq.read_schema(lake.files("shop__t")[0]).names == ["id", "_dlt_load_id"]


def test_only_rows_that_meet_where_are_loaded(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a%b'), (2, 'draft'), (3, null)")
    lake.declare(
        """
orders:
  cursor: updated_at
  where: |
    note like 'a%' or note is null -- with a comment
""".strip()
    ).load()

    assert [row[0] for row in lake.raw("shop__orders", "id")] == [1, 3]


def test_a_composite_key_identifies_rows(database: Database, lake: Lake) -> None:
    database.execute(
        "create table lines (o int, n int, note text, at timestamptz default now(),"
        " primary key (o, n))",
        "insert into lines values (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c')",
    )
    lake.declare("lines: {cursor: at, lookback: 1h}").load()
    database.execute("update lines set note = 'B', at = now() where (o, n) = (1, 2)")

    assert only(lake.load()).rows_written == 1


def test_a_declared_key_is_used_if_the_database_has_none(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (a int, b int, at timestamptz)",
        "insert into t values (1, 1, now()), (1, 2, now())",
    )

    assert only(lake.declare("t: {cursor: at, primary_key: [a, b]}").load()).rows_written == 2


def test_a_table_of_another_schema_is_named_with_its_schema(database: Database, lake: Lake) -> None:
    database.execute("create schema audit", "create table audit.events (id int)")
    database.execute("insert into audit.events values (1)")
    lake.declare("audit.events: {mode: full_refresh}").load()

    assert lake.raw("shop__events", "id") == [(1,)]


def test_a_wildcard_loads_its_tables_and_a_more_specific_entry_wins(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create schema audit",
        "create table audit.a (id int primary key, at timestamptz default now())",
        "create table audit.b (id int primary key, at timestamptz default now())",
        "create view audit.v as select 1 as id",
        "insert into audit.a values (1)",
        "insert into audit.b values (1)",
    )
    lake.declare('"audit.*": {mode: full_refresh}\naudit.b: {mode: incremental, cursor: at}')

    report = lake.load()

    assert [table.name for table in report.tables] == ["shop.b", "shop.a"]
    assert [table.checkpoint is None for table in report.tables] == [False, True]


def test_a_new_table_that_matches_a_wildcard_is_loaded_by_the_next_run(
    database: Database, lake: Lake
) -> None:
    database.execute("create table log_1 (id int)", "insert into log_1 values (1)")
    lake.declare('"log_*": {mode: full_refresh}').load()
    database.execute("create table log_2 (id int)", "insert into log_2 values (1)")

    assert [table.name for table in lake.load().tables] == ["shop.log_1", "shop.log_2"]


def test_a_view_is_loaded_like_a_table_without_a_key(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a')")
    database.execute("create view recent as select id, note from orders")

    assert only(lake.declare("recent: {mode: full_refresh}").load()).rows_written == 1


def test_a_partitioned_table_is_loaded_as_one_table(database: Database, lake: Lake) -> None:
    database.execute(
        "create table logs (id int, at timestamptz, primary key (id, at)) partition by range (at)",
        "create table logs_1 partition of logs for values from ('2026-01-01') to ('2026-02-01')",
        "create table logs_2 partition of logs for values from ('2026-02-01') to ('2026-03-01')",
        "insert into logs values (1, '2026-01-15'), (2, '2026-02-15')",
    )

    report = lake.declare('"logs*": {cursor: at}').load()

    assert only(report).rows_written == 2


def test_tables_of_one_run_are_read_at_one_snapshot(database: Database, lake: Lake) -> None:
    """Rows added to the second table after the run's snapshot arrive with the next run."""
    database.execute("create table a (id int)", "create table b (id int)")
    database.execute("insert into a values (1)", "insert into b values (1)")
    lake.declare("a: {mode: full_refresh}\nb: {mode: full_refresh}")

    class Intruder(Silence):
        def started(self, table: Table) -> None:
            database.execute("insert into b values (2)")

    lake.load(listener=Intruder())

    assert lake.raw("shop__b", "id") == [(1,)]


def test_tables_of_one_source_are_read_in_parallel(database: Database, lake: Lake) -> None:
    for name in ("a", "b"):
        database.execute(f"create table {name} as select 1 as id")
    lake.declare("a: {mode: full_refresh}\nb: {mode: full_refresh}")
    both_have_started = threading.Barrier(2, timeout=30)

    class Waiting(Silence):
        def started(self, table: Table) -> None:
            both_have_started.wait()

    report = lake.load(listener=Waiting())
    assert [(table.name, table.rows_written) for table in report.tables] == [
        ("shop.a", 1),
        ("shop.b", 1),
    ]


def test_each_table_is_read_at_its_own_snapshot_if_none_can_be_shared(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a load balancer, where another server doesn't know the snapshot."""
    database.execute(
        "create table a (id int primary key)", "create table b (id int primary key)",
        "insert into a values (1)", "insert into b values (1)",
    )  # fmt: skip
    lake.declare("a: {mode: full_refresh}\nb: {mode: full_refresh}")

    @contextmanager
    def forgotten(
        connection: Connection, *_: object, **__: object
    ) -> Iterator[tuple[Snapshot, PgConnection]]:
        with open_snapshot(connection) as (snapshot, session):
            session.rollback()
            yield snapshot, session

    monkeypatch.setattr("lakefeed.orchestration.ingest.source_run.open_snapshot", forgotten)

    report = lake.load()

    assert [table.rows_written for table in report.tables] == [1, 1]
    assert len(report.warnings) == 1
    assert "shop: tables can't share a snapshot" in report.warnings[0]


def test_files_are_linked_into_a_local_raw_layer(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("create table t (id int primary key)", "insert into t values (1)")
    linked = []
    link = os.link

    def noting(old: str, new: str) -> None:
        linked.append(Path(new))
        link(old, new)

    monkeypatch.setattr(os, "link", noting)

    lake.declare("t: {mode: full_refresh}").load()

    assert linked[-1:] == lake.files("shop__t")


def test_files_are_copied_to_a_raw_layer_on_another_disk(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_old: str, _new: str) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    database.execute("create table t (id int primary key)", "insert into t values (1)")
    monkeypatch.setattr(os, "link", refuse)

    lake.declare("t: {mode: full_refresh}").load()

    assert lake.raw("shop__t", "id") == [(1,)]
