"""Checks that need only files and the environment, no connection."""

from __future__ import annotations

from collections.abc import Iterator

from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.environment.env_file import Disagreement, disagreements
from lakefeed.declaration.environment.variables import variables_file
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.declaration.table_names import read_entry, split, wildcards_of
from lakefeed.errors import (
    DeclarationError,
    ExtraMissing,
    LakefeedError,
    StorageFailed,
    TableFailed,
)
from lakefeed.loading.plan.query_check import statement_of
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.orchestration.checks.renamed_modules import renamed_modules
from lakefeed.orchestration.notifications.channels import unset_addresses, unusable_addresses
from lakefeed.orchestration.permissions import refuse_missing
from lakefeed.orchestration.project.dags import tables_of_dags
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.credentials import unset_in, unset_variables
from lakefeed.source.predicate import single_expression
from lakefeed.transformation.generate.data_test_validation import unfit_tests
from lakefeed.transformation.generate.dbt_packages import undeclared_package
from lakefeed.transformation.generate.generated_files import stale_files


def declaration_errors(project: Project) -> list[LakefeedError]:
    """The errors that would stop a run before it reads a row, as far as the catalogue shows.

    Stale files are reported only if nothing else is wrong, since other errors cause them.
    """
    errors = [
        *_connection_errors(project),
        *(error for table in project.active for error in _table_errors(table)),
        *_empty_wildcards(project),
        *_dag_errors(project),
        *unusable_addresses(project),
        *test_errors(project),
        *_missing_folders(project),
        *filter(None, [undeclared_package(project)]),
    ]
    stale = stale_files(project)
    if stale and not errors:
        message = f"generated files are out of date with sources.yaml: {', '.join(stale.names)}"
        do = "regenerate them: lakefeed sync"
        errors.append(DeclarationError(message, where="dbt", do=do))
    return [*errors, *renamed_modules(project.root)]


def declaration_warnings(project: Project) -> list[str]:
    """Reasons why a run can't start on this machine or in containers, though it may elsewhere."""
    file = variables_file(project.root).name
    unset = [
        f"{project.declared.document.where(('sources', source, 'connection'))}: the environment "
        f"variable {name} isn't set, so `{source}` can't be reached; add it to {file} or export it"
        for source in project.declaration.sources
        if not project.is_idle(source)
        for name in unset_variables(project, source)
    ]
    unset += [
        f"{where}: the environment variable {name} isn't set, so {table.shown} can't be loaded; "
        f"add it to {file} or export it"
        for table in project.active
        for where, reference in table.secrets
        for name in unset_in(project, reference)
    ]
    unset += [
        f"{where}: the environment variable {name} isn't set, so `notify` can't use it; add it to "
        f"{file} or export it"
        for where, name in unset_addresses(project)
    ]
    return [*unset, *map(str, _read_otherwise_in_containers(project))]


def test_errors(project: Project) -> list[LakefeedError]:
    """The declared tests that can't run, as far as the catalogue shows."""
    return [
        DeclarationError(problems=[problem])
        for table in project.tables
        for problem in unfit_tests(project.declared, table, project.tables)
    ]


def _read_otherwise_in_containers(project: Project) -> Iterator[Disagreement]:
    """Lines of `.env` that Docker Compose parses differently, if there is a compose file."""
    if any(project.root.glob("*compose*.y*ml")):
        yield from disagreements(variables_file(project.root))


def _dag_errors(project: Project) -> Iterator[DeclarationError]:
    try:
        tables_of_dags(project)
    except DeclarationError as error:
        yield error


def _connection_errors(project: Project) -> Iterator[LakefeedError]:
    for source in project.declaration.sources:
        if not project.is_idle(source) and not unset_variables(project, source):
            try:
                connection_of(project, source)
            except DeclarationError as error:
                yield error


def _table_errors(table: Table) -> Iterator[LakefeedError]:
    if table.catalogue is None or table.catalogue.qualified != table.qualified:
        yield DeclarationError(
            f"`{table.qualified}` ({table.shown}) isn't in sources.lock.yaml",
            where=table.where,
            do="lakefeed sync"
            if table.settings.query
            else "if the table is new: lakefeed sync; otherwise correct its name or `schema`",
        )
        try:
            statement_of(table)
        except TableFailed as error:
            yield DeclarationError(error.what, where=error.where, do=error.do)
        reason = single_expression(table.settings.where) if table.settings.where else None
        if reason:
            message = f"`where` of {table.shown} can't be used: {reason}"
            yield DeclarationError(message, where=table.where_of("where"))
        return
    try:
        plan_table(table, table.catalogue)
    except TableFailed as error:
        yield DeclarationError(error.what, where=error.where, do=error.do)


def _missing_folders(project: Project) -> Iterator[LakefeedError]:
    try:
        refuse_missing(project)
    except (StorageFailed, ExtraMissing) as error:
        yield error


def _empty_wildcards(project: Project) -> Iterator[LakefeedError]:
    for name, source in project.declaration.sources.items():
        known = list(project.catalogue.sources.get(name, {}))
        for entry in wildcards_of(source):
            wildcard = read_entry(entry, source.schema_)
            if not any(map(wildcard.matches, known)):
                schema = wildcard.schema
                hint = nearest(schema, {split(table)[0] for table in known} - {schema})
                yield DeclarationError(
                    f"`{entry}` matches no table in sources.lock.yaml{hint}",
                    where=project.declared.document.where(("sources", name, "tables", entry)),
                    do="if its tables are new: lakefeed sync; otherwise correct the entry or "
                    "`schema`",
                )
