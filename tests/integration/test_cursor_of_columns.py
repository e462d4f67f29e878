"""A cursor of several columns: the first that isn't null, or the greatest, as one cursor."""

from __future__ import annotations

import datetime as dt
import re
import textwrap
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.late_arrivals import late_rows
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.inspect.trace import trace
from tests.conftest import Database, Lake, failure, only
from tests.integration.test_big_tables import watching
from tests.integration.test_probe_many import A, found_alone, found_in, is_unchanged
from tests.integration.test_steps import in_steps

pytestmark = [pytest.mark.builds, pytest.mark.at_night]

REPOSITORY = Path(__file__).resolve().parents[2]
ORDERS = (
    "create table orders (id int primary key, note text, updated_at timestamptz,"
    " created_at timestamptz)"
)
SEVERAL = "[updated_at, created_at]"
GREATEST = "{column: [updated_at, created_at], greatest: true}"
FIRST = "coalesce(updated_at, created_at)"


def insert(id: int, updated: str | None, created: str | None, note: str = "") -> str:
    at = ", ".join("null" if when is None else f"'{when}Z'" for when in (updated, created))
    return f"insert into orders values ({id}, '{note}', {at})"


def declare(lake: Lake, cursor: str = SEVERAL, more: str = "") -> Lake:
    return lake.declare(f"orders: {{cursor: {cursor}{more}}}")


@pytest.mark.parametrize("backend", ["duckdb", "psycopg2"])
def test_a_row_is_read_by_the_first_of_its_columns_that_is_not_null(
    database: Database, lake: Lake, backend: str
) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01"), insert(2, "2026-01-03", "2026-01-01"))
    declare(lake, more=f", backend: {backend}").load()
    database.execute(
        insert(3, None, "2026-01-04"),
        insert(4, "2026-01-02", "2026-01-05"),
        "update orders set note = 'new', updated_at = '2026-01-06Z' where id = 1",
    )

    second = only(lake.load())

    assert (second.rows_written, second.checkpoint) == (2, "2026-01-06 00:00:00+00:00")
    assert lake.raw("shop__orders", "id, note") == [(1, ""), (1, "new"), (2, ""), (3, "")]


@pytest.mark.parametrize("backend", ["duckdb", "psycopg2"])
def test_a_row_is_read_by_the_greatest_of_its_columns(
    database: Database, lake: Lake, backend: str
) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01"), insert(2, "2026-01-03", "2026-01-01"))
    declare(lake, GREATEST, f", backend: {backend}").load()
    database.execute(insert(3, None, "2026-01-04"), insert(4, "2026-01-02", "2026-01-05"))

    second = only(lake.load())

    assert (second.rows_written, second.checkpoint) == (2, "2026-01-05 00:00:00+00:00")


