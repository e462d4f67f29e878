"""Errors for a warehouse that can't be opened: in use, damaged, another format or unreadable."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from lakefeed.errors import BuildFailed, LakefeedError, StorageFailed, WarehouseDamaged
from lakefeed.transformation.warehouse.duckdb_file.open_file import reading, writing

KILLED = """
import duckdb, os, sys
session = duckdb.connect(sys.argv[1])
session.execute("set checkpoint_threshold = '1TB'")
session.execute("create table by_hand as select range as i from range(1000)")
os._exit(0)
"""
HEADER = 4096


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A warehouse with some blocks of rows."""
    file = tmp_path / "warehouse.duckdb"
    with writing(file) as session:
        session.execute(
            "create table t as select range as i, md5(range::text) as text from range(9999)"
        )
    return file


def flip(file: Path, *places: int) -> None:
    content = bytearray(file.read_bytes())
    for place in places:
        content[place] ^= 0x5A
    file.write_bytes(content)


def damage_log(file: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(file)], check=True)
    log = file.with_name("warehouse.duckdb.wal")
    flip(log, *range(log.stat().st_size // 2, log.stat().st_size // 2 + 64))


def newer_version(file: Path) -> None:
    """Makes the file look written by a newer DuckDB: changes the header's version and checksum."""
    content = bytearray(file.read_bytes())
    content[12:20] = struct.pack("<Q", 9999)
    checksum = 5381
    for (word,) in struct.iter_unpack("<Q", content[8:HEADER]):
        checksum ^= word * 0xBF58476D1CE4E5B9 % 2**64
    content[:8] = struct.pack("<Q", checksum)
    file.write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "log": (damage_log, "its write-ahead log is damaged"),
    "main header": (lambda file: flip(file, 100), "Corrupt database file"),
    "database headers": (lambda file: flip(file, HEADER + 20, 2 * HEADER + 20), "Corrupt database"),
    "every block": (
        lambda file: flip(file, *range(3 * HEADER + 100, file.stat().st_size, 997)),
        "Corrupt database file",
    ),
    "cut off": (lambda file: os.truncate(file, file.stat().st_size // 2), "Could not read enough"),
    "cut off early": (lambda file: os.truncate(file, HEADER), "Could not read enough"),
    "empty": (lambda file: os.truncate(file, 0), "the file is empty"),
    "text": (lambda file: file.write_text("hello " * 9999), "it isn't a DuckDB file"),
    "SQLite": (
        lambda file: file.write_bytes(b"SQLite format 3\0" + bytes(9999)),
        "it isn't a DuckDB file",
    ),
    "newer DuckDB": (newer_version, f"by a newer DuckDB than the installed {duckdb.__version__}"),
}


def refusal(file: Path, opening: object) -> LakefeedError:
    with pytest.raises(LakefeedError) as raised, opening(file) as session:  # type: ignore[operator]
        session.execute("select sum(i), max(text) from t").fetchall()
    return raised.value


@pytest.mark.parametrize("opening", [reading, writing])
@pytest.mark.parametrize("how", DAMAGE)
def test_reports_a_damaged_file_and_how_to_recover(file: Path, how: str, opening: object) -> None:
    damage, message = DAMAGE[how]
    damage(file)

    error = refusal(file, opening)

    assert isinstance(error, WarehouseDamaged)
    assert message in error.what
    assert str(file) in error.where
    assert "another program" not in str(error)
    assert "lakefeed rebuild" in error.do
    assert "lakefeed rollback" in error.do
    assert "as warehouse.duckdb.damaged" in error.do


def test_says_that_installing_the_newer_duckdb_again_helps_too(file: Path) -> None:
    newer_version(file)

    error = refusal(file, reading)

    assert error.do.startswith("install the newer DuckDB again; or, to stay on ")
    assert "docs/versions.md" in error.do


def test_new_files_have_the_format_of_duckdb_1_0(tmp_path: Path) -> None:
    made, attached = tmp_path / "made.duckdb", tmp_path / "attached.duckdb"

    with writing(made) as session:
        session.execute(f"attach '{attached}' as attached")
        query = "select tags['storage_version'] from duckdb_databases() where not internal"
        versions = session.execute(query).fetchall()

    assert versions == [("v1.0.0+",), ("v1.0.0+",)]


def test_says_what_a_damaged_log_contains_and_how_to_go_on_without_it(
    file: Path,
) -> None:
    damage_log(file)

    error = refusal(file, reading)
    file.with_name("warehouse.duckdb.wal").rename(file.with_name("elsewhere"))

    assert "the last changes of a program that was killed" in error.do
    assert f"move {file}.wal away" in error.do
    with reading(file) as session:
        assert session is not None


@pytest.mark.parametrize("opening", [reading, writing])
def test_reports_a_file_that_another_program_has_open_as_in_use(
    file: Path, opening: object
) -> None:
    held = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", held, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()

    error = refusal(file, opening)
    holder.communicate(b"\n")

    assert type(error) is BuildFailed
    assert "another program has it open" in error.do
    assert f"PID {holder.pid}" in error.what


@pytest.mark.parametrize("opening", [reading, writing])
def test_reports_a_folder_in_its_place_as_a_storage_error(tmp_path: Path, opening: object) -> None:
    (tmp_path / "warehouse.duckdb").mkdir()

    error = refusal(tmp_path / "warehouse.duckdb", opening)

    assert isinstance(error, StorageFailed)
    assert "found a folder where a file is expected" in error.what


def test_an_error_in_a_query_is_not_reported_as_damage(file: Path) -> None:
    with pytest.raises(duckdb.CatalogException), reading(file) as session:
        assert session is not None
        session.execute("select * from missing")
