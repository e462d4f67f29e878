"""Opens a warehouse file, and explains why it can't be opened: in use, unreadable or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import duckdb

from lakefeed.disk import storage_error
from lakefeed.duckdb_paths import writable_database
from lakefeed.errors import BuildFailed, LakefeedError, NewerFormat, WarehouseDamaged
from lakefeed.transformation.targets.duckdb_file import NEW_FILES
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.duckdb_contents import DuckDBContents
from lakefeed.transformation.warehouse.base.format import refuse_newer_format

_MAGIC = b"DUCK"
# DuckDB's messages when it only finds the damage while reading.
_DAMAGED = ("Corrupt database file", "Could not read enough bytes", "Failed to deserialize")
_RECOVER = (
    "rebuild it from raw: lakefeed rebuild; or return to the previous version: lakefeed rollback. "
    "Both keep the unreadable file as {name}.damaged"
)


@contextmanager
def reading(file: Path) -> Iterator[duckdb.DuckDBPyConnection | None]:
    """A session that reads this warehouse file and locks out writers; None if there is no file.

    Raises:
        BuildFailed: another program has the file open for writing.
        WarehouseDamaged: the file is damaged.
        StorageFailed: the file system refuses to read the file.
    """
    if not file.exists():
        yield None
        return
    with _opened(file, file, read_only=True) as warehouse:
        yield warehouse


@contextmanager
def writing(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A session with exclusive access to this warehouse file.

    Side effect: creates the file if needed. On exit, the write-ahead log is merged into the file.

    Raises:
        BuildFailed: another program has the file open.
        WarehouseDamaged: the file is damaged.
        StorageFailed: the file system refuses to write the file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        writable_database(file) as path,
        _opened(file, path, read_only=False) as warehouse,
    ):
        yield warehouse
        warehouse.execute("checkpoint")


def contents_of(file: Path) -> Contents:
    """What this warehouse file contains; reads raise what `reading` raises."""
    return DuckDBContents(partial(reading, file))


def log_of(file: Path) -> Path:
    """The path of DuckDB's write-ahead log for this file."""
    return file.with_name(f"{file.name}.wal")


@contextmanager
def _opened(file: Path, path: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    _refuse_what_is_no_database(file)
    try:
        config = {} if read_only else NEW_FILES
        warehouse = duckdb.connect(str(path), read_only=read_only, config=config)
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
    """The error that explains why DuckDB can't open a warehouse file, and what to do."""
    message = _first_line(error)
    if "Could not set lock" in message:
        return BuildFailed(
            f"the warehouse can't be opened: {message}",
            where=str(file),
            do=f"another program has it open{' for writing' if read_only else ''}; close that "
            "program and run this again",
        )
    if refused := storage_error(error):
        return refused
    recover, log = _RECOVER.format(name=file.name), log_of(file)
    if "WAL file" in message:
        return WarehouseDamaged(
            f"the warehouse can't be opened because its write-ahead log is damaged: {message}",
            where=str(log),
            do="the log contains the last changes of a program that was killed; to open the "
            f"warehouse without them, move {log} away; or {recover}",
        )
    if "newer version of DuckDB" in str(error):
        version = duckdb.__version__
        return WarehouseDamaged(
            "the warehouse can't be opened: it was written by a newer DuckDB than the installed "
            f"{version}, in a format that only newer versions read",
            where=str(file),
            do=f"install the newer DuckDB again; or, to stay on {version}, {recover}. "
            "See docs/versions.md",
        )
    return WarehouseDamaged(
        f"the warehouse can't be opened: {message}", where=str(file), do=recover
    )


def _refuse_what_is_no_database(file: Path) -> None:
    """Refuses other files before DuckDB sees them: for a SQLite file, it would fetch an extension.

    Raises:
        WarehouseDamaged: the file isn't a DuckDB file.
        StorageFailed: the file can't be read at all.
    """
    try:
        with file.open("rb") as opened:
            is_duckdb = opened.read(12)[8:] == _MAGIC
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(error) or error from error
    if not is_duckdb:
        found = "it isn't a DuckDB file" if file.stat().st_size else "the file is empty"
        raise WarehouseDamaged(
            f"the warehouse can't be opened: {found}",
            where=str(file),
            do=_RECOVER.format(name=file.name),
        )


def _refuse_newer(warehouse: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Refuses a file whose `_lakefeed` tables have a newer format.

    Raises:
        WarehouseDamaged: a newer version of Lakefeed wrote them.
    """
    try:
        refuse_newer_format(warehouse, str(file))
    except NewerFormat as error:
        do = f"{error.do}; or {_RECOVER.format(name=file.name)}"
        raise WarehouseDamaged(error.what, where=error.where, do=do) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
