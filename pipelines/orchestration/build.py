"""When dbt runs, and on what: the models below tables that brought rows, less those held back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.declaration.project import Project
from pipelines.declaration.tables import Table
from pipelines.errors import BuildFailed, LakefeedError
from pipelines.loading.commits import CommitLog
from pipelines.orchestration.report import RunReport
from pipelines.orchestration.unbuilt import Unbuilt, read_unbuilt, write_unbuilt
from pipelines.transformation.dbt import BuildResult, run_dbt
from pipelines.transformation.files import is_generated, stale_files
from pipelines.transformation.staging import staging_model_name
from pipelines.transformation.warehouse import (
    StagedTable,
    newest_batch,
    staged_load_ids,
    staged_models,
    staged_since,
    warehouse_lock,
)

Layer = Literal["all", "staging", "below staging"]


@dataclass(frozen=True)
class BuildPlan:
    """What to give dbt. `whole` is true where everything is built.

    `broken` are selectors of models that a failed build of staging holds back.
    """

    changed: tuple[str, ...]
    held_back: tuple[str, ...]
    whole: bool
    broken: tuple[str, ...] = ()

    def arguments(self, layer: Layer) -> list[str]:
        """Selectors for one layer; the two layers together run what `all` does, each node once."""
        staging = [f"{'+' if self.whole else ''}stg_{name}" for name in self.changed]
        select = [] if self.whole else [f"stg_{name}+" for name in self.changed]
        exclude = [f"stg_{name}+" for name in self.held_back] + list(self.broken)
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

    def without_broken(self, result: BuildResult) -> BuildPlan:
        """The same plan, holding back what lies below the models and tests that failed."""
        broken = [",".join(f"{one}+" for one in node.selectors) for node in result.failures]
        return replace(self, broken=tuple(broken))


def plan_build(
    project: Project, brought_rows: Iterable[str], failed: Iterable[str]
) -> BuildPlan | None:
    """What has to be built; None where nothing has.

    A table counts as changed when raw holds committed loads that staging has not, or staging has no
    model of it at all, so that a build that was killed or failed is made up for by the next run.
    """
    known = {table.lake_name for table in project.tables if table.catalogue}
    held_back = set(failed) & known
    first = not project.warehouse.exists()
    changed = {*brought_rows, *_unstaged(project), *read_unbuilt(project).due(held_back)}
    changed = (known if first else changed & known) - held_back
    if not changed:
        return None
    return BuildPlan(tuple(sorted(changed)), tuple(sorted(held_back)), first)


def build_changed(
    project: Project, plan: BuildPlan, report: RunReport, layer: Layer = "all"
) -> RunReport:
    """Builds what the plan says, all of it or one layer, and adds the outcome to the report."""
    with warehouse_lock(project):
        before = newest_batch(project.warehouse)
        unbuilt = read_unbuilt(project).with_changed(plan.changed)
        write_unbuilt(project, unbuilt)
        try:
            result = run_dbt(project, "build", plan.arguments(layer), project.warehouse)
        except LakefeedError as error:
            return replace(report, build_error=error, held_back=plan.held_back)
        if layer != "staging" and not result.failures and not plan.broken:
            write_unbuilt(project, unbuilt.built_but_for(plan.held_back))
        staged = staged_since(project.warehouse, list(project.tables), before)
    return replace(report, build=result, staged=staged, held_back=plan.held_back)


def build_all(
    project: Project, arguments: Sequence[str] = ()
) -> tuple[BuildResult, dict[str, StagedTable]]:
    """Builds and tests every model.

    Raises:
        BuildFailed: the generated models don't fit the declaration, or dbt could not start.
    """
    stale = stale_files(project)
    if stale:
        raise BuildFailed(
            f"generated files don't fit sources.yaml: {', '.join(stale.names[:5])}",
            do="bring them up with: lakefeed sync",
        )
    with warehouse_lock(project):
        before = newest_batch(project.warehouse)
        result = run_dbt(project, "build", arguments, project.warehouse)
        if not result.failures:
            write_unbuilt(project, Unbuilt())
        return result, staged_since(project.warehouse, list(project.tables), before)


def build_model(project: Project, name: str) -> BuildResult:
    """Builds and tests one model again.

    Raises:
        BuildFailed: dbt could not start.
    """
    with warehouse_lock(project):
        return run_dbt(project, "build", ["--select", name], project.warehouse)


def _unstaged(project: Project) -> set[str]:
    staged, present = staged_load_ids(project.warehouse), staged_models(project.warehouse)
    return {
        table.lake_name
        for table in project.tables
        if is_generated(project, table)
        and (
            staging_model_name(table) not in present
            or not _held(project, table) <= staged.get(staging_model_name(table), set())
        )
    }


def _held(project: Project, table: Table) -> set[str]:
    """Loads that staging has noted once it is up to date: those that no longer count as well."""
    return CommitLog(project.raw_url, table.lake_name).load_ids()
