"""`--select shop.orders`, `--select shop`, `--select "shop.order*"`, `--select tag:core`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import DeclarationError

_TAG = "tag:"


def select_tables(
    project: Project, selectors: Sequence[str], *, option: str = "--select "
) -> tuple[Table, ...]:
    """The tables that any of the selectors names, in the order of the file; all without one.

    Args:
        option: how the selectors were given, for the error.

    Raises:
        DeclarationError: a selector names nothing, with the nearest name that exists.
    """
    if not selectors:
        return project.tables
    unknown = [one for one in selectors if not any(_selects(one, t) for t in project.tables)]
    if unknown:
        raise _unknown_selector(project, unknown[0], option)
    return tuple(t for t in project.tables if any(_selects(one, t) for one in selectors))


def table_named(project: Project, name: str) -> Table:
    """The one table of this name: `shop.orders`.

    Raises:
        DeclarationError: there is none, with the nearest name that exists.
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
    listed = ", ".join(known) or "none; to find members of wildcards: lakefeed sync"
    return DeclarationError(
        f"{option}{selector}: no such {kind}{hint}", do=f"declared {kind}s: {listed}"
    )


def _same_short_name(project: Project, name: str) -> str:
    found = [table.shown for table in project.tables if name in (table.short_name, table.name)]
    return f"; did you mean {' or '.join(f'`{one}`' for one in found)}?" if found else ""


def _selects(selector: str, table: Table) -> bool:
    if selector.startswith(_TAG):
        return selector.removeprefix(_TAG) in table.settings.tags
    names = (table.shown, table.lake_name, table.source, f"{table.source}.{table.qualified}")
    return any(fnmatchcase(name, selector) for name in names)
