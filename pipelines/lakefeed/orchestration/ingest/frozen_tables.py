"""Tables declared with `schema_changes: freeze`, which fail when their columns change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed
from lakefeed.orchestration.project.catalogue_sync import LiveSource


def refuse_frozen(project: Project, table: Table, live: LiveSource) -> None:
    """Refuses, before it is read, a frozen table that has changed.

    Raises:
        TableFailed: the table is frozen and its columns have changed.
    """
    if _has_changed(project, table):
        changes = [line for line in live.drift if f".{table.qualified}:" in line]
        raise TableFailed(
            f"{table.shown} is frozen, but its columns changed: {'; '.join(changes)}",
            where=table.where_of("schema_changes"),
            do="review the change, then accept it with: lakefeed sync",
        )


def without_changes_of_frozen(
    project: Project, live: LiveSource, tables: Sequence[Table]
) -> LiveSource:
    """The live tables to write to the catalogue, in which frozen tables stay unchanged."""
    known = project.catalogue
    frozen = [(table.source, table.qualified) for table in tables if _has_changed(project, table)]
    kept = {name: before for source, name in frozen if (before := known.table(source, name))}
    return replace(live, tables={**live.tables, **kept})


def _has_changed(project: Project, table: Table) -> bool:
    before = project.catalogue.table(table.source, table.qualified)
    if table.settings.schema_changes != "freeze" or before is None or not table.catalogue:
        return False
    return table.catalogue.columns != before.columns
