"""Tables that are declared as a query: `query: select … from orders group by 1`."""

from __future__ import annotations

import json

import pytest

from lakefeed.errors import LakefeedError
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.checks.check import check, check_connected
from lakefeed.orchestration.project.sync import sync
from lakefeed.site.page import REPORT
from tests.conftest import Database, Lake, failure, git, only
from tests.integration.test_rewrite_detection import Meanwhile

pytestmark = pytest.mark.builds

ORDERS = (
    "create table orders (id int primary key, customer_id int, total numeric(12,2),"
    " updated_at timestamptz not null default now())",
    "insert into orders select i, i % 3, i * 1.10, timestamptz '2026-01-01' + i * interval '1 h'"
    " from generate_series(1, 9) as i",
)
SPENT = (
    "select customer_id, sum(total) as spent, max(updated_at) as updated_at from orders group by 1"
)
DECLARED = f"spent: {{query: '{SPENT}', primary_key: customer_id, cursor: updated_at%s}}"
BACKENDS = ("duckdb", "psycopg2")


@pytest.fixture
def orders(database: Database) -> Database:
    database.execute(*ORDERS)
    return database


def spent(lake: Lake) -> list[tuple[object, ...]]:
    return lake.query("select customer_id, spent from staging.stg_shop__spent order by all")


def spent_there(database: Database) -> list[tuple[object, ...]]:
    return database.rows("select customer_id, sum(total)::text from orders group by 1 order by 1")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_rows_of_a_query_are_staged_by_key_and_read_on_by_cursor(
    orders: Database, lake: Lake, backend: str
) -> None:
    lake.declare(DECLARED % f", backend: {backend}")

    first = only(lake.run())
    unchanged = only(lake.run())
    orders.execute("insert into orders values (10, 1, 0.05)")
    later = only(lake.run())

    assert (first.rows_written, unchanged.status) == (3, "unchanged")
    assert (later.rows_read, later.rows_written) == (2, 1)
    assert spent(lake) == spent_there(orders)


VALUES = (
    "1::smallint as small, 2::bigint as big, 1.10::numeric(6,2) as dec, 1.100::numeric as free,"
    " 'NaN'::numeric as nan, 'ä''%s'::varchar(9) as word, 'x '::char(3) as padded,"
    " timestamptz '2026-01-02 03:04:05.678901+02' as at, timestamp(3) '2026-01-02 03:04:05.678' as"
    " local, date 'infinity' as day, interval '1 mon -2 days' as span,"
    " '{\"a\":  1.10}'::json as doc, '{1,null}'::int[] as list, null::text as nothing,"
    " true as yes, '\\x00ff'::bytea as bytes,"
    " '5f0c0d3e-0000-4000-8000-000000000001'::uuid as uid, 1e300::float8 as double,"
    " 'b'::mood as mood, 7::positive as domain"
)


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_of_a_query_are_exact(database: Database, lake: Lake, backend: str) -> None:
    database.execute(
        "create type mood as enum ('a', 'b')", "create domain positive as numeric(5,1)"
    )
    database.execute(f"create view seen as select {VALUES}")
    query = f"select {VALUES}".replace("'", "''")
    report = lake.declare(
        f"q: {{query: '{query}', mode: full_refresh, backend: {backend}}}\n"
        f"seen: {{mode: full_refresh, backend: {backend}}}"
    ).load()
    assert [table.error for table in report.tables] == [None, None]
    columns = ", ".join(
        f'"{name}"'
        for (name,) in database.rows(
            "select attname from pg_attribute where attrelid = 'seen'::regclass order by attnum"
        )
    )

    assert lake.raw("shop__q", columns) == lake.raw("shop__seen", columns)
    assert lake.raw("shop__q", "doc, padded, free, dec")[0][:1] == ('{"a":  1.10}',)


def test_columns_and_types_are_catalogued_by_the_server(orders: Database, lake: Lake) -> None:
    sync(lake.declare(DECLARED % "").project)

    assert (
        "    public.spent:\n      kind: query\n      columns:\n        customer_id: integer\n"
        "        spent: numeric\n        updated_at: timestamp with time zone\n"
    ) in (lake.root / "sources.lock.yaml").read_text()
    assert check(lake.project).errors == ()


def test_a_late_commit_below_a_query_is_loaded(orders: Database, lake: Lake) -> None:
    lake.declare(DECLARED % "").run()
    late = orders.connect()
    late.cursor().execute("insert into orders values (20, 1, 5)")
    orders.execute("insert into orders values (21, 2, 7)")
    lake.run()

    late.commit()
    late.close()
    lake.run()

    assert spent(lake) == spent_there(orders)


