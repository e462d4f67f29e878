"""Opening a warehouse file, and what is said where it can't be: in use, out of reach, damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from lakefeed.disk import storage_error
from lakefeed.documents import OLDEST, refuse_newer
from lakefeed.duckdb_paths import writable_database
from lakefeed.errors import BuildFailed, LakefeedError, NewerFormat, WarehouseDamaged

# How the tables in `_lakefeed` are to be read; noted in the file as `_lakefeed.format`. The macros
# of dbt_package say the same.
FORMAT = "1.0"

_MAGIC = b"DUCK"
# What DuckDB says when it comes upon the damage later.
_DAMAGED = ("Corrupt database file", "Could not read enough bytes", "Failed to deserialize")
_ANEW = (
    "build it anew from raw: lakefeed rebuild; or return to the version before: lakefeed rollback. "
    "Either keeps what can't be read, as {name}.damaged"
)


@contextmanager
def reading(file: Path) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """A session that reads this warehouse file and keeps writers out; None where there is no file.

    Raises:
        BuildFailed: a writer has it open.
        WarehouseDamaged: it can't be read.
        StorageFailed: the file system doesn't give it.
    """
    if not file.exists():
        yield None
        return
    with _opened(file, file, read_only=True) as warehouse:
        yield warehouse


@contextmanager
def writing(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session that has this warehouse file to itself.

    Side effect: makes the file. When it ends, all is in the file, and nothing in a log beside it.

    Raises:
        BuildFailed: another program has it open.
        WarehouseDamaged: it can't be read.
        StorageFailed: the file system doesn't take what is written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        writable_database(file) as path,
        _opened(file, path, read_only=False) as warehouse,
    ):
        yield warehouse
        warehouse.execute("checkpoint")


def log_of(file: Path) -> Path:
    """Where DuckDB keeps what isn't in the file yet."""
    return file.with_name(f"{file.name}.wal")


@contextmanager
def _opened(file: Path, path: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    _refuse_what_is_no_database(file)
    try:
        warehouse = duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as error:
        raise cannot_open(file, error, read_only=read_only) from None
    try:
        _refuse_newer(warehouse, file)
        yield warehouse
    except duckdb.Error as error:
        if any(sign in str(error) for sign in _DAMAGED):
            raise cannot_open(file, error) from None
        raise
    finally:
        warehouse.close()


def cannot_open(file: Path, error: duckdb.Error, *, read_only: bool = True) -> LakefeedError:
    """Why DuckDB can't open a warehouse file, and what to do."""
    said = _first_line(error)
    if "Could not set lock" in said:
        return BuildFailed(
            f"the warehouse can't be opened: {said}",
            where=str(file),
            do=f"another program has it open{' for writing' if read_only else ''}; close it and "
            "run again",
        )
    if refused := storage_error(error):
        return refused
    anew, log = _ANEW.format(name=file.name), log_of(file)
    if "WAL file" in said:
        return WarehouseDamaged(
            f"the warehouse can't be opened, since its log is damaged: {said}",
            where=str(log),
            do="it holds what a program that was killed wrote last. To go on without that, move "
            f"{log} away; or {anew}",
        )
    newer = "a newer DuckDB wrote it: " if "newer version" in str(error) else ""
    return WarehouseDamaged(
        f"the warehouse can't be opened: {newer}{said}", where=str(file), do=anew
    )


def _refuse_what_is_no_database(file: Path) -> None:
    """DuckDB itself would fetch an extension for a file of SQLite's, say.

    Raises:
        WarehouseDamaged: the file isn't DuckDB's.
        StorageFailed: it can't be read at all.
    """
    try:
        with file.open("rb") as opened:
            is_one = opened.read(12)[8:] == _MAGIC
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(error) or error from error
    if not is_one:
        found = "this is no DuckDB file" if file.stat().st_size else "this file is empty"
        raise WarehouseDamaged(
            f"the warehouse can't be opened: {found}",
            where=str(file),
            do=_ANEW.format(name=file.name),
        )


def _refuse_newer(warehouse: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Raises:
    WarehouseDamaged: a newer Lakefeed wrote what the file says of itself.
    """
    try:
        noted = warehouse.execute("select version from _lakefeed.format").fetchall()
    except duckdb.CatalogException:
        return
    try:
        refuse_newer("warehouse", noted[0][0] if noted else OLDEST, reads=FORMAT, where=str(file))
    except NewerFormat as error:
        anew = _ANEW.format(name=file.name)
        raise WarehouseDamaged(error.what, where=error.where, do=f"{error.do}; or {anew}") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
