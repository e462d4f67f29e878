"""Finalizes a candidate: restores held-back models and records the state of all of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.orchestration.build.build_plan import BuildPlan
from lakefeed.orchestration.build.hold_back import hold_back
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.manifest import Model, read_models, tables_above, with_those_below
from lakefeed.transformation.warehouse.base.publication_state import (
    HeldBack,
    ModelState,
    PublicationState,
    TableState,
)
from lakefeed.transformation.warehouse.base.warehouse import Candidate


def finalize_candidate(
    project: Project,
    candidate: Candidate,
    plan: BuildPlan,
    result: BuildResult,
    seen: Mapping[str, set[str]],
) -> dict[str, HeldBack]:
    """Restores the models that must not be published and records the candidate's state.

    Args:
        seen: ids of the loads in raw when the build began, by staging model, for hand-written
            staging models, which don't record their loads.

    Returns:
        The models held back, with reasons.
    """
    models, roots = read_models(project), plan.roots(project)
    before = candidate.contents.state()
    failed = [project.table(name) for name in plan.held_back]
    held = hold_back(models, result, roots, failed, before.held)
    touched = {node.name for node in result.nodes if node.status != "skipped"} & held.keys()
    if touched:
        candidate.put_back([model for model in models if model.name in touched])
    built = {node.name for node in result.nodes if node.status == "success"} - held.keys()
    staged = {**candidate.contents.staged_load_ids(), **seen}
    by_model = {staging_model_name(table): table for table in project.tables}
    rebuilt = [model for model in models if model.name in built and model.name in by_model]
    counts = candidate.contents.row_counts((m.schema, m.identifier) for m in rebuilt)
    fresh = {
        by_model[model.name].lake_name: _fresh(
            project,
            by_model[model.name],
            staged.get(model.name, set()),
            counts.get((model.schema, model.identifier)),
        )
        for model in rebuilt
    }
    tables = _tables_after(project.tables, before.tables, fresh, held, plan.complete_through)
    not_built = held.keys() | (with_those_below(models, roots) - built)
    after = _models_after(models, before.models, tables, built, not_built)
    states = {name: replace(state, held=held.get(name)) for name, state in after.items()}
    candidate.write_state(PublicationState(tables, states, before.published_at))
    return held


def _fresh(project: Project, table: Table, ids: set[str], rows: int | None) -> TableState:
    """The state of a table whose staging model was just built from these loads."""
    loads = CommitLog(project.raw, table.lake_name).described(ids)
    complete = [load for load in loads if not load.is_backfill]
    return TableState(
        shown=table.shown,
        complete_through=max(
            (dt.datetime.fromisoformat(load.snapshot_at) for load in complete), default=None
        ),
        loads=len(ids),
        newest_load=max(ids, key=float, default=None),
        rows=rows,
        built_at=dt.datetime.now(dt.UTC),
    )


def _tables_after(
    declared: Sequence[Table],
    before: Mapping[str, TableState],
    fresh: Mapping[str, TableState],
    held: Collection[str],
    read_through: Mapping[str, str],
) -> dict[str, TableState]:
    """The tables' states after a build. A probe without new rows advances one as a load does."""
    after = {}
    for table in declared:
        name = table.lake_name
        states = [found[name] for found in (fresh, before) if name in found]
        times = [state.complete_through for state in states]
        if name in read_through and staging_model_name(table) not in held:
            times.append(dt.datetime.fromisoformat(read_through[name]))
        if states:
            through = max((time for time in times if time), default=None)
            # A paused table's entry may no longer say it.
            known = before[name].sees_deletes if name in before else None
            sees_deletes = known if table.is_paused else table.sees_deletes
            after[name] = replace(states[0], complete_through=through, sees_deletes=sees_deletes)
    return after


def _models_after(
    models: Sequence[Model],
    before: Mapping[str, ModelState],
    tables: Mapping[str, TableState],
    built: Collection[str],
    not_built: Collection[str],
) -> dict[str, ModelState]:
    """The models' states after a build. A model is as complete as its least complete table."""
    now = dt.datetime.now(dt.UTC)
    after = {}
    for name, read in tables_above(models).items():
        state = before.get(name, ModelState())
        if name in built:
            state = replace(state, built_at=now, published_at=None)
        if name not in not_built:
            through = [tables[t].complete_through if t in tables else None for t in read]
            state = replace(state, complete_through=_oldest(through))
        after[name] = state
    return after


def _oldest(times: Sequence[dt.datetime | None]) -> dt.datetime | None:
    """The earliest time; None if any is unknown."""
    known = [time for time in times if time]
    return min(known) if known and len(known) == len(times) else None