def test_raw_has_the_columns_of_the_source_alone(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01"))
    declare(lake, more=", columns: {exclude: [created_at]}").load()

    (file,) = lake.files("shop__orders")

    names = pq.read_schema(file).names
    assert names == ["id", "note", "updated_at", "created_at", "_dlt_load_id"]


def test_the_manifest_notes_one_cursor(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01"), insert(2, "2026-01-03", None))
    declare(lake).load()

    (load,) = CommitLog(lake.project.raw, "shop__orders").loads()

    assert (load.cursor, load.read_as and load.read_as.cursor) == (FIRST, FIRST)
    assert (load.cursor_min, load.cursor_max) == (
        "2026-01-01 00:00:00+00",
        "2026-01-03 00:00:00+00",
    )
    assert load.checkpoint == "2026-01-03 00:00:00+00:00"


def test_a_load_without_new_rows_commits_nothing(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01"), insert(2, None, None))
    declare(lake, more=", lookback: 1h").load()

    second = only(lake.load())

    assert (second.status, second.rows_read, second.rows_written) == ("unchanged", 2, 0)
    assert len(lake.files("shop__orders")) == 1


@pytest.mark.parametrize(
    ("settings", "ids"), [("include", [1, 2, 3]), ("exclude", [1, 2])], ids=["include", "exclude"]
)
def test_the_cursor_is_null_only_if_all_columns_are(
    database: Database, lake: Lake, settings: str, ids: list[int]
) -> None:
    database.execute(
        ORDERS, insert(1, None, "2026-01-01"), insert(2, "2026-01-01", None), insert(3, None, None)
    )

    declare(lake, more=f", on_null_cursor: {settings}").load()

    assert lake.raw("shop__orders", "id") == [(id,) for id in ids]


def test_a_null_cursor_can_fail_the_load_by_name(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01"))
    declare(lake, more=", on_null_cursor: error").load()
    database.execute(insert(2, None, None))

    told = failure(lake.load())

    assert f"1 row with a null cursor `{FIRST}`" in told


def test_a_row_that_commits_late_arrives(database: Database, lake: Lake) -> None:
    database.execute(
        "create table orders (id int primary key, updated_at timestamptz,"
        " created_at timestamptz default now())",
        "insert into orders (id) values (1)",
    )
    lake.declare(f"orders: {{cursor: {SEVERAL}}}").load()
    late = database.connect()
    late.cursor().execute("insert into orders (id) values (2)")
    database.execute("insert into orders (id) values (3)")
    lake.load()
    late.commit()
    late.close()
    lake.load()

    assert lake.raw("shop__orders", "id") == [(1,), (2,), (3,)]


def test_rows_below_the_initial_value_are_never_loaded(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, None, "2025-12-31"), insert(2, None, "2026-01-01"))
    initial = "{column: [updated_at, created_at], initial_value: 2026-01-01}"
    declare(lake, initial).load()

    assert lake.raw("shop__orders", "id") == [(2,)]


def test_a_range_is_loaded_again_by_the_value(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, *(insert(day, None, f"2026-01-0{day}") for day in range(1, 6)))
    declare(lake).load()
    database.execute("update orders set note = 'silently'")

    loaded = only(lake.load(since="2026-01-02", until="2026-01-04"))

    assert loaded.rows_written == 2
    assert lake.raw("shop__orders", "count(*)") == [(7,)]


def test_a_type_without_time_zone_and_a_number_are_cursors_too(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table days (id int primary key, changed date, made date)",
        "create table numbers (id int primary key, changed bigint, made bigint)",
        "create table times (id int primary key, changed timestamp, made timestamp)",
        *(
            f"insert into {table} values (1, null, {first})"
            for table, first in (
                ("days", "'2026-01-01'"),
                ("numbers", "1"),
                ("times", "'2026-01-01'"),
            )
        ),
    )
    lake.declare(
        "days: {cursor: [changed, made]}\nnumbers: {cursor: [changed, made]}\n"
        "times: {cursor: {column: [changed, made], timezone: Europe/Paris}}"
    ).load()
    database.execute(
        "insert into days values (2, '2026-01-02', null)",
        "insert into numbers values (2, 2, null)",
        "insert into times values (2, '2026-01-02', null)",
    )

    loaded = lake.load()

    assert [table.rows_written for table in loaded.tables] == [1, 1, 1]


def test_columns_of_different_types_fail_by_name_and_line(database: Database, lake: Lake) -> None:
    database.execute("create table orders (id int primary key, a timestamptz, b date)")

    told = failure(lake.declare("orders:\n  cursor: [a, b]").load())

    assert told == (
        "sources.yaml:7: the columns in the cursor of shop.orders have different types: "
        "`a` is timestamp with time zone, `b` is date\n  use columns of the same type"
    )


def test_a_missing_column_fails_by_name(database: Database, lake: Lake) -> None:
    database.execute(ORDERS)

    told = failure(declare(lake, "[updated_at, made_at]").load())

    assert "shop.orders has no column `made_at` to use as its cursor" in told


@pytest.mark.parametrize(
    ("before", "after"),
    [("updated_at", SEVERAL), (SEVERAL, GREATEST), (SEVERAL, "[created_at, updated_at]")],
)
def test_an_edit_reads_the_table_from_the_beginning_and_says_so(
    database: Database, lake: Lake, before: str, after: str
) -> None:
    database.execute(ORDERS, insert(1, "2026-01-02", "2026-01-01"))
    declare(lake, before).load()
    database.execute("update orders set note = 'silently'")

    loaded = only(declare(lake, after).load())

    assert loaded.rows_written == 1
    assert any("the cursor was" in note and "from the beginning" in note for note in loaded.notes)


def test_names_that_need_quotes_are_columns_like_others(database: Database, lake: Lake) -> None:
    database.execute(
        'create table orders (id int primary key, "Änd%s:’ed" timestamptz, "at, by" timestamptz)',
        "insert into orders values (1, null, '2026-01-01Z')",
    )
    lake.declare("orders: {cursor: ['Änd%s:’ed', 'at, by']}").run()
    database.execute("insert into orders values (2, '2026-01-02Z', null)")

    again = lake.run()

    assert again.exit_code == 0
    assert lake.query("select id from staging.stg_shop__orders order by id") == [(1,), (2,)]


def test_history_begins_at_the_value(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01", "old"))
    assert declare(lake, more=", history: true").run().exit_code == 0
    database.execute("update orders set note = 'new', updated_at = '2026-02-01Z'")
    assert lake.run().exit_code == 0

    versions = lake.query(
        "select note, strftime(_changed_at, '%Y-%m-%d') from history.hst_shop__orders order by 2"
    )

    assert versions == [("old", "2026-01-01"), ("new", "2026-02-01")]


def test_an_edit_of_the_columns_makes_the_history_anew(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, "2026-01-01", "2026-03-01"))
    declare(lake, more=", history: true").run()

    declare(lake, GREATEST, ", history: true").run()

    changed = lake.query("select strftime(_changed_at, '%Y-%m-%d') from history.hst_shop__orders")
    assert changed == [("2026-03-01",)]


def test_trace_shows_the_value_of_each_version(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01"))
    declare(lake).run()
    database.execute("update orders set updated_at = '2026-01-02Z'")
    lake.run()

    traced = trace(lake.project, "shop.orders", ["1"])

    assert [version.cursor for version in traced.versions] == [
        "2026-01-01 00:00:00+00",
        "2026-01-02 00:00:00+00",
    ]


def test_rows_that_appear_below_the_checkpoint_are_read_with_deletes(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01"), insert(2, "2026-01-03", None))
    declare(lake, more=", deletes: remove, max_shrink: 100%").run()
    database.execute("delete from orders where id = 1", insert(3, None, "2026-01-02"))
    lake.run()

    assert lake.query("select id from staging.stg_shop__orders order by id") == [(2,), (3,)]


def test_audit_finds_and_repairs_rows_by_the_value(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-01"), insert(2, "2026-01-09", None))
    declare(lake).run()
    database.execute(insert(3, None, "2026-01-02"), insert(4, "2026-01-10", None))

    result = audit(lake.project, ()).tables[0]

    assert ({found.kind: found.rows for found in result.findings}, result.pending) == (
        {"missing": 1},
        1,
    )
    assert lake.command("audit", "--repair").returncode == 0
    assert lake.query("select id from staging.stg_shop__orders order by 1") == [(1,), (2,), (3,)]


def test_tables_without_news_are_told_together(database: Database, lake: Lake) -> None:
    for name in ("a", "b"):
        database.execute(
            f"create table {name} (id int primary key, updated timestamptz, made timestamptz)",
            f"insert into {name} select i, case when i % 2 = 0 then timestamptz '2026-01-02Z' end,"
            " '2026-01-01Z' from generate_series(1, 200) i",
        )
    lake.declare("a: {cursor: [updated, made], lookback: 30h}\nb: {cursor: [updated, made]}").load()

    together, alone = found_in(lake), found_alone(lake, A)
    database.execute("insert into a values (201, null, '2026-01-03Z')")
    with_news = found_in(lake)

    assert is_unchanged(together[A])
    assert together[A] and alone and together[A].rows_read == alone.rows_read == 200
    assert with_news[A] is None


def test_steps_load_the_same_rows_as_one_load(database: Database, lake: Lake) -> None:
    database.execute("create table t (id int primary key, updated timestamptz, made timestamptz)")
    lake.declare("t: {cursor: [updated, made]}").load()
    database.execute(
        "insert into t select i, case when i % 3 = 0 then '2026-01-02Z'::timestamptz end,"
        " '2026-01-01Z'::timestamptz + i * interval '1 minute' from generate_series(1, 3000) as i",
        "insert into t values (-1, null, null)",
    )

    loaded = in_steps(lake)

    assert len(loaded.committed) > 3
    assert lake.raw("shop__t", "count(*), count(distinct id)") == [(3001, 3001)]


def test_a_big_table_is_read_in_parallel(database: Database, lake: Lake) -> None:
    database.execute(
        "create table big (id int primary key, filler text, updated timestamptz, made timestamptz)",
        "insert into big select i, repeat(md5(i::text), 25), null, "
        "timestamptz '2026-01-01Z' + i * interval '1 second' from generate_series(1, 90_000) as i",
        "analyze big",
    )

    with watching(database) as seen:
        loaded = only(lake.declare("big: {cursor: [updated, made], parallel: 2}").load())

    assert max(seen) == 2
    assert loaded.rows_written == 90_000
    assert loaded.checkpoint == "2026-01-02 01:00:00+00:00"


def test_late_rows_are_measured_by_the_value(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, insert(1, None, "2026-01-02"))
    declare(lake, more=", lookback: 2h").load()
    database.execute(insert(2, None, "2026-01-01 23:00"), insert(3, "2026-01-03", None))
    lake.load()

    log, table = CommitLog(lake.project.raw, "shop__orders"), lake.project.tables[0]
    with duckdb.connect() as engine:
        engine.execute("set timezone = 'UTC'")
        late = late_rows(engine, log, table, "timestamptz", [dt.timedelta(0)])

    assert late and (late.rows, late.above) == (2, {dt.timedelta(0): 1})
    assert late.longest == dt.timedelta(hours=1)


def test_check_advises_on_the_index_until_there_is_one(database: Database, lake: Lake) -> None:
    database.execute(
        'create table "Orders" (id int primary key, "updatedAt" timestamptz,'
        " created_at timestamptz not null)",
        'create index on "Orders" ("updatedAt")',
    )
    lake.declare("Orders: {cursor: [updatedAt, created_at]}").load()
    advice = 'create index on public."Orders" ((coalesce("updatedAt", created_at)))'

    before = lake.command("check", "--connect").stdout
    database.execute(advice)
    after = lake.command("check", "--connect").stdout

    assert "has no index, so every load scans the table; to add one: " in before
    assert advice in " ".join(before.split())
    assert "no index" not in after
    assert "nullable" not in before


def test_an_index_on_another_value_is_not_the_one(database: Database, lake: Lake) -> None:
    database.execute(
        ORDERS,
        f"create index on orders (({FIRST}))",
        "create index on orders (greatest(created_at, updated_at))",
        "create index on orders (greatest(updated_at, created_at)) where id > 5",
    )
    declare(lake, GREATEST).load()

    told = " ".join(lake.command("check", "--connect").stdout.split())

    assert "create index on public.orders ((greatest(updated_at, created_at)))" in told
    assert "is nullable" in told


def test_the_window_is_read_through_the_index(database: Database, lake: Lake) -> None:
    """The condition is written so that PostgreSQL can use the index that `check` advises."""
    database.execute(
        ORDERS,
        "insert into orders select i, '', null, timestamptz '2026-01-01Z' + i * interval '1 minute'"
        " from generate_series(1, 20000) i",
        f"create index by_value on orders (({FIRST}))",
        "analyze orders",
    )
    declare(lake).load()
    before = database.rows(
        "select idx_scan from pg_stat_user_indexes where indexrelname = 'by_value'"
    )
    database.execute(insert(0, "2027-01-01", None))

    lake.load()

    database.execute("select pg_stat_force_next_flush()")
    after = database.rows(
        "select idx_scan from pg_stat_user_indexes where indexrelname = 'by_value'"
    )
    assert after > before


def test_the_example_of_the_guide_loads(database: Database, lake: Lake) -> None:
    database.execute(
        ORDERS, "create table shipments (id int primary key, packed_at date, sent_at date)"
    )
    page = (REPOSITORY / "docs" / "adding-a-table.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*cursor: \[(?:.*\n)*?)```", page)

    report = lake.declare(textwrap.dedent(example)).run()

    assert report.exit_code == 0
    assert len(report.tables) == 2
