"""Raw and the warehouse in an object store: a run needs nothing of the machine that it runs on."""

from __future__ import annotations

import re
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from lakefeed.orchestration.build.rollback import roll_back
from lakefeed.transformation.manifest import read_models
from lakefeed.transformation.targets.ducklake import lake_of, opened
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import CATALOGUE_VARIABLE, Database, Lake, ObjectStore, failures, only

pytestmark = pytest.mark.engines

COMMANDS = (
    ("status",),
    ("trace", "shop.t", "1"),
    ("docs",),
    ("audit",),
    ("prune",),
    ("rebuild",),
)
LOST = "postgresql://nobody@127.0.0.1:1/lost"
STAGED = "select id, word from staging.stg_shop__t where _deleted_at is null order by id"


@pytest.fixture
def shop(database: Database, lake: Lake) -> Lake:
    """A table that was loaded, built and published once."""
    database.execute(
        "create table t (id int primary key, word text, at timestamptz default now())",
        "insert into t values (1, 'one')",
    )
    assert lake.declare("t: {cursor: at, history: true, deletes: mark}").run().exit_code == 0
    return lake


def elsewhere(lake: Lake, folder: Path) -> Lake:
    """The same project as another machine has it: what is in Git, and no data."""
    root = shutil.copytree(lake.root, folder, ignore=shutil.ignore_patterns("data", "target"))
    return replace(lake, root=root)


def test_another_machine_goes_on_where_the_first_ended(
    database: Database, shop: Lake, tmp_path: Path
) -> None:
    other = elsewhere(shop, tmp_path / "other")
    database.execute("insert into t values (2, 'two')", "delete from t where id = 1")

    report = other.run()

    assert (only(report).rows_written, only(report).rows_deleted) == (1, 1)
    assert shop.query(STAGED) == other.query(STAGED) == [(2, "two")]


@pytest.fixture
def elsewhere_rolled_back(database: Database, shop: Lake, tmp_path: Path) -> Lake:
    """Another machine, which has rolled back the second version of the shop."""
    other = elsewhere(shop, tmp_path / "other")
    database.execute("insert into t values (2, 'two')")
    shop.run()
    roll_back(other.project)
    return other


@pytest.mark.usefixtures("elsewhere_rolled_back")
def test_a_rollback_on_one_machine_is_seen_on_another(shop: Lake) -> None:
    assert shop.query(STAGED) == [(1, "one")]


def test_no_machine_undoes_a_rollback_unasked(shop: Lake, elsewhere_rolled_back: Lake) -> None:
    report = shop.run()

    assert (report.build, report.published_at) == (None, None)
    assert any("nothing is built until you resume" in told for told in report.warnings)
    assert "the warehouse is rolled back" in shop.command("status").stderr
    assert shop.command("build").returncode == 1
    assert shop.query(STAGED) == [(1, "one")]
    assert shop.command("rollback", "--resume").returncode == 0
    assert elsewhere_rolled_back.run().published_at
    assert shop.query(STAGED) == [(1, "one"), (2, "two")]


def test_the_page_and_metrics_are_written_without_what_a_lost_catalogue_knew(shop: Lake) -> None:
    page, metrics = (shop.process(c, **{CATALOGUE_VARIABLE: LOST}) for c in ("docs", "metrics"))

    assert "wrote " in page.stdout, page
    assert re.search(r"^lakefeed_warehouse_unreadable\S* 1$", metrics.stdout, re.MULTILINE), metrics


def test_each_command_works(shop: Lake) -> None:
    assert failures(shop, COMMANDS) == {}


def test_an_erased_row_is_in_no_file_of_the_lake(
    database: Database, shop: Lake, store: ObjectStore
) -> None:
    # The catalogue itself keeps the rows of small tables.
    database.execute(
        "insert into t select n, 'one' from generate_series(3, 2000) n",
        "insert into t values (2, 'Otto Canary 5512')",
    )
    shop.run()
    database.execute("delete from t where id = 2")
    shop.run()

    done = shop.command("prune", "--erase", "shop.t", "2")

    assert done.returncode == 0, done.stdout + done.stderr
    with opened(lake_of(shop.project)) as session:
        found = session.execute(
            f"select file from glob('{lake_of(shop.project).data_url}/**/*.parquet')"
        ).fetchall()
        rows = [row for (file,) in found for row in session.execute(f"from '{file}'").fetchall()]
    assert found
    assert not [row for row in rows if "Otto Canary 5512" in map(str, row)]


def test_keys_that_are_renewed_while_a_build_has_the_lock_are_used(
    database: Database, shop: Lake, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The catalogue itself keeps the rows of small tables.
    database.execute("insert into t select n, 'one' from generate_series(2, 2000) n")
    shop.run()
    warehouse = warehouse_of(shop.project)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-yesterday")
    with warehouse.lock():
        assert warehouse.current()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", store.secret)
        candidate = warehouse.start(uuid.uuid4().hex)
        candidate.put_back(read_models(shop.project))

    assert shop.query("select count(*) from staging.stg_shop__t") == [(2000,)]


def test_no_key_is_written_into_a_file(shop: Lake, store: ObjectStore) -> None:
    secret = store.environment["AWS_SECRET_ACCESS_KEY"]
    written = [path for path in shop.root.rglob("*") if path.is_file()]

    assert [path for path in written if secret.encode() in path.read_bytes()] == []


def test_a_wrong_key_of_the_lakes_files_is_named_where_raw_needs_none(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table t (id int primary key, word text, at timestamptz default now())",
        "insert into t select i, 'word ' || i from generate_series(1, 2000) as i",
    )
    beside = replace(lake, raw_url="").declare("t: {cursor: at}")
    assert beside.run().exit_code == 0

    traced = beside.process("trace", "shop.t", "1", AWS_SECRET_ACCESS_KEY="wrong")

    assert traced.returncode == 1, traced
    assert "access denied" in traced.stderr or "the secret key isn't" in traced.stderr, traced
    assert "Traceback" not in traced.stderr
