"""Checks that every table that a `relationships` test refers to is declared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from lakefeed.declaration.document.loader import Declared
from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.table import Table
from lakefeed.declaration.table_names import wildcards_of
from lakefeed.errors import DeclarationError, Problem


def refuse_undeclared_references(declared: Declared, tables: Sequence[Table]) -> None:
    """Refuses references to undeclared tables, as far as that can be known without the catalogue.

    A source with wildcards is skipped, since a wildcard may match any table.

    Raises:
        DeclarationError: with every reference to a table that isn't declared.
    """
    sources = declared.declaration.sources
    open_ended = {name for name, source in sources.items() if wildcards_of(source)}
    known = names_of(tables)
    problems = [
        undeclared
        for table in tables
        for target, undeclared in undeclared_references(declared, table, known)
        if target.partition(".")[0] not in open_ended
    ]
    if problems:
        raise DeclarationError(problems=problems)


def names_of(tables: Sequence[Table]) -> dict[str, None]:
    """What tests may refer to, in the order in which it is declared."""
    return dict.fromkeys(table.shown for table in tables)


def undeclared_references(
    declared: Declared, table: Table, known: Collection[str]
) -> Iterator[tuple[str, Problem]]:
    """The undeclared tables that a table's tests refer to, each with its problem.

    Args:
        known: `names_of` all declared tables.
    """
    tests = table.settings.tests
    for column, column_tests in tests.columns.items() if tests else ():
        target, _ = column_tests.refers_to
        if column_tests.relationships and target not in known:
            message = f"`relationships` refers to `{target}`, which isn't declared"
            path = (*table.paths["tests"], "columns", column, "relationships")
            hint = nearest(target, known)
            yield target, declared.document.problem(path, f"{message}{hint}", value=True)
