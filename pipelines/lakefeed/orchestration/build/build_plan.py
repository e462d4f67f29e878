"""Plans a build: the models downstream of tables with new rows, minus those held back."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.generate.edited_columns import Declared, column_edits
from lakefeed.transformation.generate.generated_files import has_history, is_generated
from lakefeed.transformation.generate.history_models import (
    history_model_name,
    keeps_history,
    models_over_raw,
)
from lakefeed.transformation.generate.staged_columns import declared_columns
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.manifest import read_models, tables_above
from lakefeed.transformation.model_names import history_model, staging_model
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.declared import warehouse_of

Layer = Literal["all", "staging", "below staging"]


def _new_name() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class BuildPlan:
    """The models that dbt builds.

    Attributes:
        changed: lake names of the tables whose models are built.
        held_back: lake names of the tables that failed to load; models downstream aren't built.
        whole: whether every model is built.
        broken: dbt selectors of the models downstream of failures in the staging layer.
        due: models that an earlier build did not finish.
        histories: lake names of the tables with a history model beside their staging model.
        complete_through: by lake name, the moment (ISO 8601) through which this run read the table.
        edits: what edits of `columns` change in staging, by table.
        build: id of the candidate.
    """

    changed: tuple[str, ...]
    held_back: tuple[str, ...]
    whole: bool
    broken: tuple[str, ...] = ()
    due: tuple[str, ...] = ()
    histories: tuple[str, ...] = ()
    complete_through: Mapping[str, str] = field(default_factory=dict, compare=False)
    edits: tuple[str, ...] = field(default=(), compare=False)
    build: str = field(default_factory=_new_name, compare=False)

    def arguments(self, layer: Layer) -> list[str]:
        """dbt selectors for a layer. The two layers together run each node of `all` once."""
        over_raw = self._over_raw(self.changed)
        staging = [f"{'+' if self.whole else ''}{model}" for model in over_raw]
        below = [f"{model}+" for model in (*over_raw, *self.due)]
        select = [] if self.whole else below
        exclude = [f"{model}+" for model in self.excluded] + list(self.broken)
        if layer == "staging":
            select = staging
        elif layer == "below staging":
            exclude = staging + exclude
        return [
            *(["--select", *select] if select else []),
            *(["--exclude", *exclude] if exclude else []),
            # A test that reads both layers must run with the later one.
            *([] if layer == "all" else ["--indirect-selection", "cautious"]),
        ]

    @property
    def excluded(self) -> list[str]:
        """The models over tables that failed to load; their descendants aren't built either."""
        return self._over_raw(self.held_back)

    def _over_raw(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        histories = [history_model(name) for name in names if name in self.histories]
        return [staging_model(name) for name in names] + histories

    def without_broken(self, result: BuildResult) -> BuildPlan:
        """The same plan without anything downstream of the models and tests that failed."""
        broken = [
            ",".join(f"{selector}+" for selector in node.selectors) for node in result.failures
        ]
        return replace(self, broken=tuple(broken))

    def roots(self, project: Project) -> set[str]:
        """The models that have a reason to be built, without their descendants."""
        if self.whole:
            return {model for table in project.tables for model in models_over_raw(table)}
        return {*self._over_raw(self.changed), *self.due}


def plan_build(
    project: Project,
    brought_rows: Iterable[str],
    failed: Iterable[str],
    complete_through: Mapping[str, str] | None = None,
    *,
    within: Collection[str] | None = None,
) -> BuildPlan | None:
    """Plans the next build; None when everything is up to date.

    Args:
        within: lake names of the only tables to stage, besides those that have no model yet; by
            default all.

    A table has changed if raw has committed loads that the published staging model lacks, if
    versions were pruned that the published history still has, if its staging model doesn't exist,
    or if sources.yaml declares other columns of it. Models that an earlier build did not finish are
    due as well. So the next run makes up for a build that was killed, failed or rolled back.
    """
    known = {table.lake_name for table in project.tables if table.catalogue}
    held_back, brought = set(failed) & known, set(brought_rows)
    warehouse = warehouse_of(project)
    first, published = not warehouse.exists(), _published(warehouse.published)
    due = published.state.due(held_back)
    over_raw = {model: t.lake_name for t in project.tables for model in models_over_raw(t)}
    behind = {name for model, name in over_raw.items() if model in due}
    below = due - over_raw.keys()
    unstaged = _unstaged(project, published, brought, complete_through or {})
    if within is not None:
        unstaged = unstaged & set(within) | _unbuilt(project, published)
        behind, below = behind & set(within), _fed_by(project, below, set(within))
    changed = (known if first else {*brought, *unstaged, *behind} & known) - held_back
    if not changed and not below:
        return None
    return BuildPlan(
        *(tuple(sorted(changed)), tuple(sorted(held_back)), first),
        due=tuple(sorted(below)),
        histories=tuple(
            table.lake_name for table in project.tables if _has_history(project, table)
        ),
        complete_through=dict(complete_through or {}),
        edits=tuple(_edits(project, published, changed)),
    )


def loads_seen_by_hand(project: Project) -> dict[str, set[str]]:
    """Ids of the loads in raw now, by staging model, for hand-written staging models only."""
    return {
        staging_model_name(table): _loads_in_raw(project, table)
        for table in project.tables
        if is_generated(project, table) is False
    }


@dataclass(frozen=True)
class _Published:
    """What the published warehouse contains; see the methods of `Contents`."""

    state: PublicationState
    staged: Mapping[str, set[str]]
    models: set[str]
    pruned_at: Mapping[str, str | None]
    declared: Mapping[str, Mapping[str, Any]]


def _published(contents: Contents) -> _Published:
    # Opening a file with a thousand tables takes longer than all of these queries.
    with contents.open():
        return _Published(
            state=contents.state(),
            staged=contents.staged_load_ids(),
            models=contents.staged_models(),
            pruned_at=contents.histories_pruned_at(),
            declared=contents.declared_columns(),
        )


def _unstaged(
    project: Project,
    published: _Published,
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
        if _declared_otherwise(project, published, table):
            unstaged.add(table.lake_name)
        model = staging_model_name(table)
        if model in built & by_hand.keys() and not _has_seen(
            published.state, table.lake_name, by_hand[model]
        ):
            unstaged.add(table.lake_name)
    return unstaged


def _edits(project: Project, published: _Published, changed: Collection[str]) -> Iterator[str]:
    for table in project.tables:
        if table.lake_name in changed and staging_model_name(table) in published.models:
            otherwise = _declared_otherwise(project, published, table)
            edits = column_edits(*otherwise) if otherwise else ()
            yield from (f"{table.shown}: {edit}" for edit in edits)


def _declared_otherwise(
    project: Project, published: _Published, table: Table
) -> tuple[Declared, Declared] | None:
    """What sources.yaml said about columns of a generated model when it was built, and what it says
    now; None if that is the same."""
    if table.is_paused:
        # Its model stays as it is, whatever became of its settings (generate/paused_tables.py).
        return None
    has_own_names = project.declaration.warehouse.type != "spark"
    built = published.declared.get(staging_model_name(table), {})
    declared = declared_columns(table) if table.catalogue and has_own_names else {}
    is_other = built != declared and is_generated(project, table)
    return (built, declared) if is_other else None


def _has_history(project: Project, table: Table) -> bool:
    """Whether it has a history model; a paused table keeps the one that it has."""
    return has_history(project, table) if table.is_paused else keeps_history(table)


def _unbuilt(project: Project, published: _Published) -> set[str]:
    """The tables with a generated model that doesn't exist yet."""
    return {
        table.lake_name
        for table in project.tables
        if not published.models.issuperset(_generated_models(project, table))
    }


def _fed_by(project: Project, models: set[str], tables: set[str]) -> set[str]:
    """Those of these models that are downstream of any of these tables, or of no table."""
    above = tables_above(read_models(project)) if models else {}
    return {model for model in models if not above.get(model) or above[model] & tables}


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
