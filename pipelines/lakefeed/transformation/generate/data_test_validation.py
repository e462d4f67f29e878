"""Declared tests that can't be made: what they name isn't there, or is no condition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakefeed.declaration.document.loader import Declared
from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.document.positions import YamlPath
from lakefeed.declaration.quality import Tests
from lakefeed.declaration.relationship_targets import undeclared_references
from lakefeed.declaration.tables import Table
from lakefeed.errors import Problem, TableFailed
from lakefeed.source.predicate import single_expression
from lakefeed.transformation.generate.staging_models import staged_columns


def unfit_tests(declared: Declared, table: Table, tables: Sequence[Table]) -> list[Problem]:
    """What is wrong with the tests of a table, as far as the catalogue is known.

    Args:
        tables: all that are declared, members of wildcards included.
    """
    tests = table.settings.tests
    if tests is None:
        return []
    conditions = _no_conditions(declared, tests, table.paths["tests"])
    return [*_misnamed(declared, table, tests, tables), *conditions]


def refuse_unfit_tests(declared: Declared, table: Table, tables: Sequence[Table]) -> None:
    """A table whose tests name what isn't there is not loaded, as with a cursor that isn't there.

    A condition that is none is told by `lakefeed check`, and by dbt: to parse it takes as long as
    to find that a table has nothing new.

    Raises:
        TableFailed: with all that is wrong.
    """
    tests = table.settings.tests
    problems = list(_misnamed(declared, table, tests, tables)) if tests else []
    if problems:
        more = "".join(f"\n  {problem}" for problem in problems[1:])
        raise TableFailed(
            f"{table.shown} can't be tested as declared: {problems[0].message}{more}",
            where=f"{problems[0].file}:{problems[0].line}",
            do="mend its `tests`, or take them out",
        )


def _misnamed(
    declared: Declared, table: Table, tests: Tests, tables: Sequence[Table]
) -> Iterator[Problem]:
    """Tables and columns that aren't there."""
    below = table.paths["tests"]
    yield from (problem for _, problem in undeclared_references(declared, table, tables))
    if table.catalogue:
        yield from _unknown_columns(declared, table, tests, below)
    yield from _unknown_fields(declared, tests, tables, below)


def _unknown_columns(
    declared: Declared, table: Table, tests: Tests, below: YamlPath
) -> Iterator[Problem]:
    known = [column.name for column in staged_columns(table)]
    for name in tests.columns:
        if name not in known:
            message = f"`tests` of {table.shown} names the column `{name}`, which staging lacks"
            path = (*below, "columns", name)
            yield declared.document.problem(path, message + nearest(name, known))


def _unknown_fields(
    declared: Declared, tests: Tests, tables: Sequence[Table], below: YamlPath
) -> Iterator[Problem]:
    columns = {
        table.shown: [column.name for column in staged_columns(table)]
        for table in tables
        if table.catalogue
    }
    for name, one in tests.columns.items():
        shown, field = one.refers_to
        if one.relationships and shown in columns and field not in columns[shown]:
            message = f"`relationships` names the column `{field}`, which {shown} lacks in staging"
            path = (*below, "columns", name, "relationships")
            hint = nearest(field, columns[shown])
            yield declared.document.problem(path, message + hint, value=True)


def _no_conditions(declared: Declared, tests: Tests, below: YamlPath) -> Iterator[Problem]:
    for name, one in tests.expressions.items():
        reason = single_expression(one.condition, dialect="duckdb")
        if reason:
            path = (*below, "expressions", name)
            message = f"the condition `{name}` can't be used: {reason}"
            yield declared.document.problem(path, message, value=True)
