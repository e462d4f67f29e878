"""What one version of the warehouse contains: the published one, or a candidate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from lakefeed.declaration.table import Table
from lakefeed.transformation.warehouse.base.matching_rows import Matching, Reference, Wanted
from lakefeed.transformation.warehouse.base.publication_state import PublicationState


@dataclass(frozen=True)
class StagedTable:
    """Rows of a staging table, and how many of them the newest build added or changed."""

    rows: int
    changed: int


class Contents(Protocol):
    """Reads one version of the warehouse; empty where there is none."""

    def open(self) -> AbstractContextManager[Any]:
        """The session that all reads use until the end, even if another version is published.

        None if there is no such version.
        """

    def state(self) -> PublicationState:
        """How complete and recent it is; empty if Lakefeed never published it."""

    def staged_load_ids(self) -> dict[str, set[str]]:
        """Ids of staged loads by staging model; empty before the first build."""

    def histories_pruned_at(self) -> dict[str, str | None]:
        """By history model, when raw had last been pruned at the time of its build."""

    def declared_columns(self) -> dict[str, dict[str, Any]]:
        """By staging model, what sources.yaml said about its columns; not of models without."""

    def staged_models(self) -> set[str]:
        """Names of the staging and history models."""

    def generated_models(self) -> set[str]:
        """Names of the staging models that were built by the staging macro, not hand-written."""

    def newest_batch(self) -> int:
        """The number of the newest build that staged rows."""

    def newest_staged_snapshot(self) -> str | None:
        """The snapshot time of the newest staged load; None if nothing is staged."""

    def relations(self) -> set[tuple[str, str]]:
        """Schema and name of every table and view."""

    def kinds_of_relations(self) -> list[tuple[str, str, str]]:
        """Schema, name and kind (`table` or `view`) of every table and view."""

    def staged_since(self, tables: Sequence[Table], batch: int) -> dict[str, StagedTable]:
        """Rows of each table, and rows staged after this batch, by lake name."""

    def row_counts(self, relations: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Rows of these tables (schema, name), without views and missing tables."""

    def matching_rows(self, wanted: Wanted) -> Matching:
        """The rows of a relation that contain a key of the source."""

    def references_to(self, wanted: Wanted, reference: Reference) -> dict[str | None, int] | None:
        """How many rows refer to these, by the value as DuckDB's text; None if it isn't known."""

    def query(self, sql: str) -> tuple[list[str], list[tuple[object, ...]]]:
        """Column names and rows of a read-only query."""
