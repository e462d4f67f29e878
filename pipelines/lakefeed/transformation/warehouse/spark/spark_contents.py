"""What one version of a Spark warehouse contains."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlglot import exp, parse_one

from lakefeed.declaration.table import Table
from lakefeed.transformation.model_names import staging_model
from lakefeed.transformation.targets.spark import Session, Spark, types_of
from lakefeed.transformation.targets.spark_session import open_session
from lakefeed.transformation.targets.spark_views import beside_table
from lakefeed.transformation.warehouse.base.contents import StagedTable
from lakefeed.transformation.warehouse.base.matching_rows import (
    NOT_BUILT,
    Matching,
    Reference,
    Wanted,
)
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.spark.relations import Stored
from lakefeed.transformation.warehouse.spark.spark_rows import matching_rows, references_to
from lakefeed.transformation.warehouse.spark.spark_state import read_state

# The relations of a version; None if there is no such version.
Listing = Callable[["Session"], Iterable[Stored] | None]


class SparkContents:
    """Reads one version; empty where there is none.

    Args:
        listing: lists its relations.
    """

    def __init__(self, spark: Spark, listing: Listing) -> None:
        self._spark = spark
        self._listing = listing
        self._known: Mapping[tuple[str, str], Stored] | None = None
        self._is_open = False

    @contextmanager
    def open(self) -> Iterator[Session | None]:
        session = open_session(self._spark.remote, self._spark.catalog)
        if self._is_open:
            yield session if self._known is not None else None
            return
        found = self._listing(session)
        self._known = None if found is None else {(r.schema, r.name): r for r in found}
        self._is_open = True
        try:
            yield session if self._known is not None else None
        finally:
            self._is_open, self._known = False, None

    def state(self) -> PublicationState:
        with self.open() as session:
            return PublicationState() if session is None else read_state(session, self._ledger)

    def staged_load_ids(self) -> dict[str, set[str]]:
        with self.open() as session:
            table = self._ledger("staged_loads")
            if session is None or table is None:
                return {}
            query = f"select model, to_json(collect_set(load_id)) from {table} group by model"
            return {model: set(json.loads(loads)) for model, loads in session.rows(query)}

    def histories_pruned_at(self) -> dict[str, str | None]:
        with self.open() as session:
            table = self._ledger("histories")
            if session is None or table is None:
                return {}
            rows = session.rows(f"select model, made_from from {table}")
            return {model: json.loads(text).get("pruned_at") for model, text in rows}

    def declared_columns(self) -> dict[str, dict[str, Any]]:
        # Spark's models have the names and types of raw (declaration/column_checks.py).
        return {}

    def staged_models(self) -> set[str]:
        return {name for schema, name in self.relations() if schema in ("staging", "history")}

    def generated_models(self) -> set[str]:
        with self.open() as session:
            return set() if session is None else self._generated(session)

    def newest_batch(self) -> int:
        with self.open() as session:
            table = self._ledger("staged_loads")
            if session is None or table is None:
                return 0
            ((batch,),) = session.rows(f"select max(batch) from {table}")
            return int(batch or 0)

    def newest_staged_snapshot(self) -> str | None:
        with self.open() as session:
            table = self._ledger("staged_loads")
            if session is None or table is None:
                return None
            query = f"select max_by(snapshot_at, cast(snapshot_at as timestamp)) from {table}"
            ((snapshot_at,),) = session.rows(query)
            return snapshot_at if snapshot_at is None else str(snapshot_at)

    def relations(self) -> set[tuple[str, str]]:
        return {(schema, name) for schema, name, _ in self.kinds_of_relations()}

    def kinds_of_relations(self) -> list[tuple[str, str, str]]:
        with self.open():
            return [(r.schema, r.model, r.kind) for r in (self._known or {}).values()]

    def staged_since(self, tables: Sequence[Table], batch: int) -> dict[str, StagedTable]:
        with self.open() as session:
            if session is None:
                return {}
            generated = self._generated(session)
            names = {table.lake_name: staging_model(table.lake_name) for table in tables}
            present = [name for name, model in names.items() if model in generated]
            counts = self._counted(
                session,
                f"count(*), count_if(_staged_batch > {int(batch)})",
                [("staging", names[name]) for name in present],
            )
            return {
                name: StagedTable(rows, changed)
                for name, (rows, changed) in zip(present, counts, strict=True)
            }

    def row_counts(self, relations: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        with self.open() as session:
            if session is None:
                return {}
            known = self._known or {}
            tables = {key for key, relation in known.items() if relation.kind == "table"}
            present = sorted(tables & set(relations))
            counts = self._counted(session, "count(*)", present)
            return {relation: rows for relation, (rows,) in zip(present, counts, strict=True)}

    def matching_rows(self, wanted: Wanted) -> Matching:
        with self.open() as session:
            return NOT_BUILT if session is None else matching_rows(session, self._items(), wanted)

    def references_to(self, wanted: Wanted, reference: Reference) -> dict[str | None, int] | None:
        with self.open() as session:
            if session is None:
                return None
            return references_to(session, self._items(), wanted, reference)

    def query(self, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
        with self.open() as session:
            if session is None:
                return [], []
            found = session.arrow(self._of_version(sql))
            columns = [column.to_pylist() for column in found.columns]
            return found.column_names, list(zip(*columns, strict=True))

    def _items(self) -> dict[tuple[str, str], str]:
        """This version of each relation as a from-clause item, by schema and model."""
        known = (self._known or {}).values()
        return {(relation.schema, relation.model): self._item(relation) for relation in known}

    def _item(self, relation: Stored) -> str:
        if relation.kind == "table":
            return relation.pinned
        # The view itself reads what dbt is building.
        return f"({self._of_version(relation.sql)})"

    def _of_version(self, sql: str) -> str:
        """The query, reading this version of each relation."""
        query, relations = parse_one(sql, dialect="spark"), self._known or {}
        for table in list(query.find_all(exp.Table)):
            beside = (table.db, beside_table(table.name))
            known = relations.get((table.db, table.name)) or relations.get(beside)
            if known is not None:
                item = parse_one(f"select * from {self._item(known)}", dialect="spark")
                table.replace(exp.alias_(exp.Subquery(this=item), table.alias_or_name))
        return str(query.sql(dialect="spark"))

    def _ledger(self, name: str) -> str | None:
        """A table of `_lakefeed` as a from-clause item; None if this version doesn't have it."""
        known = (self._known or {}).get(("_lakefeed", name))
        return known.pinned if known else None

    def _generated(self, session: Session) -> set[str]:
        known = [r for r in (self._known or {}).values() if r.schema == "staging"]
        columns = {r.model: types_of(session, f"select * from {r.quoted}") for r in known}
        return {model for model, types in columns.items() if "_staged_batch" in types}

    def _counted(
        self, session: Session, columns: str, relations: Sequence[tuple[str, str]]
    ) -> list[tuple[int, ...]]:
        """These aggregates of each relation, in their order, from one statement."""
        known = self._known or {}
        if not relations:
            return []
        query = " union all ".join(
            f"select {place}, {columns} from {known[relation].pinned}"
            for place, relation in enumerate(relations)
        )
        return [row[1:] for row in sorted(session.rows(query))]
