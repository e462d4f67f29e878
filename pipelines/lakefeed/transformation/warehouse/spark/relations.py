"""The tables and views of the catalog, and the snapshot that each table is at.

staging.stg_orders          where dbt builds: readers leave it alone
marts.fct_order
_lakefeed.staged_loads      the ledger
public.fct_order            what readers query: a view of the published snapshot
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefeed.transformation.targets.spark import quoted, rows_of, text_literal

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PUBLIC = "public"
FAILURES = "test_failures"
RECORDS = "_lakefeed_publication"
# Schemas that belong to no version.
OUTSIDE = (PUBLIC, RECORDS, FAILURES)

_LEDGER = "_lakefeed"


@dataclass(frozen=True)
class Stored:
    """A table or view of a version.

    Attributes:
        snapshot: the snapshot of a table; None for a view, and for a table that was never written.
        sql: the query of a view.
    """

    schema: str
    name: str
    kind: str
    snapshot: int | None = None
    sql: str = ""

    @property
    def key(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        return quoted(self.schema, self.name)

    @property
    def public_name(self) -> str:
        """Its name among the public views: names of models are unique, the ledger's aren't."""
        return f"{_LEDGER}_{self.name}" if self.schema == _LEDGER else self.name

    @property
    def pinned(self) -> str:
        """The table at its snapshot as a from-clause item."""
        if self.snapshot is None:
            return f"(select * from {self.quoted} where false)"
        return f"{self.quoted} version as of {self.snapshot}"


def stored(session: SparkSession) -> list[Stored]:
    """The tables and views that dbt and the ledger have in the catalog now, by schema and name."""
    schemas = [name for (name,) in rows_of(session, "show namespaces") if name not in OUTSIDE]
    tables = [(schema, name) for schema in schemas for name in names_of(session, "tables", schema)]
    views = [(schema, name) for schema in schemas for name in names_of(session, "views", schema)]
    at = snapshots_of(session, tables)
    return sorted(
        [
            *(Stored(s, name, "table", snapshot=at.get((s, name))) for s, name in tables),
            *(Stored(s, name, "view", sql=view_text(session, s, name)) for s, name in views),
        ],
        key=lambda relation: (relation.schema, relation.name),
    )


def names_of(session: SparkSession, what: str, schema: str) -> list[str]:
    """The names of the `tables` or `views` in a schema of the catalog; none if it doesn't exist."""
    if schema not in {name for (name,) in rows_of(session, "show namespaces")}:
        return []
    found = rows_of(session, f"show {what} in {quoted(schema)}")
    # Temporary views of the session are listed with those of any schema.
    return [name for _, name, is_temporary, *_ in found if not is_temporary]


def snapshots_of(
    session: SparkSession, tables: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """The current snapshot of each table that has one."""
    asked = list(tables)
    if not asked:
        return {}
    query = " union all ".join(
        f"select {text_literal(schema)}, {text_literal(name)}, snapshot_id "
        f"from {quoted(schema, name, 'refs')} where name = 'main'"
        for schema, name in asked
    )
    return {(schema, name): int(at) for schema, name, at in rows_of(session, query)}


def view_text(session: SparkSession, schema: str, name: str) -> str:
    """The query of a view."""
    (row,) = rows_of(session, f"show create table {quoted(schema, name)}")
    _, _, query = str(row[0]).partition("\nAS\n")
    return query


def drops(relations: Iterable[Stored]) -> Iterator[str]:
    """The statements that drop these relations, views first."""
    for relation in sorted(relations, key=lambda one: one.kind, reverse=True):
        purge = " purge" if relation.kind == "table" else ""
        yield f"drop {relation.kind} if exists {relation.quoted}{purge}"
