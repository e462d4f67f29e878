"""Raw in an object store: a real server that speaks S3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lakefeed.loading.object_store.filesystem import store_filesystem
from tests.conftest import Database, Lake, failures, git, only

TABLE = "t: {cursor: at, history: true, deletes: mark}"
COMMANDS = (
    ("check", "--connect"),
    ("sync",),
    ("explain", "shop.t"),
    ("load",),
    ("build",),
    ("diff", "HEAD"),
    ("build", "--changed-since", "HEAD"),
    ("run", "--full-refresh", "--allow-shrink"),
    ("run", "--since", "2020-01-01"),
    ("status",),
    ("trace", "shop.t", "3"),
    ("docs",),
    ("check", "--data"),
    ("audit",),
    ("rollback",),
    ("rollback", "--resume"),
    ("rebuild", "--as-of", "2999-01-01"),
    ("prune", "--dry-run"),
    ("prune",),
    ("rebuild",),
)


@pytest.fixture
def shop(database: Database, store_lake: Lake) -> Lake:
    """A table of ten rows, loaded and built, and then changed."""
    database.execute(
        "create table t (id int primary key, v text, at timestamptz not null default now())",
        "insert into t select g, 'a', now() from generate_series(1, 10) g",
    )
    lake = store_lake.declare(TABLE)
    assert lake.run().exit_code == 0
    database.execute(
        "insert into t values (11, 'b')",
        "update t set v = 'c', at = now() where id = 3",
        "delete from t where id = 4",
    )
    return lake


def test_a_later_run_brings_what_has_changed(shop: Lake) -> None:
    report = shop.run()

    assert (only(report).rows_written, only(report).rows_deleted) == (2, 1)
    assert shop.query("select id, v from staging.stg_shop__t where v <> 'a' order by id") == [
        (3, "c"),
        (11, "b"),
    ]
    assert shop.query("select count(*) from history.hst_shop__t where id = 3") == [(2,)]


def test_a_run_that_finds_nothing_new_writes_nothing(shop: Lake) -> None:
    shop.run()
    before = shop.raw("shop__t")

    report = shop.run()

    assert only(report).rows_written == 0
    assert shop.raw("shop__t") == before


def test_a_later_run_uses_the_connections_of_the_first(shop: Lake) -> None:
    before, _ = store_filesystem(shop.project.raw)

    assert shop.run().build is not None

    after, _ = store_filesystem(shop.project.raw)
    assert after is before


@pytest.mark.engines
def test_every_command_works(shop: Lake) -> None:
    shop.run()
    git(shop.root, "init", "--initial-branch", "main")
    git(shop.root, "add", "--all")
    git(shop.root, "commit", "--message", "A project")
    # Otherwise no model differs from what was committed.
    (shop.root / "dbt/models/marts/of_t.sql").write_text("from {{ ref('stg_shop__t') }}")

    assert failures(shop, COMMANDS) == {}


@pytest.mark.engines
def test_a_range_and_a_whole_table_are_read_again(shop: Lake, database: Database) -> None:
    shop.run()
    database.execute("update t set v = 'unseen'")

    in_range = only(shop.run(since="2020-01-01", until="2020-01-02"))
    whole = only(shop.run(full_refresh=True))

    assert (in_range.rows_read, whole.rows_read) == (0, 10)
    staged = "select distinct v from staging.stg_shop__t where _deleted_at is null"
    assert shop.query(staged) == [("unseen",)]


@pytest.mark.engines
def test_rolled_back_versions_are_built_again_after_resuming(shop: Lake) -> None:
    changed = "select count(*) from staging.stg_shop__t where v <> 'a'"
    shop.run()

    assert shop.command("rollback").returncode == 0
    assert shop.query(changed) == [(0,)]
    assert shop.command("rollback", "--resume").returncode == 0
    assert shop.run().exit_code == 0

    assert shop.query(changed) == [(2,)]


@pytest.mark.engines
def test_dbt_and_dlt_work_without_lakefeed(shop: Lake) -> None:
    shop.load()
    programs = Path(sys.executable).parent

    built = subprocess.run(
        [programs / "dbt", "build", "--profiles-dir", "."],
        cwd=shop.root / "dbt",
        capture_output=True,
        text=True,
        check=False,
    )
    told = subprocess.run(
        [programs / "dlt", "pipeline", "shop__t", "info"],
        cwd=shop.root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stdout
    assert shop.query("select count(*) from staging.stg_shop__t where v <> 'a'") == [(2,)]
    assert told.returncode == 0, told.stdout + told.stderr
