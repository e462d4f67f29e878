"""What is to be built: the models below tables that brought rows, less those that are held back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.generate.generated_files import has_history, is_generated
from lakefeed.transformation.generate.history_models import (
    history_model_name,
    keeps_history,
    models_over_raw,
)
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.manifest import read_models
from lakefeed.transformation.warehouse.connection import (
    histories_pruned_at,
    staged_load_ids,
    staged_models,
)
from lakefeed.transformation.warehouse.publication_state import (
    PublicationState,
    read_publication_state,
)

Layer = Literal["all", "staging", "below staging"]


def _new_name() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True)
class BuildPlan:
    """What to give dbt. `whole` is true where everything is built.

    `changed` and `held_back` are tables by their names in the lake; `due` are models that an
    earlier build left behind. `broken` are selectors of models that a failed build of staging holds
    back; `histories` are the tables that have a model of history beside their staging model.
    `complete_through` says of tables when this run has looked at all of them. `build` names
    the candidate that all this is built in.
    """

    changed: tuple[str, ...]
    held_back: tuple[str, ...]
    whole: bool
    broken: tuple[str, ...] = ()
    due: tuple[str, ...] = ()
    histories: tuple[str, ...] = ()
    complete_through: Mapping[str, str] = field(default_factory=dict, compare=False)
    build: str = field(default_factory=_new_name, compare=False)

    def arguments(self, layer: Layer) -> list[str]:
        """Selectors for one layer; the two layers together run what `all` does, each node once."""
        over_raw = self._over_raw(self.changed)
        staging = [f"{'+' if self.whole else ''}{model}" for model in over_raw]
        below = [f"{model}+" for model in (*over_raw, *self.due)]
        select = [] if self.whole else below
        exclude = [f"{model}+" for model in self._over_raw(self.held_back)] + list(self.broken)
        if layer == "staging":
            select = staging
        elif layer == "below staging":
            exclude = staging + exclude
        return [
            *(["--select", *select] if select else []),
            *(["--exclude", *exclude] if exclude else []),
            # A test that reads both layers belongs to the later one.
            *([] if layer == "all" else ["--indirect-selection", "cautious"]),
        ]

    def _over_raw(self, names: Iterable[str]) -> list[str]:
        names = list(names)
        kept = [f"hst_{name}" for name in names if name in self.histories]
        return [f"stg_{name}" for name in names] + kept

    def without_broken(self, result: BuildResult) -> BuildPlan:
        """The same plan, holding back what lies below the models and tests that failed."""
        broken = [",".join(f"{one}+" for one in node.selectors) for node in result.failures]
        return replace(self, broken=tuple(broken))

    def news(self, project: Project) -> set[str]:
        """The models that there is a reason to build, without those below them."""
        if self.whole:
            return {model for table in project.tables for model in models_over_raw(table)}
        return {*self._over_raw(self.changed), *self.due}


def plan_build(
    project: Project,
    brought_rows: Iterable[str],
    failed: Iterable[str],
    complete_through: Mapping[str, str] | None = None,
) -> BuildPlan | None:
    """What has to be built; None where nothing has.

    A table counts as changed when raw holds committed loads that the published staging has not,
    when raw lost versions that the published history has, or staging has no model of it at all; and
    models are due that an earlier build left behind. So a build that was killed, failed or rolled
    back is made up for by the next run.
    """
    known = {table.lake_name for table in project.tables if table.catalogue}
    held_back = set(failed) & known
    first = not project.warehouse.exists()
    standing = read_publication_state(project.warehouse)
    due = standing.due(held_back)
    over_raw = {model: t.lake_name for t in project.tables for model in models_over_raw(t)}
    behind = {name for model, name in over_raw.items() if model in due}
    changed = {*brought_rows, *_unstaged(project, standing), *behind}
    changed = (known if first else changed & known) - held_back
    below = due - over_raw.keys()
    if not changed and not below:
        return None
    return BuildPlan(
        *(tuple(sorted(changed)), tuple(sorted(held_back)), first),
        due=tuple(sorted(below)),
        histories=tuple(table.lake_name for table in project.tables if keeps_history(table)),
        complete_through=dict(complete_through or {}),
    )


def loads_seen_by_hand(project: Project) -> dict[str, set[str]]:
    """Ids of the loads that raw holds now, by staging model, for those written by hand."""
    return {
        staging_model_name(table): _held(project, table)
        for table in project.tables
        if is_generated(project, table) is False
    }


def _unstaged(project: Project, standing: PublicationState) -> set[str]:
    staged, present = staged_load_ids(project.warehouse), staged_models(project.warehouse)
    pruned_at = histories_pruned_at(project.warehouse)
    by_hand = loads_seen_by_hand(project)
    built = {model.name for model in read_models(project)} if by_hand else set()
    unstaged = set()
    for table in project.tables:
        models, loads = _generated_models(project, table), _held(project, table)
        if any(model not in present or not loads <= staged.get(model, set()) for model in models):
            unstaged.add(table.lake_name)
        history = history_model_name(table)
        if history in pruned_at and pruned_at[history] != _pruned_at(project, table):
            unstaged.add(table.lake_name)
        model = staging_model_name(table)
        if model in built & by_hand.keys() and not _has_seen(
            standing, table.lake_name, by_hand[model]
        ):
            unstaged.add(table.lake_name)
    return unstaged


def _generated_models(project: Project, table: Table) -> list[str]:
    """The models over the table's raw files that keep a ledger: those that aren't a user's own."""
    staging = [staging_model_name(table)] if is_generated(project, table) else []
    history = [history_model_name(table)] if has_history(project, table) else []
    return staging + history


def _pruned_at(project: Project, table: Table) -> str | None:
    return CommitLog(project.raw_url, table.lake_name).pruned_at()


def _held(project: Project, table: Table) -> set[str]:
    """Loads that staging has noted once it is up to date: those that no longer count as well."""
    return CommitLog(project.raw_url, table.lake_name).load_ids()


def _has_seen(standing: PublicationState, lake_name: str, loads: set[str]) -> bool:
    """Whether the model of a table, written by hand, was built when raw held these loads.

    Such a model keeps no ledger, but raw only grows: number and newest of its loads will do.
    """
    noted = standing.tables.get(lake_name)
    newest = max(loads, key=float, default=None)
    return noted is not None and (noted.loads, noted.newest_load) == (len(loads), newest)
