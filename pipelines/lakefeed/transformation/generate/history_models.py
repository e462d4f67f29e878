"""The generated models of history, one for each table that declares `history: true`."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.transformation.generate.staging_models import (
    column_entry,
    compared_as,
    jinja_text,
    macro_call,
    staged_columns,
    staging_model_name,
    yaml_text,
)

_LAKE_COLUMNS = {
    "valid_from": "Since when the version holds, by the source's time of change: its cursor, or "
    "the snapshot that first saw it. The first version of a row holds from 1900 on.",
    "valid_to": "Until when it holds, exclusive; null for the version that holds now.",
    "is_current": "Whether it holds now.",
    "loaded_at": "The snapshot of the load that brought it.",
    "_changed_at": "The source's time of change, for the first version of a row as well.",
    "_was_deleted": "Whether it ended because the row left the source.",
    "_dlt_load_id": "The load that brought it.",
    "_staged_batch": "Counts up with every build that staged news of this row.",
}


def history_model_name(table: Table) -> str:
    return f"hst_{table.lake_name}"


def keeps_history(table: Table) -> bool:
    """Whether the table has a model of history: it is asked for, and its key is known."""
    return bool(table.settings.history and table.catalogue and table.key)


def models_over_raw(table: Table) -> tuple[str, ...]:
    """The models that read the table's raw files."""
    history = (history_model_name(table),) if keeps_history(table) else ()
    return (staging_model_name(table), *history)


def history_files(project: Project) -> dict[str, str]:
    """Text by path below `dbt/`: the models of history, and a YAML for those of each source."""
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
    """No column of it is unique by itself: the tests of the model say what is."""
    key = list(table.key)
    compared = {"compared_as": how} if (how := compared_as(table)) else {}
    columns = [column_entry(column) for column in staged_columns(table)]
    columns += [{"name": name, "description": text} for name, text in _LAKE_COLUMNS.items()]
    for entry in columns:
        if entry["name"] in (*key, "valid_from"):
            entry["data_tests"] = ["not_null"]
    return {
        "name": history_model_name(table),
        "description": f"{table.qualified} of `{table.source}`. One row per {', '.join(key)} and "
        "version: what it was, and from when to when.",
        "config": {"schema": "history", "tags": list(table.settings.tags)},
        "data_tests": [
            {
                "lakefeed.unique_combination": {
                    "arguments": {"columns": [*key, "valid_from"], **compared}
                }
            },
            {"lakefeed.no_gaps_no_overlaps": {"arguments": {"key": key, **compared}}},
        ],
        "columns": columns,
    }
