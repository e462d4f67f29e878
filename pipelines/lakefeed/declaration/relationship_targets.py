"""Tables that tests refer to (`relationships`): each must be declared itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakefeed.declaration.document.loader import Declared
from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.table_names import wildcards_of
from lakefeed.declaration.tables import Table
from lakefeed.errors import DeclarationError, Problem


def refuse_undeclared_references(declared: Declared, tables: Sequence[Table]) -> None:
    """Refuses what no database could make right: a source with wildcards may have any table.

    Raises:
        DeclarationError: with every reference to a table that isn't declared.
    """
    sources = declared.declaration.sources
    open_ended = {name for name, source in sources.items() if wildcards_of(source)}
    problems = [
        undeclared
        for table in tables
        for shown, undeclared in undeclared_references(declared, table, tables)
        if shown.partition(".")[0] not in open_ended
    ]
    if problems:
        raise DeclarationError(problems=problems)


def undeclared_references(
    declared: Declared, table: Table, tables: Sequence[Table]
) -> Iterator[tuple[str, Problem]]:
    """Names of tables that a table's tests refer to and that aren't there, each as a problem."""
    known = [one.shown for one in tables]
    tests = table.settings.tests
    for column, one in tests.columns.items() if tests else ():
        shown, _ = one.refers_to
        if one.relationships and shown not in known:
            message = f"`relationships` names `{shown}`, which isn't declared"
            path = (*table.paths["tests"], "columns", column, "relationships")
            hint = nearest(shown, known)
            yield shown, declared.document.problem(path, f"{message}{hint}", value=True)
