"""Rows that raw lost: what is read of each load is compared with what its manifest counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from tests.conftest import Database, Lake
from tests.integration.test_staging import ORDERS, STAGED, dbt

HISTORY = "select id, note from history.hst_shop__orders order by id, valid_from"


@dataclass(frozen=True)
class Emptied:
    """A lake whose newest load, which has yet to be built, lost its rows."""

    lake: Lake
    load: Load
    file: Path
    content: bytes

    @property
    def told(self) -> str:
        return (
            f"load {self.load.load_id} isn't whole (rows in its manifest: {self.load.rows}, "
            "rows read: 0); put the files in ../data/raw/shop__orders back, or reload the table: "
            "lakefeed run --full-refresh"
        )


@pytest.fixture
def emptied(database: Database, lake: Lake) -> Emptied:
    database.execute(ORDERS, "insert into orders values (1, 'old'), (2, 'same')")
    lake.declare("orders: {cursor: updated_at, history: true}").run()
    database.execute("update orders set note = 'new', updated_at = now() where id = 1")
    lake.load()
    log = CommitLog(lake.project.raw, "shop__orders")
    load = log.loads()[-1]
    (file,) = (Path(log.path_of(name)) for name in load.files)
    content = file.read_bytes()
    keep(file, "false")
    return Emptied(lake, load, file, content)


def keep(file: Path, condition: str) -> None:
    """Replaces a file by one of the same columns, with the rows that meet a condition."""
    with duckdb.connect() as session:
        session.execute(f"create table kept as select * from '{file}' where {condition}")
        session.execute(f"copy kept to '{file}' (format parquet)")


@pytest.mark.on_ducklake
def test_a_file_that_lost_its_rows_fails_the_models_over_it_by_name(emptied: Emptied) -> None:
    lake = emptied.lake

    report = lake.run()

    assert report.exit_code == 1
    assert report.build is not None
    messages = {node.name: node.message for node in report.build.failures}
    assert messages.keys() == {"stg_shop__orders", "hst_shop__orders"}
    for model, message in messages.items():
        assert f"{model}: {emptied.told}" in message
    assert lake.query(STAGED) == [(1, "old"), (2, "same")]
    assert lake.query(HISTORY) == [(1, "old"), (2, "same")]


def test_a_load_is_staged_once_its_rows_are_back(emptied: Emptied) -> None:
    lake = emptied.lake
    lake.run()
    emptied.file.write_bytes(emptied.content)

    report = lake.run()

    assert report.exit_code == 0
    assert lake.query(STAGED) == [(1, "new"), (2, "same")]
    assert lake.query(HISTORY) == [(1, "old"), (1, "new"), (2, "same")]


def test_plain_dbt_fails_by_the_same_name_and_leaves_staging_as_it_was(emptied: Emptied) -> None:
    lake = emptied.lake

    built = dbt(lake, "build")

    assert built.returncode == 1
    assert emptied.told in " ".join(built.stdout.split())
    assert lake.query(STAGED) == [(1, "old"), (2, "same")]


def test_a_tombstone_that_is_missing_fails_the_models_over_it(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a'), (2, 'b')")
    lake.declare("orders: {cursor: updated_at, deletes: remove}").run()
    database.execute("delete from orders where id = 1")
    lake.load()
    log = CommitLog(lake.project.raw, "shop__orders")
    (tombstones,) = log.loads()[-1].files
    keep(Path(log.path_of(tombstones)), "false")

    report = lake.run()

    assert report.exit_code == 1
    assert report.build is not None
    assert "rows in its manifest: 1, rows read: 0" in report.build.failures[0].message
    assert lake.query(STAGED) == [(1, "a"), (2, "b")]


def test_tombstones_that_a_full_refresh_repeats_are_no_surplus(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a'), (2, 'b')")
    lake.declare("orders: {cursor: updated_at, deletes: mark}").run()
    database.execute("delete from orders where id = 1")
    lake.run()

    report = lake.run(full_refresh=True)

    assert report.exit_code == 0
    marked = "select id, _deleted_at is not null from staging.stg_shop__orders order by id"
    assert lake.query(marked) == [(1, True), (2, False)]


def test_a_rebuild_finds_rows_that_are_missing_in_part(database: Database, lake: Lake) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a'), (2, 'b')")
    lake.declare("orders: {cursor: updated_at}").run()
    (file,) = (lake.root / "data/raw/shop__orders/orders").rglob("*.parquet")
    keep(file, "id = 1")

    rebuilt = lake.command("rebuild")

    assert rebuilt.returncode == 1
    assert "rows in its manifest: 2, rows read: 1" in rebuilt.stdout + rebuilt.stderr
    assert lake.query(STAGED) == [(1, "a"), (2, "b")]
