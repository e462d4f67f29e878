"""`lakefeed plan`: what the next run would do, and such a plan as a file to be carried out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakefeed.declaration.environment.variables import environment
from lakefeed.declaration.explain import NOTHING, effective_settings
from lakefeed.declaration.project import Project
from lakefeed.documents import Format, to_fields
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED, Refused
from lakefeed.loading.forecast.planned_load import LoadPreview
from lakefeed.loading.sessions.duckdb_engine import CONCURRENT_READS
from lakefeed.orchestration.build.build_plan import BuildPlan, plan_build
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.ingest.plan_parts import (
    LongestStatement,
    SourceSessions,
    longest_of,
    sessions_of,
    with_followers,
)
from lakefeed.orchestration.ingest.preview import preview_loads
from lakefeed.orchestration.project.selection import select_tables
from lakefeed.textfile import replace_text
from lakefeed.transformation.manifest import Model, read_models, tests_of, with_those_below
from lakefeed.transformation.model_names import history_model, staging_model
from lakefeed.transformation.warehouse.declared import warehouse_of

# What of a load must be as it was planned. Its window and the number of its rows may differ.
_COMPARED = {
    "mode": "mode",
    "columns": "columns",
    "primary_key": "primary key",
    "cursor": "cursor",
    "reads_whole": "whole table",
    "notes": "notes",
}
# The settings that change nothing of what a run does.
_NOT_COMPARED = ("freshness", "tags")


@dataclass(frozen=True)
class RunPlan:
    """What a run would do if it began now.

    Attributes:
        loads: what it would read of each table.
        models: the models that it would build if all of these tables brought rows, without seeds.
        tests: how many tests it would run with them.
        is_first: whether nothing is published yet, so that it would build all models.
        edits: what edits of `columns` change in staging, by table.
        settings: the effective settings of each table by name, as `lakefeed explain` shows them.
        paused: the tables that it would leave alone, since they are paused.
        sessions: how many it would open on each source.
        longest: its longest statement; None if no planner can tell.
        environment: the environment whose databases and lake were asked; empty without one. None
            in plans by versions that didn't record it.
    """

    request: LoadRequest
    loads: tuple[LoadPreview, ...]
    models: tuple[str, ...] = ()
    tests: int = 0
    is_first: bool = False
    edits: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    paused: tuple[str, ...] = ()
    sessions: tuple[SourceSessions, ...] = ()
    longest: LongestStatement | None = None
    environment: str | None = None

    @property
    def exit_code(self) -> int:
        """1 if a table can't be loaded, or 0."""
        return EXIT_PARTLY_FAILED if any(load.error for load in self.loads) else EXIT_OK

    def as_json(self) -> dict[str, Any]:
        return {"exit_code": self.exit_code, **to_fields(self)}


PLAN = Format(RunPlan, "plan", "1.3", indent=1)


def plan_run(project: Project, request: LoadRequest) -> RunPlan:
    """What `run` would do for this request. Reads no rows and changes nothing.

    Raises:
        DeclarationError: a selector or the range is invalid.
        StorageFailed: a symbolic link points to a missing folder.
    """
    all_models = read_models(project)
    previews = preview_loads(project, request, with_estimates=True)
    loads = tuple(with_followers(previews, all_models))
    brought = [load.lake_name for load in loads if not load.error]
    failed = [load.lake_name for load in loads if load.error]
    is_first = not warehouse_of(project).exists()
    build = plan_build(project, brought, failed)
    models, tests = _to_build(project, all_models, build)
    possible = [load for load in loads if not load.error]
    return RunPlan(
        request,
        loads,
        models=(*models, *_models_to_generate(all_models, loads)),
        tests=len(tests),
        is_first=is_first,
        edits=build.edits if build else (),
        settings=_settings_of(project, loads),
        paused=tuple(t.shown for t in select_tables(project, request.select) if t.is_paused),
        sessions=sessions_of(project, possible, CONCURRENT_READS),
        longest=longest_of(possible),
        environment=environment(),
    )


def _settings_of(project: Project, loads: Iterable[LoadPreview]) -> dict[str, dict[str, str]]:
    planned = {load.lake_name for load in loads}
    tables = (table for table in project.tables if table.lake_name in planned)
    return {table.shown: dict(effective_settings(table)) for table in tables}


