"""`lakefeed sync`: updates the catalogue from the databases and regenerates the dbt files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lakefeed.declaration.column_checks import problems_of_columns
from lakefeed.declaration.project import Project
from lakefeed.errors import DeclarationError, TableFailed
from lakefeed.loading.plan.query_check import statement_of
from lakefeed.orchestration.project.catalogue_sync import (
    LiveSource,
    adopt,
    lost_wildcard_error,
    read_live,
)
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.transformation.generate.data_test_validation import unfit_tests


@dataclass(frozen=True)
class SyncReport:
    """What changed in the databases, and the files that were written."""

    drift: tuple[str, ...]
    files: tuple[str, ...]
    tables: int


def sync(project: Project) -> SyncReport:
    """Reads every declared source and updates catalogue, staging models and dbt sources.

    Raises:
        DeclarationError, SourceUnreachable: a source has no connection, or can't be reached.
        DeclarationError: a wildcard no longer matches any table.
        DeclarationError: everything is up to date except queries that the server refuses, declared
            tests that can't run, or settings that don't fit the columns.
    """
    live: dict[str, LiveSource] = {}
    for source in project.declaration.sources:
        if project.is_idle(source):
            continue
        with connect(connection_of(project, source), "lakefeed sync") as session:
            live[source] = read_live(session, project, source)
        for entry in live[source].lost_wildcards:
            raise lost_wildcard_error(project, source, entry)
    project, files = adopt(project, live)
    if refused := [str(error) for error in _refused_queries(project, live)]:
        raise DeclarationError("\n".join(refused))
    problems = [
        problem
        for table in project.tables
        for problem in unfit_tests(project.declared, table, project.tables)
    ]
    problems += [
        project.declared.document.problem(table.paths[f"columns.{name}"], message)
        for table in project.tables
        if table.catalogue
        for name, message in problems_of_columns(table, table.catalogue)
    ]
    if problems:
        raise DeclarationError(problems=problems)
    drift = tuple(line for found in live.values() for line in found.drift)
    return SyncReport(drift, tuple(files), len(project.tables))


def _refused_queries(project: Project, live: Mapping[str, LiveSource]) -> Iterator[TableFailed]:
    """Why declared queries can't be read; paused ones weren't asked for."""
    for table in project.active:
        try:
            statement_of(table)
            live[table.source].found(table)
        except TableFailed as error:
            yield error
