"""Queries on a warehouse file, and the lock that builds hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import Refused
from lakefeed.loading.locks.lock_file import Busy, file_lock
from lakefeed.sql import quote
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.warehouse.open_file import reading


@dataclass(frozen=True)
class StagedTable:
    """Rows of a staging table, and how many of them the newest build added or changed."""

    rows: int
    changed: int


@contextmanager
def warehouse_lock(project: Project) -> Iterator[None]:
    """The lock that every build holds. It is released when its holder's process ends.

    Raises:
        Refused: another build has held the lock for ten minutes.
    """
    try:
        with file_lock(project.data / "locks" / "warehouse.lock", timeout=600):
            yield
    except Busy as error:
        holder = error.holder
        raise Refused(
            "another run has been building the warehouse for more than ten minutes"
            + (f": {holder}" if holder else ""),
            do="wait for it to end, then run: lakefeed build"
            + (f". To end it{holder.where}: kill {holder.pid}" if holder else ""),
        ) from None


def staged_load_ids(file: Path) -> dict[str, set[str]]:
    """Ids of staged loads by staging model; empty before the first build."""
    with reading(file) as warehouse:
        if warehouse is None or not holds(warehouse, "staged_loads"):
            return {}
        staged: dict[str, set[str]] = {}
        rows = warehouse.execute("select model, load_id from _lakefeed.staged_loads").fetchall()
        for model, load_id in rows:
            staged.setdefault(model, set()).add(load_id)
        return staged


def histories_pruned_at(file: Path) -> dict[str, str | None]:
    """By history model, when raw had last been pruned at the time of its build."""
    with reading(file) as warehouse:
        if warehouse is None or not holds(warehouse, "histories"):
            return {}
        rows = warehouse.execute("select model, made_from from _lakefeed.histories").fetchall()
        return {model: json.loads(text).get("pruned_at") for model, text in rows}


def staged_models(file: Path) -> set[str]:
    """Names of the staging and history models in this file."""
    with reading(file) as warehouse:
        return set() if warehouse is None else _staging_tables(warehouse)


def generated_models(project: Project) -> set[str]:
    """Names of the staging models that were built by the staging macro, not hand-written."""
    with reading(project.warehouse) as warehouse:
        if warehouse is None:
            return set()
        return _generated_models(warehouse)


def newest_batch(file: Path) -> int:
    """The number of the newest build that staged rows in this file."""
    with reading(file) as warehouse:
        if warehouse is None or not holds(warehouse, "staged_loads"):
            return 0
        found = warehouse.execute("select max(batch) from _lakefeed.staged_loads").fetchone()
        return int(found[0] or 0) if found else 0


def newest_staged_snapshot(file: Path) -> str | None:
    """The snapshot time of the newest staged load; None if nothing is staged."""
    with reading(file) as warehouse:
        if warehouse is None or not holds(warehouse, "staged_loads"):
            return None
        query = "select arg_max(snapshot_at, snapshot_at::timestamptz) from _lakefeed.staged_loads"
        found = warehouse.execute(query).fetchone()
        return found[0] if found else None


def relations_in(file: Path) -> set[tuple[str, str]]:
    """Schema and name of every table and view in this file."""
    query = "select table_schema, table_name from information_schema.tables"
    with reading(file) as warehouse:
        return set() if warehouse is None else set(warehouse.execute(query).fetchall())


def staged_since(file: Path, tables: list[Table], batch: int) -> dict[str, StagedTable]:
    """Rows of each table, and rows staged after this batch, by lake name."""
    with reading(file) as warehouse:
        if warehouse is None:
            return {}
        generated = _generated_models(warehouse)
        names = {t.lake_name: staging_model_name(t) for t in tables}
        present = [name for name, model in names.items() if model in generated]
        counts = _counted(
            warehouse,
            f"count(*), count(*) filter (_staged_batch > {int(batch)})",
            [("staging", names[name]) for name in present],
        )
        return {
            name: StagedTable(rows, changed)
            for name, (rows, changed) in zip(present, counts, strict=True)
        }


def row_counts(file: Path, relations: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Rows of these tables (schema, name) in this file, without views and missing tables.

    Views are left out because they may read files by relative paths. The file is opened once and
    asked once: opening it for each of fifty tables took a fifth of a run's CPU time.
    """
    query = (
        "select table_schema, table_name from information_schema.tables "
        "where table_type = 'BASE TABLE' and table_catalog = current_database()"
    )
    with reading(file) as warehouse:
        if warehouse is None:
            return {}
        present = sorted(set(warehouse.execute(query).fetchall()) & set(relations))
        counts = _counted(warehouse, "count(*)", present)
        return {relation: rows for relation, (rows,) in zip(present, counts, strict=True)}


def query_warehouse(project: Project, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
    """Column names and rows of a read-only query on the warehouse."""
    with reading(project.warehouse) as warehouse:
        if warehouse is None:
            return [], []
        result = warehouse.execute(sql)
        return [column[0] for column in result.description], result.fetchall()


def holds(warehouse: duckdb.DuckDBPyConnection, name: str, database: str = "") -> bool:
    """Whether the schema `_lakefeed` of a database, by default the current one, has this table."""
    query = (
        "select count(*) from information_schema.tables where table_schema = '_lakefeed' "
        "and table_name = ? and table_catalog = coalesce(nullif(?, ''), current_database())"
    )
    return bool(warehouse.execute(query, [name, database]).fetchall()[0][0])


def _staging_tables(warehouse: duckdb.DuckDBPyConnection) -> set[str]:
    query = (
        "select table_name from information_schema.tables "
        "where table_schema in ('staging', 'history')"
    )
    return {row[0] for row in warehouse.execute(query).fetchall()}


def _generated_models(warehouse: duckdb.DuckDBPyConnection) -> set[str]:
    query = (
        "select table_name from information_schema.columns where table_schema = 'staging' "
        "and column_name = '_staged_batch' and table_catalog = current_database()"
    )
    return {row[0] for row in warehouse.execute(query).fetchall()}


def _counted(
    warehouse: duckdb.DuckDBPyConnection, columns: str, relations: Sequence[tuple[str, str]]
) -> list[tuple[int, ...]]:
    """These aggregates of each relation, in their order, from one statement."""
    if not relations:
        return []
    query = " union all ".join(
        f"select {place}, {columns} from {quote(schema)}.{quote(name)}"
        for place, (schema, name) in enumerate(relations)
    )
    return [row[1:] for row in warehouse.execute(f"{query} order by 1").fetchall()]
