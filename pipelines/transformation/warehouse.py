"""The warehouse file: who may write it, which loads it has staged, what they changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
from filelock import FileLock, Timeout

from pipelines.declaration.project import Project
from pipelines.declaration.tables import Table
from pipelines.errors import BuildFailed, Refused
from pipelines.transformation.staging import staging_model_name


@dataclass(frozen=True)
class StagedTable:
    """Rows of a staging table, and how many of them the newest build brought or changed."""

    rows: int
    changed: int


@contextmanager
def warehouse_lock(project: Project) -> Iterator[None]:
    """Held by whoever builds; dies with its holder.

    Raises:
        Refused: another build is running.
    """
    folder = project.data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "warehouse.lock", timeout=600):
            yield
    except Timeout:
        raise Refused(
            "another run has been building the warehouse for ten minutes",
            do="wait for it to end, then: lakefeed build",
        ) from None


def staged_load_ids(project: Project) -> dict[str, set[str]]:
    """Ids of staged loads by staging model. Empty where nothing was ever built."""
    with _reading(project) as warehouse:
        if warehouse is None or not _has_ledger(warehouse):
            return {}
        staged: dict[str, set[str]] = {}
        rows = warehouse.execute("select model, load_id from _lakefeed.staged_loads").fetchall()
        for model, load_id in rows:
            staged.setdefault(model, set()).add(load_id)
        return staged


def staged_models(project: Project) -> set[str]:
    """Names of the staging models that were ever built."""
    with _reading(project) as warehouse:
        return set() if warehouse is None else _staging_tables(warehouse)


def generated_models(project: Project) -> set[str]:
    """Names of the staging models that were built from our macro, not staged by hand."""
    with _reading(project) as warehouse:
        if warehouse is None:
            return set()
        return {model for model in _staging_tables(warehouse) if _is_generated(warehouse, model)}


def newest_batch(project: Project) -> int:
    """The number of the newest build that staged something."""
    with _reading(project) as warehouse:
        if warehouse is None or not _has_ledger(warehouse):
            return 0
        found = warehouse.execute("select max(batch) from _lakefeed.staged_loads").fetchone()
        return int(found[0] or 0) if found else 0


def staged_since(project: Project, tables: list[Table], batch: int) -> dict[str, StagedTable]:
    """Rows now and rows brought after that batch, by name in the lake."""
    with _reading(project) as warehouse:
        if warehouse is None:
            return {}
        present = _staging_tables(warehouse)
        counted = {}
        for table in tables:
            model = staging_model_name(table)
            if model in present and _is_generated(warehouse, model):
                rows, changed = warehouse.execute(
                    f'select count(*), count(*) filter (_staged_batch > ?) from staging."{model}"',
                    [batch],
                ).fetchall()[0]
                counted[table.lake_name] = StagedTable(int(rows), int(changed))
        return counted


def query_warehouse(project: Project, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names and rows of a query on the warehouse, read only."""
    with _reading(project) as warehouse:
        if warehouse is None:
            return [], []
        result = warehouse.execute(sql)
        return [column[0] for column in result.description], result.fetchall()


def _staging_tables(warehouse: duckdb.DuckDBPyConnection) -> set[str]:
    query = "select table_name from information_schema.tables where table_schema = 'staging'"
    return {row[0] for row in warehouse.execute(query).fetchall()}


def _has_ledger(warehouse: duckdb.DuckDBPyConnection) -> bool:
    query = (
        "select count(*) from information_schema.tables "
        "where table_schema = '_lakefeed' and table_name = 'staged_loads'"
    )
    return bool(warehouse.execute(query).fetchall()[0][0])


def _is_generated(warehouse: duckdb.DuckDBPyConnection, model: str) -> bool:
    query = (
        "select count(*) from information_schema.columns where table_schema = 'staging' "
        "and table_name = ? and column_name = '_staged_batch'"
    )
    return bool(warehouse.execute(query, [model]).fetchall()[0][0])


@contextmanager
def _reading(project: Project) -> Iterator[duckdb.DuckDBPyConnection | None]:
    if not project.warehouse.exists():
        yield None
        return
    try:
        warehouse = duckdb.connect(str(project.warehouse), read_only=True)
    except duckdb.IOException as error:
        raise BuildFailed(
            f"the warehouse can't be opened: {_first_line(error)}",
            where=str(project.warehouse),
            do="another program has it open for writing; close it and run again",
        ) from None
    try:
        yield warehouse
    finally:
        warehouse.close()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
