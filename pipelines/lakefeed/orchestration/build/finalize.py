"""What a build leaves in the candidate: what failed is put back, and it is noted how all stands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.orchestration.build.build_plan import BuildPlan
from lakefeed.orchestration.build.hold_back import hold_back
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.manifest import Model, read_models, tables_above, with_those_below
from lakefeed.transformation.warehouse.connection import count_rows, staged_load_ids
from lakefeed.transformation.warehouse.publication_state import (
    HeldBack,
    ModelState,
    PublicationState,
    TableState,
    read_publication_state,
    write_publication_state,
)
from lakefeed.transformation.warehouse.restore import restore_models


def finalize_candidate(
    project: Project,
    candidate: Path,
    plan: BuildPlan,
    result: BuildResult,
    seen: Mapping[str, set[str]],
) -> dict[str, HeldBack]:
    """Puts back what must not be published, notes how the candidate stands, returns what is held.

    Args:
        seen: ids of the loads that raw held when the build began, by staging model, for those
            written by hand: they keep no ledger.
    """
    models, before, news = (
        read_models(project),
        read_publication_state(candidate),
        plan.news(project),
    )
    failed = [project.table(name) for name in plan.held_back]
    held = hold_back(models, result, news, failed, before.held)
    touched = {node.name for node in result.nodes if node.status != "skipped"} & held.keys()
    if touched:
        restore_models(
            candidate, project.warehouse, [model for model in models if model.name in touched]
        )
    built = {node.name for node in result.nodes if node.status == "success"} - held.keys()
    ledger = {**staged_load_ids(candidate), **seen}
    fresh = {
        table.lake_name: _fresh(project, candidate, table, model, ledger.get(model.name, set()))
        for model in models
        for table in project.tables
        if model.name in built and model.name == staging_model_name(table)
    }
    tables = _tables_after(project.tables, before.tables, fresh, held, plan.complete_through)
    as_it_was = held.keys() | (with_those_below(models, news) - built)
    after = _models_after(models, before.models, tables, built, as_it_was)
    noted = {name: replace(stood, held=held.get(name)) for name, stood in after.items()}
    write_publication_state(candidate, PublicationState(tables, noted, before.published_at))
    return held


def _fresh(
    project: Project, candidate: Path, table: Table, model: Model, ids: set[str]
) -> TableState:
    """A table whose staging model was built just now and holds these loads."""
    loads = CommitLog(project.raw_url, table.lake_name).loads()
    complete = [load for load in loads if load.load_id in ids and not load.is_backfill]
    return TableState(
        table.shown,
        max((dt.datetime.fromisoformat(load.snapshot_at) for load in complete), default=None),
        len(ids),
        max(ids, key=float, default=None),
        count_rows(candidate, model.schema, model.identifier),
        dt.datetime.now(dt.UTC),
    )


def _tables_after(
    declared: Sequence[Table],
    before: Mapping[str, TableState],
    fresh: Mapping[str, TableState],
    held: Collection[str],
    looked_at: Mapping[str, str],
) -> dict[str, TableState]:
    """A look that found nothing new tells as much as a load does, and stays true."""
    after = {}
    for table in declared:
        name = table.lake_name
        stood = [found[name] for found in (fresh, before) if name in found]
        times = [one.complete_through for one in stood]
        if name in looked_at and staging_model_name(table) not in held:
            times.append(dt.datetime.fromisoformat(looked_at[name]))
        if stood:
            through = max((time for time in times if time), default=None)
            after[name] = replace(
                stood[0], complete_through=through, sees_deletes=table.sees_deletes
            )
    return after


def _models_after(
    models: Sequence[Model],
    before: Mapping[str, ModelState],
    tables: Mapping[str, TableState],
    built: Collection[str],
    as_it_was: Collection[str],
) -> dict[str, ModelState]:
    """All but what is as it was are as complete as the tables that they read."""
    now = dt.datetime.now(dt.UTC)
    after = {}
    for name, read in tables_above(models).items():
        stood = before.get(name, ModelState())
        if name in built:
            stood = replace(stood, built_at=now, published_at=None)
        if name not in as_it_was:
            through = [tables[t].complete_through if t in tables else None for t in read]
            stood = replace(stood, complete_through=_oldest(through))
        after[name] = stood
    return after


def _oldest(times: Sequence[dt.datetime | None]) -> dt.datetime | None:
    """None where any of them isn't known."""
    known = [time for time in times if time]
    return min(known) if known and len(known) == len(times) else None
