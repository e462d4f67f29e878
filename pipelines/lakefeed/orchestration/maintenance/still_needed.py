"""What of a table's raw files is still needed, and by which warehouses and models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from lakefeed.declaration.explain import shown
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.loading.maintenance.builders import Builder
from lakefeed.loading.maintenance.prune import Rules
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.transformation.generate.generated_files import is_generated
from lakefeed.transformation.generate.history_models import models_over_raw
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.manifest import read_models
from lakefeed.transformation.warehouse.declared import warehouse_of

# Other warehouses that are built from the same raw layer.
Others = Sequence[Builder]


def rules_of(project: Project, table: Table, others: Others) -> Rules:
    """What a prune may remove from a table's raw folder."""
    retention = table.settings.retention
    if retention is None or _why_behind(project, table, others):
        return Rules(bool(why_superseded_stay(project, table, others)))
    return Rules(True, _before(dt.datetime.now(dt.UTC), retention), table.key_columns)


def why_superseded_stay(project: Project, table: Table, others: Others) -> str:
    """Why superseded loads can't be removed; empty if they can."""
    # A trial build compares with the published loads, so they are kept until newer ones are built.
    if behind := _why_behind(project, table, others):
        return behind
    if table.settings.retention:
        return f"retention: {shown(table.settings.retention)}"
    by_hand = _readers_by_hand(project, table)
    if table.settings.history or not by_hand:
        return "history: true" if table.settings.history else ""
    return f"read by the hand-written {', '.join(by_hand)}"


def _why_behind(project: Project, table: Table, others: Others) -> str:
    """Which published warehouse lacks a load that is in raw; empty if none does."""
    in_raw = CommitLog(project.raw, table.lake_name).ids_to_stage()
    warehouse = warehouse_of(project)
    staged = warehouse.published.staged_load_ids().get(staging_model_name(table), set())
    if warehouse.exists() and not in_raw <= staged:
        return "newer loads aren't built yet"
    # A table's loads are committed one after the other, so that the newest stands for all.
    newest = max(in_raw, key=float, default=None)
    for other in others:
        if other.newest_loads.get(table.lake_name, newest) != newest:
            return (
                f"newer loads aren't built yet by {other.shown}; if that is gone, delete "
                f"{other.file} in raw"
            )
    return ""


def _readers_by_hand(project: Project, table: Table) -> list[str]:
    """The hand-written models that read the table's raw files and may need any part of them."""
    generated = set(models_over_raw(table))
    by_hand = [
        model.name
        for model in read_models(project)
        if table.lake_name in model.reads_tables and model.name not in generated
    ]
    staging = staging_model_name(table)
    return sorted({*by_hand, *([staging] if is_generated(project, table) is False else [])})


def _before(now: dt.datetime, span: dt.timedelta) -> dt.datetime:
    try:
        return now - span
    except OverflowError:
        return dt.datetime.min.replace(tzinfo=dt.UTC)
