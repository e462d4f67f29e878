"""When dbt runs: what a plan says is built and tested in the candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.disk import storage_errors_named
from lakefeed.errors import BuildFailed, LakefeedError, StorageFailed
from lakefeed.orchestration.build.build_plan import BuildPlan, Layer, loads_seen_by_hand
from lakefeed.orchestration.build.finalize import finalize_candidate
from lakefeed.orchestration.build.publish import publish_candidate
from lakefeed.orchestration.build.rollback import refuse_if_rolled_back
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.transformation.dbt_adapter.failing_rows import failing_rows_of, keep_failing_rows
from lakefeed.transformation.dbt_adapter.runner import BuildResult, run_dbt
from lakefeed.transformation.generate.generated_files import stale_files
from lakefeed.transformation.warehouse.candidate import (
    Candidate,
    discard_candidate,
    mark_whole,
    open_candidate,
    start_candidate,
)
from lakefeed.transformation.warehouse.connection import newest_batch, staged_since, warehouse_lock
from lakefeed.transformation.warehouse.publication_state import read_publication_state


def build_changed(
    project: Project, plan: BuildPlan, report: RunReport, layer: Layer = "all"
) -> RunReport:
    """Builds what the plan says, all of it or one layer, and adds the outcome to the report.

    Nothing of it can be seen before it is published (`publish`).

    Raises:
        Refused: the candidate of the layer before is gone.
    """
    begins = layer != "below staging"
    with warehouse_lock(project):
        candidate = (start_candidate if begins else open_candidate)(project, plan.build)
        return _build(project, plan, report, layer, plan.arguments(layer), candidate=candidate)


def build_and_publish(project: Project, plan: BuildPlan, report: RunReport) -> RunReport:
    """Builds what the plan says, and publishes it, with no other build in between."""
    return _build_whole(project, plan, report, plan.arguments("all"))


def build_all(project: Project) -> RunReport:
    """Builds and tests every model, and publishes them.

    Raises:
        BuildFailed: the generated models don't fit the declaration, or dbt could not start.
        Refused: the warehouse is rolled back.
    """
    refuse_stale_files(project)
    refuse_if_rolled_back(project)
    report = _build_whole(project, _plan_of_all(project), RunReport(()), [])
    if report.build_error:
        raise report.build_error
    return report


def build_anew(project: Project) -> RunReport:
    """Builds and tests every model in an empty file, and publishes that where nothing failed.

    Raises:
        BuildFailed: the generated models don't fit the declaration, or dbt could not start.
        Refused: the warehouse is rolled back.
    """
    refuse_stale_files(project)
    refuse_if_rolled_back(project)
    plan = _plan_of_all(project)
    with warehouse_lock(project):
        candidate = start_candidate(project, plan.build, empty=True)
        report = _build(
            project, plan, RunReport(()), "all", [], candidate=candidate, all_or_nothing=True
        )
        if report.build is None or report.build.failures:
            discard_candidate(project)
        else:
            report = publish_candidate(project, plan.build, report)
    if report.build_error:
        raise report.build_error
    return report


def refuse_stale_files(project: Project) -> None:
    """What builds all builds what is declared.

    Raises:
        BuildFailed: the generated models don't fit the declaration.
    """
    stale = stale_files(project)
    if stale:
        raise BuildFailed(
            f"generated files don't fit sources.yaml: {', '.join(stale.names[:5])}",
            do="bring them up with: lakefeed sync",
        )


def _plan_of_all(project: Project) -> BuildPlan:
    known = tuple(table.lake_name for table in project.tables if table.catalogue)
    return BuildPlan(known, (), True)


def build_model(project: Project, name: str) -> BuildResult:
    """Builds and tests one model again, and publishes it.

    Raises:
        BuildFailed: dbt could not start, or what the model reads holds it back.
        Refused: the warehouse is rolled back.
    """
    refuse_if_rolled_back(project)
    plan = BuildPlan((), (), False, due=(name,))
    report = _build_whole(project, plan, RunReport(()), ["--select", name])
    if report.build is None:
        raise report.build_error or BuildFailed(f"{name} could not be built")
    held = read_publication_state(project.warehouse).held.get(name)
    if held and not report.build.failures:
        raise BuildFailed(
            f"{name} stays as it was published last: {held.because}",
            do="mend that first; the next run then builds both",
        )
    return report.build


def _build_whole(
    project: Project, plan: BuildPlan, report: RunReport, arguments: Sequence[str]
) -> RunReport:
    with warehouse_lock(project):
        try:
            with storage_errors_named():
                candidate = start_candidate(project, plan.build)
                report = _build(project, plan, report, "all", arguments, candidate=candidate)
                if report.build_error is None:
                    return publish_candidate(project, plan.build, report)
        except StorageFailed as error:
            report = replace(report, build_error=error, held_back=plan.held_back)
        # It may be what fills the disk.
        discard_candidate(project)
        return report


def _build(
    project: Project,
    plan: BuildPlan,
    report: RunReport,
    layer: Layer,
    arguments: Sequence[str],
    *,
    candidate: Candidate,
    all_or_nothing: bool = False,
) -> RunReport:
    before, seen = newest_batch(candidate.path), loads_seen_by_hand(project)
    try:
        # Nothing is to be staged where models alone are due.
        has_work = plan.whole or plan.changed or layer != "staging"
        nothing = BuildResult((), 0.0)
        result = run_dbt(project, "build", arguments, candidate.path) if has_work else nothing
    except LakefeedError as error:
        return replace(report, build_error=error, held_back=plan.held_back)
    result = keep_failing_rows(project, candidate.path, result, failing_rows_of(project.warehouse))
    if all_or_nothing and result.failures:
        return replace(report, build=result)
    held = finalize_candidate(project, candidate.path, plan, result, seen)
    if layer == "staging":
        # The marts have their chance yet.
        held = {}
    else:
        mark_whole(candidate)
    return replace(
        report,
        build=result,
        # What the layer before staged is in its own report.
        staged={}
        if layer == "below staging"
        else staged_since(candidate.path, list(project.tables), before),
        held_back=plan.held_back,
        kept={name: one.because for name, one in held.items() if not one.waits_for},
    )
