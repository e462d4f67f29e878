"""Generates a history model for each table that declares `history: true`."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.transformation.generate.staged_columns import staged_columns, staged_names
from lakefeed.transformation.generate.staging_models import (
    column_entry,
    compared_as,
    described,
    jinja_text,
    key_test,
    macro_call,
    staging_model_name,
    yaml_text,
)
from lakefeed.transformation.model_names import history_model

_LAKE_COLUMNS = {
    "valid_from": "Start of the version's validity (inclusive): the cursor value, or the time of "
    "the first snapshot with this version. 1900-01-01 for the first version of a row.",
    "valid_to": "End of the version's validity (exclusive); null for the current version.",
    "is_current": "Whether this is the current version.",
    "loaded_at": "Snapshot time of the load that contains the version.",
    "_changed_at": "When the source changed the row; also set for its first version.",
    "_was_deleted": "Whether the version ended because the row was deleted in the source.",
    "_dlt_load_id": "Id of the load that contains the version.",
    "_staged_batch": "Number of the build that last changed a version of this row.",
}
_BY_LOG = {
    "valid_from": "Start of the version's validity (inclusive): when the transaction that made it "
    "committed, or the time of the first snapshot with this version. 1900-01-01 for the first "
    "version of a row.",
}


def history_model_name(table: Table) -> str:
    return history_model(table.lake_name)


def keeps_history(table: Table) -> bool:
    """Whether the table has a history model: `history: true`, and its key is known."""
    return bool(table.settings.history and table.catalogue and table.key)


def models_over_raw(table: Table) -> tuple[str, ...]:
    """The models that read the table's raw files: staging and history."""
    history = (history_model_name(table),) if keeps_history(table) else ()
    return (staging_model_name(table), *history)


def history_files(project: Project) -> dict[str, str]:
    """Text by path below `dbt/`: the history models, and a YAML file for each source."""
    files = {}
    for source in project.declaration.sources:
        tables = [table for table in project.tables_of(source) if keeps_history(table)]
        folder = PurePosixPath("models/history") / source
        if tables:
            entries = [_model_entry(table) for table in tables]
            models = yaml_text({"version": 2, "models": entries})
            files[str(folder / f"_{source}__history.yml")] = models
        for table in tables:
            files[str(folder / f"{history_model_name(table)}.sql")] = _history_model(table)
    return files


def _history_model(table: Table) -> str:
    zone = table.cursor.timezone if table.cursor else None
    return macro_call("history", table, *([f"timezone={jinja_text(zone)}"] if zone else []))


def _model_entry(table: Table) -> dict[str, Any]:
    """A history model's YAML."""
    key, compared = staged_names(table, table.key), compared_as(table)
    how = {"compared_as": compared} if compared else {}
    columns = [column_entry(table, column) for column in staged_columns(table)]
    of_lake = _LAKE_COLUMNS | (_BY_LOG if table.reads_log else {})
    columns += [{"name": name, "description": text} for name, text in of_lake.items()]
    return {
        "name": history_model_name(table),
        "description": f"History of {described(table)} in `{table.source}`. One row per "
        f"{', '.join(key)} and version, with the period in which it was valid.",
        "config": {"schema": "history", "tags": list(table.settings.tags)},
        "data_tests": [
            key_test([*key, "valid_from"], compared),
            {"lakefeed.no_gaps_no_overlaps": {"arguments": {"key": key, **how}}},
        ],
        "columns": columns,
    }
