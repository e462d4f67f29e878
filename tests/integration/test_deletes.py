"""Rows deleted from the source: tombstones in raw, and their effect on staging."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import Database, Lake, failure, only

pytestmark = [pytest.mark.builds, pytest.mark.on_store(at_night=True)]

T = (
    "create table t (id int primary key, word text, at timestamptz default now())",
    "insert into t select i, 'w' || i from generate_series(1, 10) i",
)
STAGED = "select id, word from staging.stg_shop__t order by id"
MARKED = "select id, _deleted_at is not null from staging.stg_shop__t order by id"


def declare(lake: Lake, deletes: str, more: str = "") -> Lake:
    return lake.declare(f"t: {{cursor: at, deletes: {deletes}{more}}}")


def words(*ids: int) -> list[tuple[int, str]]:
    return [(i, f"w{i}") for i in ids]


@pytest.mark.on_store
def test_a_deleted_row_is_removed_from_staging(database: Database, lake: Lake) -> None:
    database.execute(*T)
    declare(lake, "remove").run()
    database.execute("delete from t where id = 3")

    table = lake.run().tables[0]

    assert (table.status, table.rows_written, table.rows_deleted) == ("loaded", 0, 1)
    assert lake.query(STAGED) == words(1, 2, 4, 5, 6, 7, 8, 9, 10)


@pytest.mark.on_store(at_night=True)
def test_a_deleted_row_is_kept_and_marked_in_staging(database: Database, lake: Lake) -> None:
    database.execute(*T)
    declare(lake, "mark").run()
    database.execute("delete from t where id in (3, 4)")
    lake.run()
    found_at = lake.query("select distinct _deleted_at from staging.stg_shop__t where id in (3, 4)")

    database.execute("delete from t where id = 5")
    lake.run()

    assert lake.query(MARKED) == [(i, i in (3, 4, 5)) for i in range(1, 11)]
    assert lake.query(STAGED) == words(*range(1, 11))
    assert (
        lake.query("select distinct _deleted_at from staging.stg_shop__t where id in (3, 4)")
        == found_at
    )


def test_a_deleted_row_stays_in_staging_by_default(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    database.execute("delete from t where id = 3")

    assert only(lake.run()).status == "unchanged"
    assert len(lake.query(STAGED)) == 10


def test_a_deletion_is_reported_once(database: Database, lake: Lake) -> None:
    database.execute(*T)
    declare(lake, "remove").load()
    database.execute("delete from t where id = 3")

    assert "0 rows, 1 deleted" in lake.command("load").stdout
    assert only(lake.load()).status == "unchanged"


@pytest.mark.parametrize("deletes", ["remove", "mark"])
def test_a_deleted_row_that_is_inserted_again_is_back_in_staging(
    database: Database, lake: Lake, deletes: str
) -> None:
    database.execute(*T)
    declare(lake, deletes).run()
    database.execute("delete from t where id = 3")
    lake.run()
    database.execute("insert into t values (3, 'again')")

    lake.run()

    assert (3, "again") in lake.query(STAGED)
    assert len(lake.query(STAGED)) == 10
    if deletes == "mark":
        assert not any(marked for _, marked in lake.query(MARKED))


def test_a_row_deleted_and_inserted_between_two_loads_counts_as_changed(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    declare(lake, "remove").run()
    database.execute("delete from t where id = 3", "insert into t values (3, 'again')")

    assert lake.run().tables[0].rows_deleted == 0
    assert (3, "again") in lake.query(STAGED)


@pytest.mark.on_store(at_night=True)
def test_a_row_restored_below_the_checkpoint_is_loaded(database: Database, lake: Lake) -> None:
    """As after a restored backup: the row has its former cursor value."""
    database.execute(*T)
    database.execute("update t set at = '2026-01-01Z' where id = 3")
    declare(lake, "remove").run()
    database.execute(
        "create table kept as select * from t where id = 3", "delete from t where id = 3"
    )
    lake.run()
    assert len(lake.query(STAGED)) == 9
    database.execute("insert into t select * from kept")

    lake.run()

    assert lake.query(STAGED) == words(*range(1, 11))


def test_a_row_that_no_longer_meets_where_counts_as_deleted(database: Database, lake: Lake) -> None:
    database.execute(*T)
    declare(lake, "remove", ", where: word <> 'draft'").run()
    database.execute("update t set word = 'draft', at = now() where id = 3")

    lake.run()

    assert lake.query(STAGED) == words(1, 2, 4, 5, 6, 7, 8, 9, 10)


def test_a_table_that_shrinks_too_much_is_refused_until_allow_shrink(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    declare(lake, "remove", ", max_shrink: 20%").run()
    database.execute("delete from t where id > 7")

    message = failure(lake.run())

    assert (
        "sources.yaml:6: shop.t had 10 rows and lost 3 of them (30%); `max_shrink` allows 20%"
        in message
    )
    assert "lakefeed run --select shop.t --allow-shrink" in message
    assert len(lake.query(STAGED)) == 10
    assert lake.run(allow_shrink=True).tables[0].rows_deleted == 3
    assert lake.query(STAGED) == words(*range(1, 8))


LOSING = ("mode: full_refresh", "cursor: at, deletes: remove", "cursor: xmin, deletes: mark")


@pytest.mark.parametrize("declared", LOSING)
def test_a_small_table_may_lose_some_rows_but_not_all(
    database: Database, lake: Lake, declared: str
) -> None:
    database.execute(*T, "delete from t where id > 3")
    lake.declare(f"t: {{{declared}}}").load()
    database.execute("delete from t where id = 3")
    assert only(lake.load()).error is None
    database.execute("delete from t where id = 2")
    assert only(lake.load()).error is None
    database.execute("delete from t")

    message = failure(lake.load())

    assert "sources.yaml:6: shop.t had 1 row and now has none" in message
    assert only(lake.load(allow_shrink=True)).error is None


@pytest.mark.parametrize("declared", LOSING)
def test_a_small_table_with_all_rows_replaced_is_not_refused(
    database: Database, lake: Lake, declared: str
) -> None:
    database.execute(*T)
    lake.declare(f"t: {{{declared}}}").load()
    database.execute("update t set id = id + 100, at = now()")

    assert only(lake.load()).rows_written == 10


def test_deletes_are_found_by_composite_keys(database: Database, lake: Lake) -> None:
    database.execute(
        'create table t (a int, "B c" text, at timestamptz default now(), primary key (a, "B c"))',
        "insert into t select i % 3, i::text from generate_series(1, 12) i",
    )
    declare(lake, "remove").run()
    database.execute("""delete from t where (a, "B c") = (0, '3')""")

    lake.run()

    assert lake.query("select count(*), count(*) filter (a = 0) from staging.stg_shop__t") == [
        (11, 3)
    ]


@pytest.mark.at_night
@pytest.mark.on_store(at_night=True)
@pytest.mark.parametrize("deletes", ["remove", "mark"])
def test_staging_rebuilt_from_raw_is_the_same(database: Database, lake: Lake, deletes: str) -> None:
    database.execute(*T)
    declare(lake, deletes).run()
    database.execute("delete from t where id = 3")
    lake.run()
    database.execute(
        "delete from t where id = 4", "update t set word = 'w9', at = now() where id = 9"
    )
    lake.run()
    columns = "* exclude (_staged_batch)"
    before = lake.query(f"select {columns} from staging.stg_shop__t order by id")

    subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "build", "--full-refresh"],
        cwd=lake.root / "dbt", check=True, capture_output=True,
    )  # fmt: skip

    assert lake.query(f"select {columns} from staging.stg_shop__t order by id") == before


def test_a_full_refresh_keeps_deleted_rows_marked(database: Database, lake: Lake) -> None:
    database.execute(*T)
    declare(lake, "mark").run()
    database.execute("delete from t where id = 3")
    lake.run()
    marked = lake.query("select * exclude (_staged_batch, _dlt_load_id) from staging.stg_shop__t")
    database.execute("delete from t where id = 4")

    lake.run(full_refresh=True)
    lake.run(full_refresh=True)

    assert lake.query(MARKED) == [(i, i in (3, 4)) for i in range(1, 11)]
    after = lake.query("select * exclude (_staged_batch, _dlt_load_id) from staging.stg_shop__t")
    assert [row for row in marked if row[0] == 3] == [row for row in after if row[0] == 3]


def test_a_full_refresh_table_can_mark_deleted_rows(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {mode: full_refresh, deletes: mark}").run()
    database.execute("delete from t where id = 3")
    lake.run()

    assert lake.query(MARKED) == [(i, i == 3) for i in range(1, 11)]
    assert only(lake.run()).status == "unchanged"


@pytest.mark.on_store(at_night=True)
def test_deletes_can_be_turned_on_later(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    database.execute("delete from t where id = 3")
    lake.run()

    declare(lake, "remove").run()

    assert lake.query(STAGED) == words(1, 2, 4, 5, 6, 7, 8, 9, 10)


def test_deletes_can_be_turned_off_again(database: Database, lake: Lake) -> None:
    database.execute(*T)
    declare(lake, "mark").run()
    database.execute("delete from t where id = 3")
    lake.run()
    database.execute("delete from t where id = 4", "insert into t values (11, 'w11')")

    lake.declare("t: {cursor: at}").run()

    assert lake.query(STAGED) == words(*range(1, 12))


@pytest.mark.on_disk
def test_dlt_does_not_rewrite_files_when_deletes_is_turned_on_or_off(
    database: Database, lake: Lake
) -> None:
    """dlt rewrites files with unexpected columns, slowly and with loss."""
    for number, deletes in enumerate(("ignore", "mark", "ignore", "remove")):
        database.execute(*(T if not number else [f"insert into t values ({number + 20})"]))
        declare(lake, deletes).load()

    writers = {pq.read_metadata(file).created_by for file in lake.files("shop__t")}
    assert len(lake.files("shop__t")) == 4
    assert all(writer.startswith("DuckDB") for writer in writers)


def test_deletes_are_found_after_a_column_was_retyped(database: Database, lake: Lake) -> None:
    database.execute(*T)
    declare(lake, "remove").run()
    database.execute("delete from t where id = 3", "alter table t alter word type int using 7")

    lake.run()

    assert [row[0] for row in lake.query(STAGED)] == [1, 2, 4, 5, 6, 7, 8, 9, 10]


def test_deletes_without_a_key_is_refused(database: Database, lake: Lake) -> None:
    database.execute("create table t (id int)")

    message = failure(lake.declare("t: {mode: full_refresh, deletes: mark}").load())

    assert "has no primary key, which `deletes` needs to detect deleted rows" in message


@pytest.mark.on_disk
def test_a_load_that_is_committed_late_does_not_restore_deleted_rows(
    database: Database, lake: Lake, tmp_path: Path
) -> None:
    database.execute(*T)
    declare(lake, "remove").run()
    database.execute("update t set word = 'late', at = now() where id = 3")
    lake.load()
    commit = max((lake.root / "data/raw/shop__t/_dlt_loads").glob("*.jsonl"))
    hidden = commit.rename(tmp_path / commit.name)
    database.execute("delete from t where id = 3")
    lake.run()
    hidden.rename(commit)

    lake.run()

    assert lake.query(STAGED) == words(1, 2, 4, 5, 6, 7, 8, 9, 10)
