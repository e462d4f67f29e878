"""Raw in Azure's and in Google's object store, on emulators of them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lakefeed.declaration.project import Location
from lakefeed.loading.object_store.filesystem import open_raw
from tests.conftest import BUCKET, Database, Lake, failures, only
from tests.store.emulators import azurite, fake_gcs
from tests.store.race import winners

pytestmark = [pytest.mark.engines, pytest.mark.at_night]

COMMANDS = (
    ("status",),
    ("trace", "shop.t", "3"),
    ("audit",),
    ("docs",),
    ("prune",),
    ("rebuild",),
)
EMULATORS = {"az": azurite, "gs": fake_gcs}


@pytest.fixture(scope="module", params=sorted(EMULATORS))
def scheme(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The kind of store, which runs and whose variables are set."""
    scheme = str(request.param)
    with EMULATORS[scheme](tmp_path_factory.mktemp(scheme)) as variables:
        before = dict(os.environ)
        os.environ.update(variables)
        yield scheme
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def shop(scheme: str, database: Database, lake: Lake) -> Lake:
    """A table of ten rows, loaded and built."""
    database.execute(
        "create table t (id int primary key, v text, at timestamptz not null default now())",
        "insert into t select g, 'a', now() from generate_series(1, 10) g",
    )
    raw_url = f"{scheme}://{BUCKET}/{uuid.uuid4().hex[:12]}/raw"
    shop = replace(lake, raw_url=raw_url).declare("t: {cursor: at, history: true, deletes: mark}")
    done = shop.command("run")
    assert done.returncode == 0, done.stdout + done.stderr
    return shop


def test_a_later_run_brings_what_has_changed(shop: Lake, database: Database) -> None:
    database.execute(
        "insert into t values (11, 'b')",
        "update t set v = 'c', at = now() where id = 3",
        "delete from t where id = 4",
    )

    report = shop.run()

    assert (only(report).rows_written, only(report).rows_deleted) == (2, 1)
    changed = "select id, v from staging.stg_shop__t where v <> 'a' order by id"
    assert shop.query(changed) == [(3, "c"), (11, "b")]


def test_a_run_that_finds_nothing_new_writes_nothing(shop: Lake) -> None:
    before = shop.raw("shop__t")

    assert only(shop.run()).rows_written == 0
    assert shop.raw("shop__t") == before


def test_each_command_works(shop: Lake) -> None:
    assert failures(shop, COMMANDS) == {}


def test_an_erased_row_is_in_no_file_of_raw(shop: Lake, database: Database) -> None:
    database.execute("delete from t where id = 4")
    shop.run()

    done = shop.command("prune", "--erase", "shop.t", "4")

    assert done.returncode == 0, done.stdout + done.stderr
    assert {row[0] for row in shop.raw("shop__t", "id")} == {*range(1, 11)} - {4}


def test_dbt_builds_without_lakefeed(shop: Lake) -> None:
    built = subprocess.run(
        [Path(sys.executable).parent / "dbt", "build", "--profiles-dir", "."],
        cwd=shop.root / "dbt",
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stdout


def test_of_two_writers_of_a_file_one_wins(scheme: str, lake: Lake) -> None:
    files, _ = open_raw(Location(f"{scheme}://{BUCKET}/raw", lake.root))
    path = f"{BUCKET}/{lake.root.name}/once"

    won = winners(files, path)

    assert len(won) == 1
    assert files.cat_file(path) == b"%d" % won[0]


def test_a_missing_bucket_is_named(scheme: str, database: Database, lake: Lake) -> None:
    database.execute("create table t (id int primary key, at timestamptz)")
    nowhere = replace(lake, raw_url=f"{scheme}://nowhere-at-all/raw").declare("t: {cursor: at}")

    done = nowhere.command("run")

    assert done.returncode == 1
    assert f"{scheme}://nowhere-at-all/raw: the bucket doesn't exist" in done.stderr
