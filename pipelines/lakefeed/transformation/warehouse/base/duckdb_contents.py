"""What one version of a warehouse contains that DuckDB reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from duckdb import DuckDBPyConnection

from lakefeed.declaration.table import Table
from lakefeed.sql import quote
from lakefeed.transformation.model_names import staging_model
from lakefeed.transformation.warehouse.base.contents import StagedTable
from lakefeed.transformation.warehouse.base.duckdb_rows import matching_rows, references_to
from lakefeed.transformation.warehouse.base.duckdb_state import read_state
from lakefeed.transformation.warehouse.base.format import holds
from lakefeed.transformation.warehouse.base.matching_rows import (
    NOT_BUILT,
    Matching,
    Reference,
    Wanted,
)
from lakefeed.transformation.warehouse.base.publication_state import PublicationState

Opening = Callable[[], AbstractContextManager[DuckDBPyConnection | None]]


class DuckDBContents:
    """Reads one version of the warehouse; empty where there is none.

    Args:
        opening: opens a session whose current database is that version; None if there is none.
    """

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._opened: list[DuckDBPyConnection | None] = []

    @contextmanager
    def open(self) -> Iterator[DuckDBPyConnection | None]:
        """The session that all reads use until the end, even if another version is published."""
        if self._opened:
            yield self._opened[0]
            return
        with self._opening() as session:
            self._opened.append(session)
            try:
                yield session
            finally:
                self._opened.clear()

    def state(self) -> PublicationState:
        """How complete and recent it is; empty if Lakefeed never published it."""
        with self.open() as session:
            return PublicationState() if session is None else read_state(session)

    def staged_load_ids(self) -> dict[str, set[str]]:
        """Ids of staged loads by staging model; empty before the first build."""
        with self.open() as session:
            if session is None or not holds(session, "staged_loads"):
                return {}
            staged: dict[str, set[str]] = {}
            rows = session.execute("select model, load_id from _lakefeed.staged_loads").fetchall()
            for model, load_id in rows:
                staged.setdefault(model, set()).add(load_id)
            return staged

    def histories_pruned_at(self) -> dict[str, str | None]:
        """By history model, when raw had last been pruned at the time of its build."""
        with self.open() as session:
            if session is None or not holds(session, "histories"):
                return {}
            rows = session.execute("select model, made_from from _lakefeed.histories").fetchall()
            return {model: json.loads(text).get("pruned_at") for model, text in rows}

    def declared_columns(self) -> dict[str, dict[str, Any]]:
        """By staging model, what sources.yaml said about its columns; not of models without."""
        with self.open() as session:
            if session is None or not holds(session, "declared_columns"):
                return {}
            query = "select model, declared from _lakefeed.declared_columns"
            return {model: json.loads(text) for model, text in session.execute(query).fetchall()}

    def staged_models(self) -> set[str]:
        """Names of the staging and history models."""
        query = (
            "select table_name from information_schema.tables "
            "where table_schema in ('staging', 'history') and table_catalog = current_database()"
        )
        with self.open() as session:
            return set() if session is None else {n for (n,) in session.execute(query).fetchall()}

    def generated_models(self) -> set[str]:
        """Names of the staging models that were built by the staging macro, not hand-written."""
        with self.open() as session:
            return set() if session is None else _generated_models(session)

    def newest_batch(self) -> int:
        """The number of the newest build that staged rows."""
        with self.open() as session:
            if session is None or not holds(session, "staged_loads"):
                return 0
            found = session.execute("select max(batch) from _lakefeed.staged_loads").fetchone()
            return int(found[0] or 0) if found else 0

    def newest_staged_snapshot(self) -> str | None:
        """The snapshot time of the newest staged load; None if nothing is staged."""
        query = "select arg_max(snapshot_at, snapshot_at::timestamptz) from _lakefeed.staged_loads"
        with self.open() as session:
            if session is None or not holds(session, "staged_loads"):
                return None
            found = session.execute(query).fetchone()
            return found[0] if found else None

    def relations(self) -> set[tuple[str, str]]:
        """Schema and name of every table and view."""
        return {(schema, name) for schema, name, _ in self.kinds_of_relations()}

    def kinds_of_relations(self) -> list[tuple[str, str, str]]:
        """Schema, name and kind (`table` or `view`) of every table and view."""
        query = (
            "select table_schema, table_name, if(table_type = 'VIEW', 'view', 'table') "
            "from information_schema.tables where table_catalog = current_database()"
        )
        with self.open() as session:
            return [] if session is None else session.execute(query).fetchall()

    def staged_since(self, tables: Sequence[Table], batch: int) -> dict[str, StagedTable]:
        """Rows of each table, and rows staged after this batch, by lake name."""
        with self.open() as session:
            if session is None:
                return {}
            generated = _generated_models(session)
            names = {table.lake_name: staging_model(table.lake_name) for table in tables}
            present = [name for name, model in names.items() if model in generated]
            counts = _counted(
                session,
                f"count(*), count(*) filter (_staged_batch > {int(batch)})",
                [("staging", names[name]) for name in present],
            )
            return {
                name: StagedTable(rows, changed)
                for name, (rows, changed) in zip(present, counts, strict=True)
            }

    def row_counts(self, relations: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Rows of these tables (schema, name), without views and missing tables.

        Views are left out because they may read files by relative paths. All are counted at once:
        opening the warehouse for each of fifty tables took a fifth of a run's CPU time.
        """
        with self.open() as session:
            if session is None:
                return {}
            tables = {(s, name) for s, name, kind in self.kinds_of_relations() if kind == "table"}
            present = sorted(tables & set(relations))
            counts = _counted(session, "count(*)", present)
            return {relation: rows for relation, (rows,) in zip(present, counts, strict=True)}

    def matching_rows(self, wanted: Wanted) -> Matching:
        """The rows of a relation that contain a key of the source."""
        with self.open() as session:
            return NOT_BUILT if session is None else matching_rows(session, wanted)

    def references_to(self, wanted: Wanted, reference: Reference) -> dict[str | None, int] | None:
        """How many rows refer to these, by the value as DuckDB's text; None if it isn't known."""
        with self.open() as session:
            return None if session is None else references_to(session, wanted, reference)

    def query(self, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
        """Column names and rows of a read-only query."""
        with self.open() as session:
            if session is None:
                return [], []
            result = session.execute(sql)
            return [column[0] for column in result.description], result.fetchall()


def _generated_models(session: DuckDBPyConnection) -> set[str]:
    query = (
        "select table_name from information_schema.columns where table_schema = 'staging' "
        "and column_name = '_staged_batch' and table_catalog = current_database()"
    )
    return {row[0] for row in session.execute(query).fetchall()}


def _counted(
    session: DuckDBPyConnection, columns: str, relations: Sequence[tuple[str, str]]
) -> list[tuple[int, ...]]:
    """These aggregates of each relation, in their order, from one statement."""
    if not relations:
        return []
    query = " union all ".join(
        f"select {place}, {columns} from {quote(schema)}.{quote(name)}"
        for place, (schema, name) in enumerate(relations)
    )
    return [row[1:] for row in session.execute(f"{query} order by 1").fetchall()]
