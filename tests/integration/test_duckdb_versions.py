"""The warehouse with another DuckDB than the pinned one: read, rebuilt, extended, and back again.

The tests run on the pinned DuckDB; `make test-duckdb2` names the interpreter with the other one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from lakefeed.demo.shop import create_shop, generate_shop
from lakefeed.demo.shop_events import live_a_day
from tests.conftest import Database, Lake, copy_of, copy_shop_project

OTHER = os.environ.get("LAKEFEED_OTHER_DUCKDB", "")
READ_ALL = Path(__file__).parents[1] / "versions" / "read_all.py"
VARIABLE = "SHOP_DATABASE_URL"

pytestmark = pytest.mark.skipif(not OTHER, reason="needs another DuckDB: make test-duckdb2")


@pytest.fixture(scope="module")
def shop_source(source: Database) -> Database:
    with closing(source.connect()) as session:
        create_shop(session, generate_shop(0.05, 7))
    return source


@pytest.fixture(scope="module")
def built(shop_source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The demo's lake, which the pinned DuckDB loaded and built twice."""
    lake = Lake(copy_shop_project(tmp_path_factory.mktemp("built")))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(VARIABLE, shop_source.url)
        assert lake.run().exit_code == 0
        live(shop_source, 1)
        assert lake.run().exit_code == 0
    return lake


@pytest.fixture
def lake(
    built: Lake, shop_source: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Lake:
    monkeypatch.setenv(VARIABLE, shop_source.url)
    return copy_of(built, tmp_path)


def live(source: Database, seed: int) -> None:
    with closing(source.connect()) as session:
        live_a_day(session, seed)


def other(lake: Lake, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`lakefeed` with the other DuckDB."""
    command = [OTHER, "-m", "lakefeed.cli.main", *arguments]
    return subprocess.run(command, cwd=lake.root, capture_output=True, text=True, check=False)


def relations(python: str, file: Path) -> dict[str, tuple[int, str]]:
    """Rows and digest of each table and view, as this interpreter's DuckDB reads them."""
    command = [python, str(READ_ALL), str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    read = json.loads(ended.stdout)
    assert (read["version"] == duckdb.__version__) == (python == sys.executable)
    return {name: tuple(found) for name, found in read["relations"].items()}


def models(python: str, file: Path) -> dict[str, tuple[int, str]]:
    """What of it is models, not Lakefeed's own."""
    found = relations(python, file)
    return {name: rows for name, rows in found.items() if not name.startswith("_lakefeed.")}


def in_format_2(file: Path) -> None:
    """Has the other DuckDB write the file in the format that it prefers."""
    renamed = file.rename(file.with_name("older.duckdb"))
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[2]); "
        "c.execute(f\"attach '{sys.argv[1]}' as older (read_only)\"); "
        "c.execute('copy from database older to warehouse')"
    )
    subprocess.run([OTHER, "-c", script, str(renamed), str(file)], check=True)
    renamed.unlink()


def test_the_other_duckdb_reads_every_table_as_the_pinned_one_does(lake: Lake) -> None:
    file = lake.project.warehouse

    read = relations(OTHER, file)

    assert read == relations(sys.executable, file)
    assert read["marts.fct_order_line"][0] > 100


def test_a_rebuild_with_the_other_duckdb_has_the_same_rows_and_passes_all_tests(lake: Lake) -> None:
    before = models(sys.executable, lake.project.warehouse)

    ended = other(lake, "rebuild")

    assert ended.returncode == 0, ended
    assert "20 models" in ended.stdout
    assert models(OTHER, lake.project.warehouse) == before


def test_the_pinned_duckdb_reads_and_extends_what_the_other_one_built(
    lake: Lake, shop_source: Database
) -> None:
    assert other(lake, "rebuild").returncode == 0
    live(shop_source, 2)
    assert lake.load().exit_code == 0
    built_on = other(lake, "build")
    assert built_on.returncode == 0, built_on
    live(shop_source, 3)

    assert lake.run().exit_code == 0

    grown = models(sys.executable, lake.project.warehouse)
    assert grown == models(OTHER, lake.project.warehouse)
    assert lake.command("rebuild").returncode == 0
    assert models(sys.executable, lake.project.warehouse) == grown
    assert lake.command("audit").returncode == 0


def test_a_run_with_the_other_duckdb_reads_the_source_without_the_scanner(
    lake: Lake, shop_source: Database
) -> None:
    live(shop_source, 4)

    ended = other(lake, "run")

    assert ended.returncode == 0, ended
    assert "psycopg2" in ended.stdout + ended.stderr
    assert other(lake, "audit").returncode == 0


@pytest.mark.parametrize("command", ["run", "build", "status", "docs"])
def test_each_command_names_the_newer_duckdb_as_the_reason_it_cannot_open_a_file(
    lake: Lake, shop_source: Database, command: str
) -> None:
    in_format_2(lake.project.warehouse)
    live(shop_source, 5)

    ended = lake.command(command)

    assert ended.returncode == 1, ended
    said = " ".join((ended.stdout + ended.stderr).split())
    assert f"written by a newer DuckDB than the installed {duckdb.__version__}" in said
    assert "lakefeed rebuild" in said
    assert "Traceback" not in said


def test_rebuild_recovers_from_a_file_in_the_newer_format(lake: Lake) -> None:
    before = models(sys.executable, lake.project.warehouse)
    in_format_2(lake.project.warehouse)

    assert lake.command("rebuild").returncode == 0

    assert models(sys.executable, lake.project.warehouse) == before
    assert models(OTHER, lake.project.warehouse.with_name("warehouse.duckdb.damaged")) == before
