"""The rows of failed tests, in a schema that belongs to no version.

test_failures.<test>    a table for each test that failed when it last ran
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult
from lakefeed.transformation.manifest import tests_that_store
from lakefeed.transformation.warehouse.clones.engine import FAILURES, Engine
from lakefeed.transformation.warehouse.duckdb_file.failing_rows import MOST_ROWS
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side


def keep_failing_rows(engine: Engine, project: Project, result: BuildResult) -> BuildResult:
    """Moves the failing rows that a build's tests stored to `FAILURES`.

    Side effects: drops the tables of tests that now pass or no longer exist.

    Returns:
        The result, in which failed tests say where their rows are.
    """
    stored = [node for node in result.nodes if node.stored_in]
    kept = _names(engine)
    if not stored and not kept:
        return result
    engine.create_schema(FAILURES)
    failed = [node for node in stored if node.has_failing_rows]
    side_by_side(lambda node: _move(engine, node), failed)
    known = {table for _, table in tests_that_store(project)} | {n.stored_in[1] for n in stored}
    passed = {node.stored_in[1] for node in stored} - {node.stored_in[1] for node in failed}
    gone = [name for name in kept if name not in known or name in passed]
    elsewhere = [node.stored_in for node in stored if node.stored_in[0] != FAILURES]
    _drop(engine, [*elsewhere, *((FAILURES, name) for name in gone)])
    return replace(result, nodes=tuple(_with_place(engine, node) for node in result.nodes))


def forget_failing_rows(engine: Engine) -> None:
    """Drops all of them; tests store them again when they next run."""
    _drop(engine, [(FAILURES, name) for name in _names(engine)])


def _names(engine: Engine) -> list[str]:
    return [one.name for one in engine.stored([FAILURES])] if FAILURES in engine.schemas() else []


def _move(engine: Engine, node: NodeResult) -> None:
    target = engine.quoted(FAILURES, node.stored_in[1])
    rows = f"select * from {engine.quoted(*node.stored_in)} limit {MOST_ROWS}"
    if node.stored_in[0] != FAILURES:
        engine.rows(f"create or replace table {target} as {rows}")


def _drop(engine: Engine, tables: Iterable[tuple[str, ...]]) -> None:
    side_by_side(lambda table: engine.rows(f"drop table if exists {engine.quoted(*table)}"), tables)


def _with_place(engine: Engine, node: NodeResult) -> NodeResult:
    if not node.has_failing_rows:
        return node
    return replace(node, stored_in=(FAILURES, node.stored_in[1]), rows_in=engine.place)
