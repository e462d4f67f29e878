"""What one version of a warehouse of clones contains, or a candidate."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lakefeed.declaration.table import Table
from lakefeed.transformation.model_names import staging_model
from lakefeed.transformation.warehouse.base.contents import StagedTable
from lakefeed.transformation.warehouse.base.ledger import SCHEMA
from lakefeed.transformation.warehouse.base.matching_rows import (
    NOT_BUILT,
    Matching,
    Reference,
    Wanted,
)
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.clones.engine import Engine, Stored
from lakefeed.transformation.warehouse.clones.key_rows import matching_rows, references_to
from lakefeed.transformation.warehouse.clones.reading import Relations, item_of, query_of_version
from lakefeed.transformation.warehouse.clones.state import read_state

# The relations of a version; None if there is no such version.
Listing = Callable[[], Iterable[Stored] | None]


class CloneContents:
    """Reads one version; empty where there is none.

    Args:
        listing: lists its relations.
    """

    def __init__(self, engine: Engine, listing: Listing) -> None:
        self._engine = engine
        self._listing = listing
        self._known: Relations | None = None
        self._is_open = False

    @contextmanager
    def open(self) -> Iterator[Engine | None]:
        if self._is_open:
            yield self._engine if self._known is not None else None
            return
        found = self._listing()
        self._known = None if found is None else {(r.schema, r.name): r for r in found}
        self._is_open = True
        try:
            yield self._engine if self._known is not None else None
        finally:
            self._is_open, self._known = False, None

    def state(self) -> PublicationState:
        with self.open() as engine:
            return PublicationState() if engine is None else read_state(engine, self._ledger)

    def staged_load_ids(self) -> dict[str, set[str]]:
        staged: dict[str, set[str]] = {}
        for model, load_id in self._recorded("staged_loads", "model, load_id"):
            staged.setdefault(model, set()).add(load_id)
        return staged

    def histories_pruned_at(self) -> dict[str, str | None]:
        rows = self._recorded("histories", "model, made_from")
        return {model: json.loads(text).get("pruned_at") for model, text in rows}

    def declared_columns(self) -> dict[str, dict[str, Any]]:
        # Its models have the names and types of raw (declaration/column_checks.py).
        return {}

    def staged_models(self) -> set[str]:
        return {name for schema, name in self.relations() if schema in ("staging", "history")}

    def generated_models(self) -> set[str]:
        with self.open() as engine:
            return set() if engine is None else self._generated(engine)

    def newest_batch(self) -> int:
        ((batch,),) = self._recorded("staged_loads", "max(batch)") or [(0,)]
        return int(batch or 0)

    def newest_staged_snapshot(self) -> str | None:
        moment = f"cast(snapshot_at as {self._engine.type_named('timestamptz')})"
        rows = self._recorded("staged_loads", f"max_by(snapshot_at, {moment})")
        ((snapshot_at,),) = rows or [(None,)]
        return None if snapshot_at is None else str(snapshot_at)

    def relations(self) -> set[tuple[str, str]]:
        return {(schema, name) for schema, name, _ in self.kinds_of_relations()}

    def kinds_of_relations(self) -> list[tuple[str, str, str]]:
        with self.open():
            return [(r.schema, r.name, r.kind) for r in (self._known or {}).values()]

    def staged_since(self, tables: Sequence[Table], batch: int) -> dict[str, StagedTable]:
        with self.open() as engine:
            if engine is None:
                return {}
            generated = self._generated(engine)
            names = {table.lake_name: staging_model(table.lake_name) for table in tables}
            present = [name for name, model in names.items() if model in generated]
            newer = f"case when _staged_batch > {int(batch)} then 1 end"
            counts = self._counted(
                engine, f"count(*), count({newer})", [("staging", names[name]) for name in present]
            )
            return {
                name: StagedTable(int(rows), int(changed))
                for name, (rows, changed) in zip(present, counts, strict=True)
            }

    def row_counts(self, relations: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        with self.open() as engine:
            if engine is None:
                return {}
            known = self._known or {}
            tables = {key for key, relation in known.items() if relation.kind == "table"}
            present = sorted(tables & set(relations))
            counts = self._counted(engine, "count(*)", present)
            return {relation: int(rows) for relation, (rows,) in zip(present, counts, strict=True)}

    def matching_rows(self, wanted: Wanted) -> Matching:
        with self.open() as engine:
            return NOT_BUILT if engine is None else matching_rows(engine, self._items(), wanted)

    def references_to(self, wanted: Wanted, reference: Reference) -> dict[str | None, int] | None:
        with self.open() as engine:
            if engine is None:
                return None
            return references_to(engine, self._items(), wanted, reference)

    def query(self, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
        with self.open() as engine:
            if engine is None:
                return [], []
            query = query_of_version(engine, self._known or {}, sql)
            return engine.columns(f"({query})"), engine.rows(query)

    def _items(self) -> dict[tuple[str, str], str]:
        """This version of each relation as a from-clause item, by schema and name."""
        known = self._known or {}
        return {at: item_of(self._engine, known, one) for at, one in known.items()}

    def _ledger(self, name: str) -> str | None:
        """A table of `_lakefeed` as a from-clause item; None if this version doesn't have it."""
        known = (self._known or {}).get((SCHEMA, name))
        return self._engine.quoted(*known.place) if known else None

    def _recorded(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        """These columns of a table of the ledger; none if this version doesn't have it."""
        with self.open() as engine:
            item = self._ledger(table)
            if engine is None or item is None:
                return []
            return engine.rows(f"select {columns} from {item}")

    def _generated(self, engine: Engine) -> set[str]:
        known = [r for r in (self._known or {}).values() if r.schema == "staging"]
        places = {r.place[0] for r in known}
        built = {place: engine.columns_in(place, "_staged_batch") for place in places}
        return {r.name for r in known if r.place[1] in built[r.place[0]]}

    def _counted(
        self, engine: Engine, columns: str, relations: Sequence[tuple[str, str]]
    ) -> list[tuple[int, ...]]:
        """These aggregates of each relation, in their order, from one statement."""
        known = self._known or {}
        if not relations:
            return []
        query = " union all ".join(
            f"select {number}, {columns} from {engine.quoted(*known[relation].place)}"
            for number, relation in enumerate(relations)
        )
        return [row[1:] for row in sorted(engine.rows(query))]
