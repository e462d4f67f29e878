"""The tables whose published models lack what raw has or sources.yaml declares."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.transformation.generate.edited_columns import Declared
from lakefeed.transformation.generate.generated_files import (
    has_history,
    is_by_hand,
    is_generated,
)
from lakefeed.transformation.generate.history_models import history_model_name
from lakefeed.transformation.generate.staged_columns import declared_columns
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.manifest import read_models
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.publication_state import PublicationState


def loads_seen_by_hand(project: Project) -> dict[str, set[str]]:
    """Ids of the loads in raw now, by staging model, for hand-written staging models only."""
    return {
        staging_model_name(table): _loads_in_raw(project, table)
        for table in project.tables
        if is_generated(project, table) is False
    }


@dataclass(frozen=True)
class Published:
    """What the published warehouse contains; see the methods of `Contents`."""

    state: PublicationState
    staged: Mapping[str, set[str]]
    models: set[str]
    pruned_at: Mapping[str, str | None]
    declared: Mapping[str, Mapping[str, Any]]


def read_published(contents: Contents) -> Published:
    # Opening a file with a thousand tables takes longer than all of these queries.
    with contents.open():
        return Published(
            state=contents.state(),
            staged=contents.staged_load_ids(),
            models=contents.staged_models(),
            pruned_at=contents.histories_pruned_at(),
            declared=contents.declared_columns(),
        )


def unstaged_tables(
    project: Project,
    published: Published,
    certain: set[str],
    just_read: Collection[str],
) -> set[str]:
    """The tables with loads that their models lack, besides those that certainly have some.

    Args:
        just_read: tables whose commit logs this run has read, so that they aren't listed again.
    """
    by_hand = loads_seen_by_hand(project)
    built = {model.name for model in read_models(project)} if by_hand else set()
    unstaged = set()
    for table in project.tables:
        if table.lake_name in certain:
            continue
        models = _generated_models(project, table)
        if any(model not in published.models for model in models) or not _are_staged(
            CommitLog(project.raw, table.lake_name),
            [published.staged.get(model, set()) for model in models],
            just_read=table.lake_name in just_read,
        ):
            unstaged.add(table.lake_name)
        history = history_model_name(table)
        known = published.pruned_at
        if history in known and known[history] != _pruned_at(project, table):
            unstaged.add(table.lake_name)
        if declared_otherwise(project, published, table):
            unstaged.add(table.lake_name)
        if is_without_history(project, published, table):
            unstaged.add(table.lake_name)
        model = staging_model_name(table)
        if model in built & by_hand.keys() and not _has_seen(
            published.state, table.lake_name, by_hand[model]
        ):
            unstaged.add(table.lake_name)
    return unstaged


def declared_otherwise(
    project: Project, published: Published, table: Table
) -> tuple[Declared, Declared] | None:
    """What sources.yaml said about columns of a generated model when it was built, and what it says
    now; None if that is the same."""
    if table.is_paused:
        # Its model stays as it is, whatever became of its settings (generate/paused_tables.py).
        return None
    has_own = not project.declaration.warehouse.has_raws_columns
    built = published.declared.get(staging_model_name(table), {})
    declared = declared_columns(table) if table.catalogue and has_own else {}
    is_other = built != declared and is_generated(project, table)
    return (built, declared) if is_other else None


def is_without_history(project: Project, published: Published, table: Table) -> bool:
    """Whether the warehouse has a history of it that nothing builds any more, since it no longer
    declares one."""
    model = history_model_name(table)
    is_off = not (table.settings.history or table.is_paused)
    return is_off and model in published.models and not is_by_hand(project, model)


def unbuilt_tables(project: Project, published: Published) -> set[str]:
    """The tables with a generated model that doesn't exist yet."""
    return {
        table.lake_name
        for table in project.tables
        if not published.models.issuperset(_generated_models(project, table))
    }


def _generated_models(project: Project, table: Table) -> list[str]:
    """The generated models over the table's raw files: these record which loads they contain."""
    staging = [staging_model_name(table)] if is_generated(project, table) else []
    history = [history_model_name(table)] if has_history(project, table) else []
    return staging + history


def _pruned_at(project: Project, table: Table) -> str | None:
    note = CommitLog(project.raw, table.lake_name).pruned_note()
    return note.pruned_at if note else None


def _loads_in_raw(project: Project, table: Table) -> set[str]:
    """Loads that an up-to-date staging model has recorded, superseded ones included."""
    return CommitLog(project.raw, table.lake_name).ids_to_stage()


def _are_staged(log: CommitLog, staged: list[set[str]], *, just_read: bool) -> bool:
    """Whether each of these sets has all loads in raw that are to be staged."""
    if not staged:
        return True
    common = set.intersection(*staged)
    seen = log.ids_seen() if just_read else None
    in_raw = log.committed_ids() if seen is None else seen
    # Loads without a manifest and unfinished first loads don't count, which one more look tells.
    return in_raw <= common or log.ids_to_stage() <= common


def _has_seen(published: PublicationState, lake_name: str, loads: set[str]) -> bool:
    """Whether a table's hand-written staging model was built when raw had exactly these loads.

    Such a model doesn't record its loads, but raw only grows: count and newest load identify them.
    """
    state = published.tables.get(lake_name)
    newest = max(loads, key=float, default=None)
    return state is not None and (state.loads, state.newest_load) == (len(loads), newest)
