"""The ledger: the tables of `_lakefeed` that record what each model over raw was built from."""

from __future__ import annotations

from collections.abc import Iterable

from duckdb import DuckDBPyConnection

from lakefeed.sql import quote
from lakefeed.transformation.warehouse.base.format import holds
from lakefeed.transformation.warehouse.base.warehouse import Relation

SCHEMA = "_lakefeed"
LEDGER = ("staged_loads", "histories", "compared_keys", "declared_columns")


def drop_relations(session: DuckDBPyConnection, relations: Iterable[Relation]) -> None:
    """Drops these relations and what the ledger has of them, in one transaction."""
    session.begin()
    for relation in relations:
        if relation.kind:
            qualified = f"{quote(relation.schema)}.{quote(relation.name)}"
            session.execute(f"drop {relation.kind} {qualified}")
        for table in LEDGER:
            if holds(session, table):
                session.execute(f"delete from _lakefeed.{table} where model = ?", [relation.name])
    session.commit()