def test_a_query_and_a_table_are_read_at_one_snapshot(orders: Database, lake: Lake) -> None:
    lake.declare(DECLARED % "" + "\norders: {cursor: updated_at}")
    added = Meanwhile(orders, {"orders": ["insert into orders values (30, 0, 1000)"]})

    report = lake.load(listener=added)

    (total,) = lake.raw("shop__spent", "sum(spent::decimal(12,2))")[0]
    assert [table.error for table in report.tables] == [None, None]
    assert total == lake.raw("shop__orders", "sum(total)")[0][0]


@pytest.mark.parametrize("deletes", ["remove", "mark"])
def test_rows_that_leave_a_query_are_deleted(orders: Database, lake: Lake, deletes: str) -> None:
    lake.declare(DECLARED % f", deletes: {deletes}").run()
    orders.execute("delete from orders where customer_id = 1")

    report = only(lake.run())

    assert report.rows_deleted == 1
    staged = "staging.stg_shop__spent" + (" where _deleted_at is null" * (deletes == "mark"))
    assert lake.query(f"select customer_id from {staged} order by 1") == [(0,), (2,)]


def test_where_columns_history_and_initial_value_work_around_a_query(
    orders: Database, lake: Lake
) -> None:
    lake.declare(
        DECLARED.replace("cursor: updated_at", "cursor: {column: updated_at, initial_value: "
        "2026-01-01T07:30:00+00:00}") % ", where: customer_id > 0, history: true, "
        "columns: {exclude: [spent]}"
    )  # fmt: skip
    lake.run()
    orders.execute("insert into orders values (40, 2, 1)")
    lake.run()

    history = "select customer_id, is_current from history.hst_shop__spent order by all"
    assert lake.query(history) == [(2, False), (2, True)]
    assert "spent" not in {row[0] for row in lake.query("describe staging.stg_shop__spent")}


def test_a_full_refresh_of_a_query_is_unchanged_while_its_rows_are(
    orders: Database, lake: Lake
) -> None:
    lake.declare(f"spent: {{query: '{SPENT}', mode: full_refresh}}").load()

    assert only(lake.load()).status == "unchanged"
    orders.execute("update orders set total = 0 where id = 1")
    assert only(lake.load()).rows_written == 3


EDITS = {
    "the_query": (SPENT.replace("sum(total)", "sum(total) * 2"), (), "`query` changed"),
    "a_view_below": (
        SPENT,
        ("create or replace view bought as select id, customer_id, total * 2 as total,"
         " updated_at from orders",),
        "the definition of what the query reads changed",
    ),
    "a_function": (
        SPENT,
        ("create or replace function worth(numeric) returns numeric language sql"
         " as 'select $1 * 3'",),
        "the definition of what the query reads changed",
    ),
}  # fmt: skip


@pytest.mark.by_day(1)
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_told_and_the_query_is_read_whole_again(
    orders: Database, lake: Lake, edit: str
) -> None:
    orders.execute(
        "create view bought as select id, customer_id, total::numeric as total, updated_at"
        " from orders",
        "create function worth(numeric) returns numeric language sql as 'select $1'",
    )
    query, statements, told = EDITS[edit]

    def declared(text: str) -> str:
        below = text.replace("from orders", "from bought").replace(
            "sum(total)", "sum(worth(total))"
        )
        return (DECLARED % "").replace(SPENT, below)

    lake.declare(declared(SPENT)).run()
    lake.declare(declared(query))
    orders.execute(*statements)

    report = only(lake.run())

    assert report.notes == (f"{told}, so the table is read in full",)
    assert report.rows_written == 3
    expected = orders.rows(f"select customer_id, spent::text from ({_query_of(lake)}) q order by 1")
    assert spent(lake) == expected
    assert only(lake.run()).status == "unchanged"


def _query_of(lake: Lake) -> str:
    return lake.project.table("shop__spent").query or ""


def test_another_layout_of_the_same_query_is_no_edit(orders: Database, lake: Lake) -> None:
    lake.declare(DECLARED % "").run()
    laid_out = SPENT.replace(" from", " -- by customer\n    from")
    lake.declare(
        f"spent:\n  primary_key: customer_id\n  cursor: updated_at\n  query: |\n    {laid_out};"
    )

    report = only(lake.run())

    assert (report.status, report.notes) == ("unchanged", ())


@pytest.mark.parametrize(
    "statement",
    [
        "alter table orders drop column total; alter table orders add total numeric(12,2)",
        "alter table orders rename customer_id to x; alter table orders rename id to customer_id;"
        " alter table orders rename x to id",
    ],
)
def test_a_column_replaced_below_a_query_is_noticed(
    orders: Database, lake: Lake, statement: str
) -> None:
    lake.declare(DECLARED % "").run()
    orders.execute(statement)

    report = only(lake.run())

    assert report.notes == (
        "the definition of what the query reads changed, so the table is read in full",
    )


