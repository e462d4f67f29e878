"""`--select shop.orders`, `--select shop`, `--select "shop.order*"`, `--select tag:core`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from pipelines.declaration.mistakes import nearest
from pipelines.declaration.project import Project
from pipelines.declaration.tables import Table
from pipelines.errors import DeclarationError


def select_tables(project: Project, selectors: Sequence[str]) -> tuple[Table, ...]:
    """The tables that any of the selectors names, in the order of the file; all without one.

    Raises:
        DeclarationError: a selector names nothing, with the nearest name that exists.
    """
    if not selectors:
        return project.tables
    unknown = [one for one in selectors if not any(_selects(one, t) for t in project.tables)]
    if unknown:
        known = [table.shown for table in project.tables]
        raise DeclarationError(
            f"--select {unknown[0]}: no such table{nearest(unknown[0], known)}",
            do=f"declared are: {', '.join(known) or 'none; run lakefeed sync for wildcards'}",
        )
    return tuple(t for t in project.tables if any(_selects(one, t) for one in selectors))


def table_named(project: Project, name: str) -> Table:
    """The one table of this name: `shop.orders`.

    Raises:
        DeclarationError: there is none, with the nearest name that exists.
    """
    for table in project.tables:
        if name in (table.shown, table.lake_name, f"{table.source}.{table.qualified}"):
            return table
    known = [table.shown for table in project.tables]
    raise DeclarationError(
        f"{name}: no such table{nearest(name, known)}",
        do=f"declared are: {', '.join(known) or 'none; run lakefeed sync for wildcards'}",
    )


def _selects(selector: str, table: Table) -> bool:
    if selector.startswith("tag:"):
        return selector.removeprefix("tag:") in table.settings.tags
    names = (table.shown, table.lake_name, table.source, f"{table.source}.{table.qualified}")
    return any(fnmatchcase(name, selector) for name in names)
