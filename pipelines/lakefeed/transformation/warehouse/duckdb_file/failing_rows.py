"""Stores the failing rows of tests in a separate file.

    data/warehouse.duckdb                  published
    data/warehouse_test_failures.duckdb    a table for each test that failed when it last ran

dbt stores failing rows in the candidate, which may never be published because of these failures.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Project
from lakefeed.duckdb_paths import writable_database
from lakefeed.errors import WarehouseDamaged
from lakefeed.sql import literal, quote
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult
from lakefeed.transformation.manifest import tests_that_store
from lakefeed.transformation.warehouse.duckdb_file.open_file import reading, writing

# Enough to diagnose a failure; dbt's message has the full count.
MOST_ROWS = 10_000


def failing_rows_of(warehouse: Path) -> Path:
    """The path of the file that stores the failing rows of a warehouse file's tests."""
    return warehouse.with_name(f"{warehouse.stem}_test_failures.duckdb")


def keep_failing_rows(
    project: Project, built: Path, result: BuildResult, kept: Path
) -> BuildResult:
    """Moves the failing rows that a build's tests stored out of the file that it built.

    Side effects: updates `kept` with at most 10,000 rows of each failed test and drops the tables
    of tests that now pass or no longer exist; removes the file if no table remains.

    Returns:
        The result, in which failed tests say where their rows are.
    """
    stored = [node for node in result.nodes if node.stored_in]
    if not stored and not kept.exists():
        return result
    part = kept.with_name(f"{kept.name}.part")
    part.unlink(missing_ok=True)
    _remove_unreadable(kept)
    if kept.exists():
        shutil.copyfile(kept, part)
    with writable_database(part) as file, writing(built) as session:
        session.execute(f"attach {literal(str(file))} as kept")
        for statement in _moves(stored):
            session.execute(statement)
        known = tests_that_store(project) | {node.stored_in for node in stored}
        remaining = _drop_others(session, known)
        session.execute("detach kept")
    if remaining:
        part.replace(kept)
    else:
        part.unlink()
        kept.unlink(missing_ok=True)
    nodes = tuple(_with_rows_location(node, project, kept) for node in result.nodes)
    return replace(result, nodes=nodes)


def forget_failing_rows(warehouse: Path) -> None:
    """Removes the file with all failing rows; tests store them again when they next run."""
    kept = failing_rows_of(warehouse)
    for file in (kept, kept.with_name(f"{kept.name}.part")):
        file.unlink(missing_ok=True)


def _remove_unreadable(kept: Path) -> None:
    """Removes a damaged file: failing tests store their rows again."""
    try:
        with reading(kept):
            pass
    except WarehouseDamaged:
        kept.unlink()


def _moves(stored: Sequence[NodeResult]) -> Iterator[str]:
    for node in stored:
        schema, table = (quote(part) for part in node.stored_in)
        name = f"{schema}.{table}"
        yield f"create schema if not exists kept.{schema}"
        yield f"drop table if exists kept.{name}"
        if node.has_failing_rows:
            yield f"create table kept.{name} as from {name} limit {MOST_ROWS}"
        yield f"drop table if exists {name}"


def _drop_others(session: DuckDBPyConnection, known: set[tuple[str, ...]]) -> int:
    """Drops the tables of tests that no longer exist; returns the number that remain."""
    query = "select schema_name, table_name from duckdb_tables() where database_name = 'kept'"
    present = set(session.execute(query).fetchall())
    for schema, table in present - known:
        session.execute(f"drop table kept.{quote(schema)}.{quote(table)}")
    return len(present & known)


def _with_rows_location(node: NodeResult, project: Project, kept: Path) -> NodeResult:
    if not node.has_failing_rows:
        return node
    inside = kept.is_relative_to(project.root)
    return replace(node, rows_in=str(kept.relative_to(project.root) if inside else kept))