REWRITES = {
    "emptied": "truncate orders; insert into orders values (1, 1, 5)",
    "swapped": "alter table orders rename to old; alter table other rename to orders",
    "columns_swapped": "alter table orders rename total to x; alter table orders rename spare to"
    " total; alter table orders rename x to spare",
}


@pytest.mark.parametrize("rewrite", REWRITES)
def test_a_table_below_a_query_that_is_rewritten_meanwhile_is_read_again(
    orders: Database, lake: Lake, rewrite: str
) -> None:
    orders.execute(
        "alter table orders add spare numeric(12,2) default 1",
        "create table other (like orders including all)",
        "insert into other values (1, 5, 7, now(), 8)",
    )
    lake.declare(DECLARED % "")

    report = only(lake.load(listener=Meanwhile(orders, {"spent": [REWRITES[rewrite]]})))

    assert "read again at a later snapshot" in report.notes[-1]
    there = orders.rows("select customer_id, sum(total)::text from orders group by 1 order by 1")
    assert lake.raw("shop__spent", "customer_id, spent") == there


def test_partitions_that_a_query_leaves_out_are_no_rewrite(database: Database, lake: Lake) -> None:
    database.execute(
        "create table logs (id int, at timestamptz default now()) partition by range (id)",
        "create table logs_1 partition of logs for values from (0) to (10)",
        "create table logs_2 partition of logs for values from (10) to (20)",
        "insert into logs values (1), (11)",
    )
    lake.declare("q: {query: 'select * from logs where id < 10', primary_key: id, cursor: at}")
    first = only(lake.load())
    database.execute("create table logs_3 partition of logs for values from (20) to (30)")

    assert (first.rows_written, first.notes) == (1, ())
    assert only(lake.load()).status == "unchanged"


# With the word that the place in the file is that of.
REFUSED = {
    "select 1; drop table orders": (";", "it contains more than one statement"),
    "delete from orders": ("delete", "it must be a `select`, `with … select` or `values`"),
    "with gone as (delete from orders returning *) select * from gone": (
        "delete",
        "it contains `delete`, but must only read",
    ),
    "select * from orders for update": ("for", "it locks rows (`for update` or `for share`)"),
    "select * into copied from orders": ("into", "it creates a table (`into`)"),
    "select from where": ("where", "it can't be parsed near `where`"),
    "select 1) as x; drop table orders; select (1": (";", "it contains more than one statement"),
    'select "id from orders': ('"', "it can't be parsed: the `\"` has no end"),
}


def place_of(lake: Lake, word: str) -> str:
    """File, line and column of a word that the declaration has once behind `bad`."""
    lines = (lake.root / "sources.yaml").read_text().splitlines()
    line = next(i for i, text in enumerate(lines, 1) if "bad:" in text)
    return f"sources.yaml:{line}:{lines[line - 1].index(word, 19) + 1}"


@pytest.mark.parametrize("query", REFUSED)
def test_a_statement_that_does_more_than_read_is_refused_with_its_place(
    orders: Database, lake: Lake, query: str
) -> None:
    lake.declare(f"good: {{query: values (1), mode: full_refresh}}\n"
                 f"bad: {{query: '{query}', mode: full_refresh}}")  # fmt: skip

    report = lake.load()

    word, reason = REFUSED[query]
    message = f"{place_of(lake, word)}: `query` of shop.bad is invalid: {reason}"
    assert failure(report).startswith(message)
    assert [table.status for table in report.tables] == ["loaded", "failed"]
    assert message in " ".join(str(error) for error in check(lake.project).errors)
    with pytest.raises(LakefeedError, match=r"`query` of shop\.bad is invalid"):
        sync(lake.project)
    assert orders.rows("select count(*) from orders") == [(9,)]


BY_SERVER = {
    "select * from nowhere": ("nowhere", 'relation "nowhere" does not exist'),
    "select wrong from orders": ("wrong", 'column "wrong" does not exist'),
    "select id, customer_id as id from orders": ("'select", "it has 2 columns named `id`"),
}


@pytest.mark.parametrize("query", BY_SERVER)
def test_a_query_that_the_server_refuses_fails_alone_with_its_place(
    orders: Database, lake: Lake, query: str
) -> None:
    orders.execute("create table bad (id int)")
    lake.declare("good: {query: values (1), mode: full_refresh}\n"
                 f"bad: {{query: '{query}', mode: full_refresh}}")  # fmt: skip

    report = lake.load()

    told = failure(report)
    word, reason = BY_SERVER[query]
    assert told.startswith(f"{place_of(lake, word)}: `query` of shop.bad can't be read: {reason}")
    assert [table.status for table in report.tables] == ["loaded", "failed"]
    with pytest.raises(LakefeedError, match=r"`query` of shop\.bad can't be read"):
        sync(lake.project)
    assert told in [str(error) for error in check_connected(lake.project).errors]


