"""`lakefeed build --changed-since`: builds and tests what a change affects, in a copy."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.orchestration.build.build import refuse_stale_files
from lakefeed.orchestration.impact.git_revision import at_revision, state_of
from lakefeed.transformation.dbt_adapter.runner import BuildResult, writing_into
from lakefeed.transformation.dbt_adapter.state_diff import MODELS, TESTS, Comparison, compare_states
from lakefeed.transformation.generate.history_models import models_over_raw
from lakefeed.transformation.warehouse.declared import warehouse_of


@dataclass(frozen=True)
class TrialBuildReport:
    """The outcome of a trial build; `build` is None if the change affects nothing that dbt builds.

    Attributes:
        changed: the models that differ from the revision.
        below: the descendants of the changed models.
        lacking: upstream models that were missing from the copy and were built as well.
        unloaded: tables without a load in raw: they are empty and their tests are skipped.
        is_copy: false if nothing was published yet, so that everything is built from scratch.
        place: where the result is; empty where nothing stays of a trial.
    """

    revision: str = ""
    commit: str = ""
    changed: tuple[str, ...] = ()
    below: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    unloaded: tuple[Table, ...] = ()
    is_copy: bool = False
    place: str = ""
    build: BuildResult | None = None

    @property
    def path(self) -> Path:
        """Where the result is, if it is a file."""
        return Path(self.place)

    @property
    def exit_code(self) -> int:
        return EXIT_PARTLY_FAILED if self.build and self.build.failures else EXIT_OK

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        return {
            "exit_code": self.exit_code,
            "revision": self.revision,
            "commit": self.commit,
            "changed": list(self.changed),
            "below": list(self.below),
            "lacking": list(self.lacking),
            "unloaded": [table.shown for table in self.unloaded],
            "is_copy": self.is_copy,
            "warehouse": self.place or None,
            "build": self.build.as_json() if self.build else None,
        }


def build_changed_since(project: Project, revision: str) -> TrialBuildReport:
    """Builds the models changed since a git revision and their descendants; publishes nothing.

    They are built from scratch, as in a rebuild, in a copy of the published warehouse and from the
    same loads, so that any difference comes from the change. Upstream models stay as published;
    those missing from the copy are built.

    Side effects: replaces `data/changed`. On Spark, the copy is in schemas of its own, which are
    dropped at the end.

    Raises:
        DeclarationError: git doesn't know the revision, or its declaration can't be read.
        BuildFailed: the generated models are out of date, or dbt could not start.
    """
    refuse_stale_files(project)
    folder = project.data / "changed"
    shutil.rmtree(folder, ignore_errors=True)
    apart, target = warehouse_of(project).apart(folder), folder / "target"
    variables = _as_of(project)
    with at_revision(project, revision) as before:
        state = state_of(before, folder / "before")
        comparison = compare_states(project, state, target, variables)
    report = _planned(project, comparison)
    report = replace(report, revision=revision, commit=before.commit)
    if _is_built(comparison):
        arguments = [*_selectors(report, comparison, state), *writing_into(project, target)]
        try:
            apart.fill()
            result = apart.run_dbt("build", [*arguments, *variables, "--full-refresh"])
            report = replace(report, build=apart.keep_failing_rows(result))
        finally:
            place = apart.leave()
        report = replace(report, place=place)
    for parsed in (target, folder / "before"):
        shutil.rmtree(parsed, ignore_errors=True)
    return report


def _as_of(project: Project) -> list[str]:
    """dbt arguments that limit the build to the published loads.

    Otherwise later loads would appear in the models built here but not in the rest of the copy.
    """
    moment = warehouse_of(project).published.newest_staged_snapshot()
    return ["--vars", json.dumps({"lakefeed_as_of": moment})] if moment else []


def _planned(project: Project, comparison: Comparison) -> TrialBuildReport:
    modified = set(comparison.modified)
    below = comparison.below(modified)
    warehouse = warehouse_of(project)
    present = warehouse.published.relations()
    lacking = {
        id
        for id in comparison.above(modified | below)
        if (node := comparison.now.get(id)) and node.stands_at and node.stands_at not in present
    }

    def models(ids: set[str]) -> tuple[str, ...]:
        named = (comparison.now[id] for id in ids)
        return tuple(sorted(node.name for node in named if node.kind in MODELS))

    return TrialBuildReport(
        changed=models(modified),
        below=models(below),
        lacking=models(lacking),
        unloaded=tuple(
            table
            for table in project.tables
            if not CommitLog(project.raw, table.lake_name).ids_to_stage()
            and {*models(modified | below | lacking)}.intersection(models_over_raw(table))
        ),
        is_copy=warehouse.exists(),
    )


def _is_built(comparison: Comparison) -> bool:
    touched = comparison.modified | comparison.below(set(comparison.modified))
    return any(comparison.now[id].kind in (*MODELS, *TESTS) for id in touched)


def _selectors(report: TrialBuildReport, comparison: Comparison, state: Path | None) -> list[str]:
    """Selects the modified nodes, their descendants and tests, and the missing upstream models.

    Tests on models of unloaded tables are excluded: on an empty table they prove nothing.
    """
    empty = {model for table in report.unloaded for model in models_over_raw(table)}
    untested = [
        node.name
        for node in comparison.now.values()
        if node.kind == "test" and empty.intersection(_name(id) for id in node.reads)
    ]
    changed = ["--state", str(state), "--select", "state:modified+", *report.lacking]
    return [
        *([*changed, "--indirect-selection", "empty"] if state else []),
        *(["--exclude", *untested] if untested else []),
    ]


def _name(id: str) -> str:
    return id.split(".")[2]
