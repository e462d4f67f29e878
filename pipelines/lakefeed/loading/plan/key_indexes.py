"""Which of the source's indexes cover a table's key."""

from __future__ import annotations

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.table import Table


def unique_indexes(
    table: Table, live: CatalogueTable, key: tuple[str, ...]
) -> list[tuple[str, ...]]:
    """The columns of unique indexes that cover the key. None spans a table and its child tables."""
    if live.heirs and not table.settings.only:
        return []
    return [columns for columns in live.unique if set(columns) <= set(key)]


def range_key(table: Table, live: CatalogueTable, key: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a unique index in its order, none of which is null or protected.

    Empty if there is none. Bounds of ranges are noted in manifests, as clear values.
    """
    usable = {
        column.name
        for column in live.columns
        if not column.nullable and not table.settings_of(column.name).protection
    }
    if live.kind not in ("table", "partitioned table"):
        return ()
    found = (columns for columns in unique_indexes(table, live, key) if usable.issuperset(columns))
    return next(found, ())
