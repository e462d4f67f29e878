"""Staging: one row per key in DuckDB, built by real dbt from committed files only."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping

import pytest

from tests.conftest import Database, Lake
from tests.forks import forked, plain_dbt

ORDERS = """
create table orders (
    id int primary key, note text, updated_at timestamptz not null default now()
)
"""
Query = Callable[[str], list[tuple[object, ...]]]
STAGED = "select id, note from staging.stg_shop__orders order by id"


def dbt(lake: Lake, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Plain dbt in the dbt folder."""
    return forked(plain_dbt, *arguments, folder=lake.root / "dbt")


def values(query: Query, relations: Mapping[str, str]) -> dict[str, list[tuple[object, ...]]]:
    """All values of these relations, by the names given to them, but the count of builds."""
    return {
        name: query(f"select * exclude (_staged_batch) from {relation} order by all")
        for name, relation in relations.items()
    }


@pytest.mark.on_ducklake
def test_staging_has_the_latest_version_of_each_row(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'old'), (2, 'same')")
    lake.declare("orders: {cursor: updated_at}").run()
    database.execute("update orders set note = 'new', updated_at = now() where id = 1")

    report = lake.run()

    assert report.exit_code == 0
    assert lake.query(STAGED) == [(1, "new"), (2, "same")]
    assert (report.staged["shop__orders"].rows, report.staged["shop__orders"].changed) == (2, 1)


@pytest.mark.on_ducklake
def test_a_backdated_correction_replaces_the_wrong_value(database: Database, lake: Lake) -> None:
    """The newest snapshot wins, not the largest cursor."""
    database.execute(ORDERS, "insert into orders values (1, 'wrong', '2026-06-02Z')")
    lake.declare("orders: {cursor: updated_at, lookback: 30d}").run()
    database.execute("update orders set note = 'right', updated_at = '2026-06-01Z'")

    lake.run()

    assert lake.query(STAGED) == [(1, "right")]


@pytest.mark.on_ducklake(at_night=True)
def test_a_table_without_rows_is_staged_with_types(database: Database, lake: Lake) -> None:
    database.execute("create table t (id int primary key, n numeric(9, 2), at timestamptz)")

    report = lake.declare("t: {cursor: at}").run()

    assert report.exit_code == 0
    assert lake.query(
        "select column_name, data_type from information_schema.columns"
        " where table_name = 'stg_shop__t' order by ordinal_position limit 3"
    ) == [("id", "INTEGER"), ("n", "DECIMAL(9,2)"), ("at", "TIMESTAMP WITH TIME ZONE")]


@pytest.mark.on_ducklake(at_night=True)
def test_a_full_refresh_removes_deleted_rows(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a'), (2, 'b'), (3, 'c')")
    lake.declare("orders: {mode: full_refresh, max_shrink: 50%}").run()
    database.execute("delete from orders where id = 2", "insert into orders values (4, 'd')")

    lake.run()

    assert lake.query(STAGED) == [(1, "a"), (3, "c"), (4, "d")]


@pytest.mark.on_ducklake(at_night=True)
def test_a_table_without_a_key_keeps_its_equal_rows(database: Database, lake: Lake) -> None:
    database.execute("create table t (a int)", "insert into t values (1), (1)")
    lake.declare("t: {mode: full_refresh}").run()
    database.execute("insert into t values (1)")

    lake.run()

    assert lake.query("select a from staging.stg_shop__t") == [(1,), (1,), (1,)]


@pytest.mark.on_ducklake(at_night=True)
def test_staging_survives_added_and_dropped_columns(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, b text, at timestamptz default now())",
        "insert into t values (1, 'x')",
    )
    lake.declare("t: {cursor: at}").run()
    database.execute(
        "alter table t drop column b, add column c numeric(5, 2)",
        "insert into t (id, c) values (2, 1.25)",
    )

    report = lake.run()

    assert report.exit_code == 0, report
    assert any("column `c` (numeric(5,2)) was added" in line for line in report.warnings)
    rows = lake.query("select id, c::varchar from staging.stg_shop__t order by id")
    assert rows == [(1, None), (2, "1.25")]


@pytest.mark.on_ducklake(at_night=True)
def test_plain_dbt_build_finds_the_committed_files_itself(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a')")
    lake.declare("orders: {cursor: updated_at}").load()

    built = dbt(lake, "build")

    assert built.returncode == 0, built.stdout
    assert lake.built(STAGED) == [(1, "a")]


@pytest.mark.on_ducklake(at_night=True)
def test_files_without_a_commit_are_never_read(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a')")
    lake.declare("orders: {cursor: updated_at}").load()
    (file,) = lake.files("shop__orders")
    (file.parent / "1.orphan.parquet").write_bytes(file.read_bytes()[:100])

    lake.run()

    assert lake.query(STAGED) == [(1, "a")]


@pytest.mark.on_ducklake(at_night=True)
def test_loads_are_staged_once_in_whatever_order_they_arrive(
    database: Database, lake: Lake
) -> None:
    """A load that becomes visible late, such as by a slow object store, still counts."""
    database.execute(ORDERS, "insert into orders values (1, 'old'), (2, 'first')")
    lake.declare("orders: {cursor: updated_at}").load()
    log = lake.root / "data/raw/shop__orders/_dlt_loads"
    (first,) = log.iterdir()
    hidden = first.rename(lake.root / first.name)
    database.execute("update orders set note = 'new', updated_at = now() where id = 1")
    first_again = hidden.read_bytes()
    (log / first.name).write_bytes(first_again)
    lake.load()
    (log / first.name).unlink()
    assert dbt(lake, "build").returncode == 0
    assert lake.built(STAGED) == [(1, "new")]
    (log / first.name).write_bytes(first_again)

    assert dbt(lake, "build").returncode == 0

    assert lake.built(STAGED) == [(1, "new"), (2, "first")]


@pytest.mark.on_ducklake(at_night=True)
def test_a_hand_written_staging_model_is_left_alone(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a')")
    lake.declare("orders: {cursor: updated_at}").run()
    model = lake.root / "dbt/models/staging/shop/stg_shop__orders.sql"
    own = "select 7 as id, 'my own' as note\n"
    model.write_text(own)
    database.execute("insert into orders values (2, 'b')")

    report = lake.run()

    assert model.read_text() == own
    assert report.exit_code == 0
    assert lake.query(STAGED) == [(7, "my own")]
    # A view may read what is found from dbt's folder alone: its rows aren't counted.
    assert lake.query("select loads, row_count from _lakefeed.tables") == [(2, None)]


@pytest.mark.on_ducklake(at_night=True)
def test_a_full_refresh_of_dbt_rebuilds_staging_from_raw(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'old'), (2, 'same')")
    lake.declare("orders: {cursor: updated_at}").run()
    database.execute("update orders set note = 'new', updated_at = now() where id = 1")
    lake.load()

    assert dbt(lake, "build", "--full-refresh").returncode == 0

    assert lake.built(STAGED) == [(1, "new"), (2, "same")]


@pytest.mark.on_ducklake(at_night=True)
def test_a_full_refresh_supersedes_staged_rows(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a'), (2, 'b')")
    lake.declare("orders: {cursor: updated_at}").run()
    database.execute("delete from orders where id = 2")
    assert lake.run().exit_code == 0
    assert len(lake.query(STAGED)) == 2

    lake.run(full_refresh=True, allow_shrink=True)

    assert lake.query(STAGED) == [(1, "a")]
