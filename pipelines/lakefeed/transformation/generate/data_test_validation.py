"""Validates declared tests: the tables and columns they name, and their conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakefeed.declaration.document.loader import Declared
from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.document.positions import YamlPath
from lakefeed.declaration.models.quality import Tests
from lakefeed.declaration.relationship_targets import names_of, undeclared_references
from lakefeed.declaration.table import Table
from lakefeed.errors import Problem, TableFailed
from lakefeed.source.predicate import single_expression
from lakefeed.transformation.generate.staged_columns import staged_columns


def unfit_tests(declared: Declared, table: Table, tables: Sequence[Table]) -> list[Problem]:
    """The problems in a table's tests, as far as the catalogue shows.

    Args:
        tables: all declared tables, including those that match wildcards.
    """
    tests = table.settings.tests
    if tests is None:
        return []
    conditions = _invalid_conditions(declared, tests, table.paths["tests"])
    return [*_unknown_names(declared, table, tests, tables), *conditions]


def refuse_unfit_tests(declared: Declared, table: Table, tables: Sequence[Table]) -> None:
    """Refuses to load a table whose tests name unknown tables or columns.

    Conditions aren't checked here: parsing one takes as long as probing a table without new rows.
    `lakefeed check` and dbt report them.

    Raises:
        TableFailed: lists all problems.
    """
    tests = table.settings.tests
    problems = list(_unknown_names(declared, table, tests, tables)) if tests else []
    if problems:
        more = "".join(f"\n  {problem}" for problem in problems[1:])
        raise TableFailed(
            f"the tests of {table.shown} are invalid: {problems[0].message}{more}",
            where=f"{problems[0].file}:{problems[0].line}",
            do="correct or remove these `tests`",
        )


def _unknown_names(
    declared: Declared, table: Table, tests: Tests, tables: Sequence[Table]
) -> Iterator[Problem]:
    """Tables and columns that don't exist."""
    below = table.paths["tests"]
    undeclared = undeclared_references(declared, table, names_of(tables))
    yield from (problem for _, problem in undeclared)
    if table.catalogue:
        yield from _unknown_columns(declared, table, tests, below)
    yield from _unknown_fields(declared, tests, tables, below)


def _unknown_columns(
    declared: Declared, table: Table, tests: Tests, below: YamlPath
) -> Iterator[Problem]:
    known = [column.name for column in staged_columns(table)]
    for name in tests.columns:
        if name not in known:
            message = f"`tests` of {table.shown} names column `{name}`, which isn't in staging"
            path = (*below, "columns", name)
            yield declared.document.problem(path, message + nearest(name, known))


def _unknown_fields(
    declared: Declared, tests: Tests, tables: Sequence[Table], below: YamlPath
) -> Iterator[Problem]:
    for name, column_tests in tests.columns.items():
        shown, field = column_tests.refers_to
        if not column_tests.relationships:
            continue
        referred = [table for table in tables if table.shown == shown and table.catalogue]
        known = [column.name for table in referred for column in staged_columns(table)]
        if referred and field not in known:
            message = f"`relationships` names column `{field}`, which isn't in staging of {shown}"
            path = (*below, "columns", name, "relationships")
            yield declared.document.problem(path, message + nearest(field, known), value=True)


def _invalid_conditions(declared: Declared, tests: Tests, below: YamlPath) -> Iterator[Problem]:
    for name, expression in tests.expressions.items():
        reason = single_expression(expression.condition, dialect="duckdb")
        if reason:
            path = (*below, "expressions", name)
            message = f"the condition `{name}` is invalid: {reason}"
            yield declared.document.problem(path, message, value=True)
