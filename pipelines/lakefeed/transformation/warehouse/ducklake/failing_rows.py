"""The rows of failed tests, in a schema of the lake that belongs to no version.

test_failures.<test>    a table for each test that failed when it last ran
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Project
from lakefeed.sql import quote
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult
from lakefeed.transformation.manifest import tests_that_store
from lakefeed.transformation.targets.ducklake import LAKE
from lakefeed.transformation.warehouse.ducklake.public_views import FAILURES

# Enough to diagnose a failure; dbt's message has the full count.
_MOST_ROWS = 10_000


def keep_failing_rows(
    session: DuckDBPyConnection, project: Project, result: BuildResult, place: str
) -> BuildResult:
    """Moves the failing rows that a build's tests stored to `FAILURES`.

    Side effects: drops the tables of tests that now pass or no longer exist.

    Returns:
        The result, in which failed tests say where their rows are.
    """
    stored = [node for node in result.nodes if node.stored_in]
    if not stored and not kept_tables(session):
        return result
    session.begin()
    session.execute(f"create schema if not exists {FAILURES}")
    for node in stored:
        for statement in _moves(node):
            session.execute(statement)
    known = {table for _, table in tests_that_store(project)}
    known |= {node.stored_in[1] for node in stored}
    for name in set(kept_tables(session)) - known:
        session.execute(f"drop table {FAILURES}.{quote(name)}")
    session.commit()
    return replace(result, nodes=tuple(_with_place(node, place) for node in result.nodes))


def _moves(node: NodeResult) -> Iterator[str]:
    schema, table = (quote(part) for part in node.stored_in)
    kept, made = f"{FAILURES}.{table}", f"{schema}.{table}"
    if node.has_failing_rows:
        yield f"create or replace table {kept} as from {made} limit {_MOST_ROWS}"
    else:
        yield f"drop table if exists {kept}"
    if node.stored_in[0] != FAILURES:
        yield f"drop table if exists {made}"


def forget_failing_rows(session: DuckDBPyConnection) -> None:
    """Drops all of them; tests store them again when they next run."""
    for name in kept_tables(session):
        session.execute(f"drop table {FAILURES}.{quote(name)}")


def kept_tables(session: DuckDBPyConnection) -> list[str]:
    """The names of the tables with failing rows."""
    query = "select table_name from duckdb_tables() where database_name = $1 and schema_name = $2"
    return [name for (name,) in session.execute(query, [LAKE, FAILURES]).fetchall()]


def _with_place(node: NodeResult, place: str) -> NodeResult:
    if not node.has_failing_rows:
        return node
    return replace(node, stored_in=(FAILURES, node.stored_in[1]), rows_in=place)
