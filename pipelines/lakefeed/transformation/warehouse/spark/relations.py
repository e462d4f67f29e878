"""The tables and views of the catalog, and the snapshot that each table is at.

staging.stg_orders          where dbt builds: readers leave it alone
marts.fct_order             a view may stand beside a table (targets/spark_views.py)
_lakefeed.staged_loads      the ledger
public.fct_order            what readers query: a view of the published snapshot
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from lakefeed.transformation.targets.spark import Session, quoted
from lakefeed.transformation.targets.spark_views import model_of
from lakefeed.transformation.warehouse.base.ledger import SCHEMA as LEDGER_SCHEMA
from lakefeed.transformation.warehouse.base.public_names import public_name
from lakefeed.transformation.warehouse.registered.register import RECORDS
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side

PUBLIC = "public"
FAILURES = "test_failures"
# Schemas that belong to no version.
OUTSIDE = (PUBLIC, RECORDS, FAILURES)

# Schema and name of relations.
Ours = AbstractSet[tuple[str, str]]


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
    def model(self) -> str:
        """The name of its model."""
        return model_of(self.name)

    @property
    def public_name(self) -> str:
        """Its name among the public views."""
        return public_name(self.schema, self.model)

    @property
    def pinned(self) -> str:
        """The table at its snapshot as a from-clause item."""
        if self.snapshot is None:
            return f"(select * from {self.quoted} where false)"
        return f"{self.quoted} version as of {self.snapshot}"


def stored(session: Session, ours: Ours | None = None) -> list[Stored]:
    """The tables and views in the catalog now, by schema and name.

    Args:
        ours: the only ones, besides those of the ledger: others may use the catalog as well. None
            for all but the public views and what belongs to no version.
    """
    schemas = namespaces(session) - set(OUTSIDE)
    if ours is not None:
        schemas &= {LEDGER_SCHEMA, *(schema for schema, _ in ours)}
    listings = [(what, schema) for schema in sorted(schemas) for what in ("table", "view")]
    named = side_by_side(lambda listing: _listed(session, *listing), listings)
    found = [
        relation
        for relations in named
        for relation in relations
        if ours is None
        or relation.schema == LEDGER_SCHEMA
        or (relation.schema, relation.name) in ours
        or (relation.schema, relation.model) in ours
    ]
    return sorted(
        side_by_side(lambda relation: _completed(session, relation), found),
        key=lambda relation: (relation.schema, relation.name),
    )


def namespaces(session: Session) -> set[str]:
    """The schemas of the catalog."""
    return {name for (name,) in session.rows("show namespaces")}


def names_of(session: Session, kind: str, schema: str) -> list[str]:
    """The names of the relations of a kind in a schema; none if it doesn't exist."""
    if schema not in namespaces(session):
        return []
    return [relation.name for relation in _listed(session, kind, schema)]


def _listed(session: Session, kind: str, schema: str) -> list[Stored]:
    found = session.rows(f"show {kind}s in {quoted(schema)}")
    # Temporary views of the session are listed with those of any schema.
    return [Stored(schema, name, kind) for _, name, is_temporary, *_ in found if not is_temporary]


def _completed(session: Session, relation: Stored) -> Stored:
    """The relation with its snapshot or its query."""
    if relation.kind == "view":
        return replace(relation, sql=view_text(session, relation.schema, relation.name))
    query = f"show tblproperties {relation.quoted} ('current-snapshot-id')"
    ((_, snapshot),) = session.rows(query)
    return replace(relation, snapshot=int(snapshot) if snapshot.isdigit() else None)


def view_text(session: Session, schema: str, name: str) -> str:
    """The query of a view."""
    (row,) = session.rows(f"show create table {quoted(schema, name)}")
    _, _, query = str(row[0]).partition("\nAS\n")
    return query


def drops(relations: Iterable[Stored]) -> Iterator[str]:
    """The statements that drop these relations, views first."""
    for relation in sorted(relations, key=lambda one: one.kind, reverse=True):
        purge = " purge" if relation.kind == "table" else ""
        yield f"drop {relation.kind} if exists {relation.quoted}{purge}"
