"""The rows of failed tests, in a schema of the catalog that belongs to no version.

test_failures.<test>    a table for each test that failed when it last ran
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult
from lakefeed.transformation.manifest import tests_that_store
from lakefeed.transformation.targets.spark import Session, quoted
from lakefeed.transformation.warehouse.duckdb_file.failing_rows import MOST_ROWS
from lakefeed.transformation.warehouse.spark.public_views import run_all
from lakefeed.transformation.warehouse.spark.relations import FAILURES, names_of


def keep_failing_rows(
    session: Session, project: Project, result: BuildResult, place: str
) -> BuildResult:
    """Moves the failing rows that a build's tests stored to `FAILURES`.

    Side effects: drops the tables of tests that now pass or no longer exist.

    Returns:
        The result, in which failed tests say where their rows are.
    """
    stored = [node for node in result.nodes if node.stored_in]
    kept = names_of(session, "table", FAILURES)
    if not stored and not kept:
        return result
    session.rows(f"create namespace if not exists {FAILURES}")
    failed = [node for node in stored if node.has_failing_rows]
    run_all(session, [_moved(node) for node in failed])
    known = {table for _, table in tests_that_store(project)} | {n.stored_in[1] for n in stored}
    passed = {node.stored_in[1] for node in stored} - {node.stored_in[1] for node in failed}
    gone = [name for name in kept if name not in known or name in passed]
    run_all(session, [*_drops(stored), *(_drop(FAILURES, name) for name in gone)])
    return replace(result, nodes=tuple(_with_place(node, place) for node in result.nodes))


def forget_failing_rows(session: Session) -> None:
    """Drops all of them; tests store them again when they next run."""
    run_all(session, [_drop(FAILURES, name) for name in names_of(session, "table", FAILURES)])


def _moved(node: NodeResult) -> str:
    return (
        f"create or replace table {quoted(FAILURES, node.stored_in[1])} using iceberg "
        f"as select * from {quoted(*node.stored_in)} limit {MOST_ROWS}"
    )


def _drops(nodes: list[NodeResult]) -> Iterator[str]:
    for node in nodes:
        if node.stored_in[0] != FAILURES:
            yield _drop(*node.stored_in)


def _drop(schema: str, name: str) -> str:
    return f"drop table if exists {quoted(schema, name)} purge"


def _with_place(node: NodeResult, place: str) -> NodeResult:
    if not node.has_failing_rows:
        return node
    return replace(node, stored_in=(FAILURES, node.stored_in[1]), rows_in=place)
