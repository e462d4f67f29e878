"""Changed columns are reported, nothing is rounded, and earlier loads stay readable."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from tests.conftest import Database, Lake, failure, only

pytestmark = [pytest.mark.builds, pytest.mark.on_ducklake(at_night=True)]

CHANGES = {
    "added": ("alter table t add column more text default 'm'",),
    "added in front of others": ("alter table t add column a text", "update t set a = 'x'"),
    "dropped": ("alter table t drop column b",),
    "renamed": ("alter table t rename column b to c",),
    "integer widened": (
        "alter table t alter n type bigint",
        "insert into t (id, n) values (9, 1e12)",
    ),
    "integer narrowed": ("alter table t alter n type smallint",),
    "integer to text": (
        "alter table t alter n type text",
        "insert into t (id, n) values (9, 'nine')",
    ),
    "text to integer": ("alter table t alter b type int using 7",),
    "decimal widened": (
        "alter table t alter d type numeric(12, 4)",
        "insert into t (id, d) values (9, 12345678.1234)",
    ),
    "decimal narrowed": ("alter table t alter d type numeric(6, 1)",),
    "decimal unbounded": ("alter table t alter d type numeric", "update t set d = d / 3"),
    "date to timestamp": (
        "alter table t alter day type timestamp",
        "insert into t (id, day) values (9, '2026-01-01 12:34:56')",
    ),
    "made not null": ("alter table t alter b set not null",),
    "another key": ("alter table t drop constraint t_pkey", "alter table t add primary key (n)"),
    "recreated": (
        "drop table t",
        "create table t (b text, id int primary key, at timestamptz default now())",
        "insert into t values ('new', 1), ('new', 2)",
    ),
}


def create(database: Database) -> None:
    database.execute(
        "create table t (id int primary key, b text, n int unique, d numeric(8, 2), day date,"
        " at timestamptz not null default now())",
        "insert into t select i, 'b' || i, i * 10, i + 0.25, '2026-01-01'"
        " from generate_series(1, 4) i",
    )


@pytest.mark.by_day(4)
@pytest.mark.parametrize(
    "mode", ["cursor: at", pytest.param("mode: full_refresh", marks=pytest.mark.at_night)]
)
@pytest.mark.parametrize("change", CHANGES)
def test_staging_equals_the_source_after_its_columns_changed(
    database: Database, lake: Lake, change: str, mode: str
) -> None:
    create(database)
    lake.declare(f"t: {{{mode}, max_shrink: 100%, deletes: remove}}").run()
    database.execute(*CHANGES[change], "update t set at = clock_timestamp()")

    report = lake.run()

    assert only(report).status == "loaded"
    assert report.exit_code == 0, (report.build, report.build_error)
    columns = [name for (name,) in database.rows(
        "select attname from pg_attribute where attrelid = 't'::regclass and attnum > 0"
        " and not attisdropped and attname <> 'at'"
    )]  # fmt: skip
    texts = ", ".join(f"{name}::text" for name in columns)
    staged = lake.query(f"select {texts} from staging.stg_shop__t order by all")
    assert staged == database.rows(f"select {texts} from t order by {texts}")


@pytest.mark.by_day(4)
@pytest.mark.on_disk
@pytest.mark.parametrize("change", CHANGES)
def test_raw_keeps_every_version_unchanged(database: Database, lake: Lake, change: str) -> None:
    """And dlt doesn't rewrite the file, as it would if columns weren't as expected."""
    create(database)
    lake.declare("t: {cursor: at}").load()
    first = lake.files("shop__t")[0]
    before = (first.read_bytes(), pq.read_table(first).num_rows)
    database.execute(*CHANGES[change], "update t set at = clock_timestamp()")

    only(lake.load())
    database.execute("update t set at = clock_timestamp()")
    only(lake.load())

    files = lake.files("shop__t")
    assert (first.read_bytes(), pq.read_table(first).num_rows) == before
    assert len(files) == 3
    assert {pq.read_metadata(file).created_by.partition(" ")[0] for file in files} == {"DuckDB"}


@pytest.mark.on_disk
def test_a_frozen_table_stops_at_any_change_until_the_change_is_accepted(
    database: Database, lake: Lake
) -> None:
    create(database)
    lake.declare("t: {cursor: at, schema_changes: freeze}").run()
    database.execute("alter table t add column more text", "update t set at = clock_timestamp()")

    message = failure(lake.run())

    assert "sources.yaml:6: " in message
    assert "column `more` (text) was added" in message
    assert "lakefeed sync" in message
    assert len(lake.files("shop__t")) == 1


def notes(lake: Lake) -> str:
    return "; ".join(only(lake.load()).notes)


def test_a_retyped_column_is_reported_and_the_table_is_read_in_full(
    database: Database, lake: Lake
) -> None:
    create(database)
    lake.declare("t: {cursor: at}").load()
    database.execute("alter table t alter d type numeric(6, 1)")

    report = lake.load()

    assert only(report).rows_written == 4
    assert only(report).notes == (
        "column `d` was decimal(8,2) and is decimal(6,1), so the table is read in full",
    )
    changed = "column `d` changed from numeric(8,2) to numeric(6,1)"
    assert any(changed in line for line in report.warnings)


def test_a_widened_column_is_not_read_again(database: Database, lake: Lake) -> None:
    create(database)
    database.execute("update t set at = '2026-01-01Z' where id < 4")
    lake.declare("t: {cursor: at}").load()
    database.execute("alter table t alter d type numeric(12, 4), alter n type bigint")

    assert only(lake.load()).rows_read == 1


def test_a_backfill_is_refused_if_the_table_must_be_read_in_full(
    database: Database, lake: Lake
) -> None:
    create(database)
    lake.declare("t: {cursor: at}").load()
    database.execute("alter table t alter d type numeric(6, 1)")

    message = failure(lake.load(since="2026-01-01"))

    assert "can't load a range" in message
    assert "first: lakefeed run --select shop.t" in message


def test_a_recreated_table_is_reported(database: Database, lake: Lake) -> None:
    create(database)
    lake.declare("t: {cursor: at}").load()
    database.execute("create table kept as table t", "drop table t")
    create(database)

    assert "the table was recreated or replaced" in notes(lake)


@pytest.mark.by_day(2)
@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "cursor: at",
            "cursor: n",
            "the cursor was `at` and is `n`, so the table is read from the beginning",
        ),
        ("cursor: at", "cursor: at, primary_key: n", "the key was id and is n"),
        ("cursor: at", "cursor: at, where: n > 10", "`where` changed"),
        (
            "cursor: at, columns: {exclude: [b]}",
            "cursor: at",
            "`b` is new, and rows loaded earlier have values in it: read from the beginning",
        ),
        (
            "cursor: {column: at, initial_value: 2026-06-01}",
            "cursor: {column: at, initial_value: 2026-01-01}",
            "`initial_value` was 2026-06-01 00:00:00+00:00 and is 2026-01-01 00:00:00+00:00",
        ),
    ],
)
def test_an_edit_that_changes_what_is_loaded_is_reported(
    database: Database, lake: Lake, before: str, after: str, message: str
) -> None:
    create(database)
    database.execute("update t set at = '2026-07-01Z' where id < 4")
    lake.declare(f"t: {{{before}}}").run()

    assert message in notes(lake.declare(f"t: {{{after}}}"))


def test_an_edit_that_changes_nothing_is_not_reported(database: Database, lake: Lake) -> None:
    create(database)
    lake.declare("t: {cursor: at}").load()

    assert notes(lake.declare("t: {cursor: at, parallel: 2, tags: [core]}")) == ""


@pytest.mark.at_night
def test_dbt_refuses_to_round_values_loaded_before_a_column_was_retyped(
    database: Database, lake: Lake
) -> None:
    """As after `lakefeed sync` and a build without a load."""
    create(database)
    lake.declare("t: {cursor: at}").run()
    database.execute("alter table t alter d type numeric(6, 1)")
    assert lake.command("sync").returncode == 0

    built = lake.command("build")

    assert lake.query("select min(d)::varchar from staging.stg_shop__t") == [("1.25",)]
    assert "column d changed from DECIMAL(8,2) to DECIMAL(6,1)" in built.stdout + built.stderr


ADDED_WITH_VALUES = (
    "alter table t add column more text not null default 'm'",
    "alter table t rename column b to c",
)


@pytest.mark.by_day(1)
@pytest.mark.parametrize("change", ADDED_WITH_VALUES)
def test_a_new_column_with_values_in_old_rows_is_filled(
    database: Database, lake: Lake, change: str
) -> None:
    create(database)
    database.execute("update t set at = '2026-01-01Z' where id < 4")
    lake.declare("t: {cursor: at}").run()
    database.execute(change)

    lake.run()

    assert lake.command("audit").returncode == 0


def test_a_new_column_without_values_in_old_rows_is_not_read_again(
    database: Database, lake: Lake
) -> None:
    create(database)
    database.execute("update t set at = '2026-01-01Z' where id < 4")
    lake.declare("t: {cursor: at}").run()
    database.execute("alter table t add column more text")
    database.execute("insert into t (id, more) values (9, 'm')")

    report = lake.run().tables[0]

    assert (report.rows_read, report.notes) == (2, ())
    assert lake.command("audit").returncode == 0
