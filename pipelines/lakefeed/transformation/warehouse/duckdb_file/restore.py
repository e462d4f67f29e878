"""Restores models of the candidate to their published version."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from duckdb import DuckDBPyConnection, Error

from lakefeed.sql import literal
from lakefeed.transformation.manifest import Model
from lakefeed.transformation.warehouse.base.put_back import PUBLISHED, put_back_model
from lakefeed.transformation.warehouse.duckdb_file.open_file import cannot_open, writing


def restore_models(candidate: Path, published: Path, models: Iterable[Model]) -> None:
    """Restores these models in the candidate to their version in the published file.

    Restores rows, definition and indexes, and the recorded loads of a staging model, so that the
    next build stages the other loads again. Models that were never published are dropped. Of a
    view, only the definition is restored.

    Raises:
        BuildFailed: another program has the published file open for writing.
    """
    with writing(candidate) as session:
        if published.exists():
            _attach(session, published)
        for model in models:
            put_back_model(session, model)


def _attach(session: DuckDBPyConnection, published: Path) -> None:
    try:
        session.execute(f"attach {literal(str(published))} as {PUBLISHED} (read_only)")
    except Error as error:
        raise cannot_open(published, error) from None
