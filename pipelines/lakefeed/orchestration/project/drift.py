"""What changed in a database since its catalogue was written."""

from __future__ import annotations

from collections.abc import Iterator

from lakefeed.declaration.catalogue import CatalogueTable


def describe_drift(
    source: str, known: dict[str, CatalogueTable], live: dict[str, CatalogueTable]
) -> Iterator[str]:
    """Describes what changed in the database since the catalogue was written.

    Tables that aren't in the catalogue yet don't count as changed.
    """
    for qualified, table in live.items():
        before = known.get(qualified)
        if before is None:
            continue
        for line in table_drift(before, table):
            yield f"{source}.{qualified}: {line}"


def table_drift(before: CatalogueTable, now: CatalogueTable) -> Iterator[str]:
    """Describes what changed in one table in the database."""
    yield from _column_drift(before, now)
    if before.primary_key != now.primary_key:
        keys = (", ".join(key) or "none" for key in (before.primary_key, now.primary_key))
        yield "primary key changed from {} to {}".format(*keys)


def _column_drift(before: CatalogueTable, now: CatalogueTable) -> Iterator[str]:
    for column in now.columns:
        old = before.column(column.name)
        if old is None:
            yield f"column `{column.name}` ({column.type}) was added"
        elif old.type != column.type:
            yield f"column `{column.name}` changed from {old.type} to {column.type}"
        elif old.nullable != column.nullable:
            now_is = "is now nullable" if column.nullable else "is no longer nullable"
            yield f"column `{column.name}` {now_is}"
    for column in before.columns:
        if now.column(column.name) is None:
            yield f"column `{column.name}` was dropped"