def test_names_without_a_schema_are_those_of_the_sources_schema(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create schema sales", "create table sales.t as select 'sales' as whose",
        "create table public.t as select 'public' as whose",
        "create table public.u as select 1 as id",
    )  # fmt: skip
    for backend in BACKENDS:
        lake.declare(
            f"t: {{query: 'select whose, id from t, u', mode: full_refresh, backend: {backend},"
            f" name: {backend}}}",
            head="    schema: sales\n",
        )
        report = lake.load()
        assert [table.error for table in report.tables] == [None]

        assert lake.raw(f"shop__{backend}", "whose, id") == [("sales", 1)]


def test_a_query_stands_apart_from_a_table_of_its_name(orders: Database, lake: Lake) -> None:
    lake.declare("orders: {query: select 1 as id, mode: full_refresh}\n"
                 "'*': {mode: full_refresh}").run()  # fmt: skip
    as_query = lake.query("select id from staging.stg_shop__orders")

    lake.declare("'*': {mode: full_refresh}")
    report = only(lake.run())

    assert as_query == [(1,)]
    assert report.rows_written == 9
    assert "kind: query" not in (lake.root / "sources.lock.yaml").read_text()


def test_a_query_that_is_no_longer_declared_matches_no_wildcard(
    orders: Database, lake: Lake
) -> None:
    lake.declare(DECLARED % "" + "\n'*': {mode: full_refresh}").load()
    lake.declare("'*': {mode: full_refresh}")

    assert [table.short_name for table in lake.project.tables] == ["orders"]
    assert [table.name for table in lake.load().tables] == ["shop.orders"]


def test_check_says_what_a_cursor_on_a_query_costs(orders: Database, lake: Lake) -> None:
    sync(lake.declare(DECLARED % "").project)

    warnings = check_connected(lake.project).warnings

    assert any(
        warning.startswith("shop.spent (sources.yaml:6): the cursor `updated_at` of a query has no")
        for warning in warnings
    )


def test_an_audit_compares_a_query_with_staging(orders: Database, lake: Lake) -> None:
    lake.declare(DECLARED % "").run()
    orders.execute("update orders set total = 1 where id = 1")

    (found,) = audit(lake.project, []).tables

    assert found.error is None
    assert [(one.kind, one.rows) for one in found.findings] == [("differing", 1)]


def test_a_key_that_isnt_unique_in_a_query_fails(orders: Database, lake: Lake) -> None:
    query = "select customer_id, updated_at from orders"
    lake.declare((DECLARED % "").replace(SPENT, query))

    assert "`primary_key: [customer_id]` of shop.spent isn't unique" in failure(lake.load())


@pytest.mark.at_night
def test_trace_names_the_tables_of_a_query(orders: Database, lake: Lake) -> None:
    lake.declare(DECLARED % "").run()

    assert "rows of a query of public.orders\n" in lake.command("trace", "shop.spent", "1").stdout
    told = json.loads(lake.command("trace", "shop.spent", "1", "--json").stdout)
    assert told["reads"] == ["public.orders"]


def test_explain_diff_status_and_docs_show_a_query(orders: Database, lake: Lake) -> None:
    lake.declare(DECLARED % "").run()
    git(lake.root, "init", "-b", "main")
    git(lake.root, "add", ".")
    git(lake.root, "commit", "-m", "a")
    lake.declare((DECLARED % "").replace("sum(total)", "max(total)"))

    assert SPENT.replace("sum", "max") in lake.command("explain", "shop.spent").stdout
    told = " ".join(lake.command("diff", "main").stdout.split())
    assert "`query` changed, so the table is read in full" in told
    assert "its query reads public.orders" in told
    assert lake.command("docs").returncode == 0
    assert "<code>public.orders</code>" in (lake.root / "data/docs" / REPORT).read_text()


def test_queries_are_loaded_among_many_tables(orders: Database, lake: Lake) -> None:
    names = [f"t{number}" for number in range(13)]
    for name in names:
        orders.execute(f"create table {name} (id int primary key, at timestamptz default now())",
                       f"insert into {name} values (1)")  # fmt: skip
    tables = "\n".join(f"{name}: {{cursor: at}}" for name in names)
    lake.declare(f"{DECLARED % ''}\n{tables}").load()
    orders.execute("insert into orders values (10, 1, 0.05)")

    report = lake.load()

    loaded = {table.name: table.rows_written for table in report.tables if table.rows_written}
    assert loaded == {"shop.spent": 1}
    assert {table.status for table in lake.load().tables} == {"unchanged"}
