"""Lakefeed's backend for dlt's `sql_table`: DuckDB scans PostgreSQL and writes the Parquet files.

dlt builds the query, with `dlt.sources.incremental` pushed down into its WHERE clause. DuckDB's
scanner runs it at the shared snapshot, a big table in ranges of pages, and writes the files, which
dlt imports into its load package. docs/design/duckdb-behind-dlt.md has the measurements behind this
choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import dlt
import sqlalchemy as sa
from dlt.sources.sql_database import BaseTableLoader, register_table_loader_backend

from lakefeed.loading.extract.extract_table import extract_table
from lakefeed.loading.extract.extraction import Extraction, ExtractionResult
from lakefeed.loading.extract.window import Window
from lakefeed.loading.plan.cursors import CursorValue, as_cursor_value
from lakefeed.loading.plan.queries import declared_condition, exact_columns, query_of
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.source.inspection.types import CursorKind
from lakefeed.source.protection import keys_hidden
from lakefeed.sql import quote

BACKEND = "lakefeed"


@dataclass
class Handover:
    """An extraction on its way into dlt, and its result on the way back.

    The one object that is changed after it was made. dlt runs `load_rows` in the midst of
    `pipeline.extract` and takes nothing from it but rows: it has no way to return more.
    """

    extraction: Extraction
    result: ExtractionResult | None = None


class SnapshotLoader(BaseTableLoader):
    """Reads one table for dlt, as the `Handover` among its keyword arguments says."""

    def load_rows(self, backend_kwargs: dict[str, Any] | None = None) -> Iterator[Any]:
        handover: Handover = (backend_kwargs or {})["handover"]
        extraction = handover.extraction
        load_id = dlt.current.load_package_state()["load_id"]

        def query_of(window: Window, condition: str) -> str:
            return self._exact_query(extraction.plan, window, condition)

        self._set_state(extraction, extraction.window.checkpoint)
        # dlt keeps the texts of errors in its trace.
        with keys_hidden() if extraction.plan.table.secrets else nullcontext():
            result = extract_table(extraction, load_id, query_of)
        handover.result = result
        if not result.is_load:
            return
        self._move_state(extraction, result)
        hints = result.reading.schema.empty_table()
        for path, rows in result.reading.files.items():
            yield dlt.mark.with_file_import(str(path), "parquet", rows, hints=hints)

    def _exact_query(self, plan: TablePlan, window: Window, condition: str) -> str:
        """dlt's query with each column read exactly, and our conditions beside dlt's own."""
        if self.incremental:
            # dlt takes it from its state, where it has the checkpoint without horizon or lookback.
            self.last_value = window.start
            if plan.cursor and plan.cursor.is_of_several:
                value = sa.literal_column(plan.cursor.value(), self.cursor_column.type)
                self.cursor_column = value  # type: ignore[assignment]
        query = self.make_query()
        assert isinstance(query, sa.Select)
        if plan.table.settings.only:
            query = query.with_hint(self.table, "ONLY", "postgresql")
        columns: list[sa.ColumnElement[Any]] = list(map(sa.literal_column, exact_columns(plan)))
        query = query.with_only_columns(*columns, maintain_column_froms=True)
        for part in (declared_condition(plan), condition):
            query = query.where(sa.literal_column(f"({part})"))
        sql = self.compile_query(query).replace("%%", "%")
        if plan.table.query is None:
            return sql
        # Within itself, the name still means a table.
        return f"with {quote(plan.table.name)} as {query_of(plan.table.query)} {sql}"

    def _move_state(self, extraction: Extraction, result: ExtractionResult) -> None:
        if self.incremental is None or not extraction.checkpoint_may_move:
            return
        self.incremental.advance(result.checkpoint)
        self._set_state(extraction, result.checkpoint)

    def _set_state(self, extraction: Extraction, checkpoint: CursorValue | None) -> None:
        """Has dlt's state show the checkpoint that the load manifests have.

        dlt's state decides nothing, but `dlt pipeline` shows it. It lags behind where it was lost
        or rolled back, and is ahead after a full refresh that left the table empty: `advance`
        ignores None.
        """
        plan = extraction.plan
        kind: CursorKind | None = "number" if plan.table.reads_log else plan.cursor_kind
        if self.incremental is None or kind is None or extraction.window.is_backfill:
            return
        state = self.incremental.get_state()
        wanted = plan.initial_value if checkpoint is None else checkpoint
        if not _is_at(state.get("last_value"), wanted, kind):
            state["last_value"] = wanted


def _is_at(stored: Any, checkpoint: CursorValue | None, kind: CursorKind) -> bool:
    try:
        return as_cursor_value(stored, kind) == checkpoint
    except TypeError:
        # Not a value of this kind: the column had another type, or someone edited the state.
        return False


register_table_loader_backend(BACKEND, SnapshotLoader)
