"""`--select shop.orders`, `--select shop`, `--select "shop.order*"`, `--select tag:core`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import DeclarationError

_TAG = "tag:"


def select_tables(
    project: Project, selectors: Sequence[str], *, option: str = "--select "
) -> tuple[Table, ...]:
    """The tables that any selector matches, in the file's order; all tables without selectors.

    Args:
        option: the option that the selectors came from, for the error.

    Raises:
        DeclarationError: a selector matches nothing; suggests the nearest existing name.
    """
    if not selectors:
        return project.tables
    unknown = [
        selector
        for selector in selectors
        if not any(_selects(selector, table) for table in project.tables)
    ]
    if unknown:
        raise _unknown_selector(project, unknown[0], option)
    return tuple(
        table
        for table in project.tables
        if any(_selects(selector, table) for selector in selectors)
    )


def select_active(
    project: Project, selectors: Sequence[str], *, option: str = "--select "
) -> tuple[Table, ...]:
    """As `select_tables`, without paused tables (`enabled: false`).

    Raises:
        DeclarationError: as `select_tables`; or a selector matches only paused tables.
    """
    selected = select_tables(project, selectors, option=option)
    for selector in selectors:
        matched = [table for table in selected if _selects(selector, table)]
        if all(table.is_paused for table in matched):
            raise _only_paused(selector, matched, option)
    return tuple(table for table in selected if not table.is_paused)


def _only_paused(selector: str, tables: Sequence[Table], option: str) -> DeclarationError:
    one = tables[0]
    what = one.shown if len(tables) == 1 else f"each of its {len(tables)} tables"
    return DeclarationError(
        f"{option}{selector}: {what} is paused (`enabled: false`)",
        where=one.where_of("enabled"),
        do="to load it again, remove `enabled: false`",
    )


def table_named(project: Project, name: str) -> Table:
    """The table with this name, such as `shop.orders`.

    Raises:
        DeclarationError: there is no such table; suggests the nearest existing name.
    """
    for table in project.tables:
        if name in (table.shown, table.lake_name, f"{table.source}.{table.qualified}"):
            return table
    raise _unknown_selector(project, name, "")


def _unknown_selector(project: Project, selector: str, option: str) -> DeclarationError:
    if selector.startswith(_TAG):
        kind, wanted = "tag", selector.removeprefix(_TAG)
        known = sorted({tag for table in project.tables for tag in table.settings.tags})
    else:
        kind, wanted = "table", selector
        known = [table.shown for table in project.tables]
    hint = nearest(wanted, known) or _same_short_name(project, wanted)
    listed = ", ".join(known) or "none; to find the tables of wildcards: lakefeed sync"
    return DeclarationError(
        f"{option}{selector}: no such {kind}{hint}", do=f"declared {kind}s: {listed}"
    )


def _same_short_name(project: Project, name: str) -> str:
    found = [table.shown for table in project.tables if name in (table.short_name, table.name)]
    return f"; did you mean {' or '.join(f'`{table}`' for table in found)}?" if found else ""


def _selects(selector: str, table: Table) -> bool:
    if selector.startswith(_TAG):
        return selector.removeprefix(_TAG) in table.settings.tags
    names = (table.shown, table.lake_name, table.source, f"{table.source}.{table.qualified}")
    return any(fnmatchcase(name, selector) for name in names)