def _to_build(
    project: Project, all_models: Sequence[Model], build: BuildPlan | None
) -> tuple[list[str], set[str]]:
    """The models that dbt would build, and the tests that it would run."""
    if build is None:
        return [], set()
    models = [model for model in all_models if not model.is_seed]
    held = with_those_below(models, build.excluded)
    built = with_those_below(models, build.roots(project))
    names = [m.name for m in models if m.name not in held and (build.whole or m.name in built)]
    return names, tests_of(models, names, held)


def _models_to_generate(models: Iterable[Model], loads: Iterable[LoadPreview]) -> Iterator[str]:
    """The models that tables lack, since they were declared after files were last generated."""
    present = {model.name for model in models}
    for load in loads:
        staging, history = staging_model(load.lake_name), history_model(load.lake_name)
        if not load.error:
            wanted = (staging, history) if load.history else (staging,)
            yield from (model for model in wanted if model not in present)


def save_plan(plan: RunPlan, path: Path) -> None:
    """Writes a plan to a file, to be reviewed and carried out by `run --plan`."""
    replace_text(path, PLAN.text(plan))


def reviewed_request(project: Project, path: Path) -> LoadRequest:
    """The request of a saved plan, if a run would still do what the plan says.

    Raises:
        Refused: it would do something else, or the file isn't a plan.
        NewerFormat: a newer version of Lakefeed wrote the file.
    """
    try:
        reviewed = PLAN.read(path.read_bytes(), str(path))
    except (OSError, ValueError) as error:
        raise Refused(
            f"not a plan that can be read: {' '.join(str(error).split())}",
            where=str(path),
            do=f"write one: lakefeed plan --save {path}",
        ) from None
    _refuse_other_environment(reviewed, path)
    loads = tuple(preview_loads(project, reviewed.request))
    now = RunPlan(reviewed.request, loads, settings=_settings_of(project, loads))
    differences = list(differences_of(reviewed, now))
    if differences:
        raise Refused(
            "a run would no longer do what this plan says:\n" + "\n".join(differences),
            where=str(path),
            do=f"review a new plan: lakefeed plan --save {path}",
        )
    return reviewed.request


def _refuse_other_environment(reviewed: RunPlan, path: Path) -> None:
    """Refuses a plan of other databases, whose tables may be read in the same way."""
    was, now = reviewed.environment, environment()
    if was is None or was == now:
        return
    here = f"the environment `{now}`" if now else "no environment"
    planned = f"the environment `{was}`" if was else "no environment"
    raise Refused(
        f"the plan is of {planned}, and this run of {here}",
        where=str(path),
        do=f"lakefeed{f' --env {was}' if was else ''} run --plan {path}",
    )


def differences_of(reviewed: RunPlan, now: RunPlan) -> Iterator[str]:
    """What a run would do otherwise than was reviewed: tables, how they are read, and why.

    Any other setting of a table counts as well: its effect was reviewed with the plan.
    """
    before = {load.name: load for load in reviewed.loads}
    after = {load.name: load for load in now.loads}
    yield from (f"{name}: no longer loaded" for name in before if name not in after)
    yield from (f"{name}: loaded now" for name in after if name not in before)
    for name in (name for name in before if name in after):
        for attribute, shown in _COMPARED.items():
            was, now_is = getattr(before[name], attribute), getattr(after[name], attribute)
            if was != now_is:
                yield f"{name}: {shown} was {_shown(was)} and is {_shown(now_is)}"
        yield from _other_settings(name, reviewed, now)
        was_error, error = before[name].error, after[name].error
        if error and not was_error:
            yield f"{name}: {error.what}"
        elif was_error and not error:
            yield f"{name}: can be loaded now"


def _other_settings(name: str, reviewed: RunPlan, now: RunPlan) -> Iterator[str]:
    """The settings of a table that were edited; none if an earlier version wrote the plan."""
    before, after = reviewed.settings.get(name, {}), now.settings.get(name, {})
    for setting in {**before, **after} if before else ():
        was, now_is = before.get(setting, NOTHING), after.get(setting, NOTHING)
        if was != now_is and setting not in (*_COMPARED, *_NOT_COMPARED):
            yield f"{name}: {setting} was {was} and is {now_is}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return {True: "read", False: "not read", None: "none"}.get(value, str(value))
