"""Plans a build: the models downstream of tables with new rows, minus those held back."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.orchestration.build.unstaged_tables import (
    Published,
    declared_otherwise,
    is_without_history,
    read_published,
    unbuilt_tables,
    unstaged_tables,
)
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.generate.edited_columns import column_edits
from lakefeed.transformation.generate.generated_files import has_history
from lakefeed.transformation.generate.history_models import (
    history_model_name,
    keeps_history,
    models_over_raw,
)
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.manifest import read_models, tables_above
from lakefeed.transformation.model_names import history_model, staging_model
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
        retired: histories that are no longer declared, and leave the warehouse.
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
    retired: tuple[str, ...] = ()
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
    or if sources.yaml declares other columns of it, or its history no more. Models that an earlier
    build did not finish are due as well. So the next run makes up for a build that was killed,
    failed or rolled back.
    """
    known = {table.lake_name for table in project.tables if table.catalogue}
    held_back, brought = set(failed) & known, set(brought_rows)
    warehouse = warehouse_of(project)
    first, published = not warehouse.exists(), read_published(warehouse.published)
    due = published.state.due(held_back)
    over_raw = {model: t.lake_name for t in project.tables for model in models_over_raw(t)}
    behind = {name for model, name in over_raw.items() if model in due}
    below = due - over_raw.keys()
    unstaged = unstaged_tables(project, published, brought, complete_through or {})
    if within is not None:
        unstaged = unstaged & set(within) | unbuilt_tables(project, published)
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
        retired=tuple(
            history_model_name(table)
            for table in project.tables
            if table.lake_name in changed and is_without_history(project, published, table)
        ),
        edits=tuple(_edits(project, published, changed)),
    )


def _edits(project: Project, published: Published, changed: Collection[str]) -> Iterator[str]:
    for table in project.tables:
        if table.lake_name in changed and staging_model_name(table) in published.models:
            otherwise = declared_otherwise(project, published, table)
            edits = [*column_edits(*otherwise)] if otherwise else []
            if is_without_history(project, published, table):
                edits.append(
                    f"removes its history `{history_model_name(table)}` from the warehouse"
                )
            yield from (f"{table.shown}: {edit}" for edit in edits)


def _has_history(project: Project, table: Table) -> bool:
    """Whether it has a history model; a paused table keeps the one that it has."""
    return has_history(project, table) if table.is_paused else keeps_history(table)


def _fed_by(project: Project, models: set[str], tables: set[str]) -> set[str]:
    """Those of these models that are downstream of any of these tables, or of no table."""
    above = tables_above(read_models(project)) if models else {}
    return {model for model in models if not above.get(model) or above[model] & tables}
