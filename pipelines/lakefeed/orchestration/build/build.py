"""Runs dbt: builds and tests the planned models in the candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.disk import storage_errors_named
from lakefeed.errors import BuildFailed, LakefeedError, StorageFailed
from lakefeed.orchestration.build.build_plan import BuildPlan, Layer
from lakefeed.orchestration.build.finalize import finalize_candidate
from lakefeed.orchestration.build.publish import publish_candidate
from lakefeed.orchestration.build.rollback import refuse_if_rolled_back
from lakefeed.orchestration.build.unstaged_tables import loads_seen_by_hand
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.generate.generated_files import stale_files
from lakefeed.transformation.warehouse.base.warehouse import Candidate, Relation
from lakefeed.transformation.warehouse.declared import warehouse_of


def build_changed(
    project: Project, plan: BuildPlan, report: RunReport, layer: Layer = "all"
) -> RunReport:
    """Builds the plan, or one layer of it, and returns the report with the outcome added.

    The result stays invisible to readers until `publish`.

    Raises:
        Refused: the candidate that an earlier layer built is gone.
    """
    warehouse = warehouse_of(project)
    begins = layer != "below staging"
    with warehouse.lock():
        candidate = (warehouse.start if begins else warehouse.started)(plan.build)
        return _build(project, plan, report, layer, plan.arguments(layer), candidate=candidate)


def build_and_publish(project: Project, plan: BuildPlan, report: RunReport) -> RunReport:
    """Builds the plan and publishes it under one lock, so no other build can intervene."""
    return _build_whole(project, plan, report, plan.arguments("all"))


def build_all(project: Project) -> RunReport:
    """Builds, tests and publishes every model.

    Raises:
        BuildFailed: the generated models are out of date, or dbt could not start.
        Refused: the warehouse is rolled back.
    """
    refuse_stale_files(project)
    refuse_if_rolled_back(project)
    report = _build_whole(project, _plan_of_all(project), RunReport(()), [])
    if report.build_error:
        raise report.build_error
    return report


def build_from_scratch(project: Project) -> RunReport:
    """Builds and tests every model from nothing; publishes them only if none failed.

    Raises:
        BuildFailed: the generated models are out of date, or dbt could not start.
        Refused: the warehouse is rolled back.
    """
    refuse_stale_files(project)
    refuse_if_rolled_back(project)
    plan, warehouse = _plan_of_all(project), warehouse_of(project)
    with warehouse.lock():
        candidate = warehouse.start(plan.build, empty=True)
        report = _build(
            project, plan, RunReport(()), "all", [], candidate=candidate, all_or_nothing=True
        )
        if report.build is None or report.build.failures:
            warehouse.discard()
        else:
            report = publish_candidate(project, warehouse, plan.build, report)
    if report.build_error:
        raise report.build_error
    return report


def refuse_stale_files(project: Project) -> None:
    """Refuses to build everything from generated files that are out of date.

    Raises:
        BuildFailed: the generated models are out of date.
    """
    stale = stale_files(project)
    if stale:
        raise BuildFailed(
            f"generated files are out of date with sources.yaml: {', '.join(stale.names[:5])}",
            do="regenerate them: lakefeed sync",
        )


def _plan_of_all(project: Project) -> BuildPlan:
    known = tuple(table.lake_name for table in project.tables if table.catalogue)
    return BuildPlan(known, (), True)


def build_model(project: Project, name: str) -> BuildResult:
    """Rebuilds, tests and publishes one model.

    Raises:
        BuildFailed: dbt could not start, or an upstream model holds this one back.
        Refused: the warehouse is rolled back.
    """
    refuse_if_rolled_back(project)
    plan = BuildPlan((), (), False, due=(name,))
    report = _build_whole(project, plan, RunReport(()), ["--select", name])
    if report.build is None:
        raise report.build_error or BuildFailed(f"{name} could not be built")
    held = warehouse_of(project).published.state().held.get(name)
    if held and not report.build.failures:
        raise BuildFailed(
            f"{name} is held back at its last published version: {held.because}",
            do="fix that first; the next run then builds both",
        )
    return report.build


def _build_whole(
    project: Project, plan: BuildPlan, report: RunReport, arguments: Sequence[str]
) -> RunReport:
    warehouse = warehouse_of(project)
    with warehouse.lock():
        try:
            with storage_errors_named():
                candidate = warehouse.start(plan.build)
                report = _build(project, plan, report, "all", arguments, candidate=candidate)
                if report.build_error is None:
                    return publish_candidate(project, warehouse, plan.build, report)
        except StorageFailed as error:
            report = replace(report, build_error=error, held_back=plan.held_back)
        # The candidate itself may be what fills the disk.
        warehouse.discard()
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
    before, seen = candidate.contents.newest_batch(), loads_seen_by_hand(project)
    try:
        # When only marts are due, there is nothing to stage.
        has_work = plan.whole or plan.changed or layer != "staging"
        nothing = BuildResult((), 0.0)
        result = candidate.run_dbt(arguments) if has_work else nothing
    except LakefeedError as error:
        return replace(report, build_error=error, held_back=plan.held_back)
    result = candidate.keep_failing_rows(result)
    if all_or_nothing and result.failures:
        return replace(report, build=result)
    held = finalize_candidate(project, candidate, plan, result, seen)
    _retire(candidate, plan)
    if layer == "staging":
        # The marts may still be built: whether to hold them back is decided then.
        held = {}
    else:
        candidate.mark_whole()
    return replace(
        report,
        build=result,
        # The staging layer reports its own rows.
        staged={}
        if layer == "below staging"
        else candidate.contents.staged_since(project.tables, before),
        held_back=plan.held_back,
        kept={name: reason.because for name, reason in held.items() if not reason.waits_for},
    )


def _retire(candidate: Candidate, plan: BuildPlan) -> None:
    """Drops the histories that are no longer declared, which would look as if they were current."""
    if plan.retired:
        relations = (Relation(*found) for found in candidate.contents.kinds_of_relations())
        candidate.drop([one for one in relations if one.name in plan.retired])
