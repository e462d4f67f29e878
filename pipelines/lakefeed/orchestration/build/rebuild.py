"""`lakefeed rebuild`: the whole warehouse from raw, from nothing, as it is or as it stood."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED, DeclarationError
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.orchestration.build.build import build_anew, refuse_stale_files
from lakefeed.orchestration.permissions import refuse_unwritable
from lakefeed.orchestration.reports.run_history import keep_run
from lakefeed.transformation.dbt_adapter.failing_rows import failing_rows_of, keep_failing_rows
from lakefeed.transformation.dbt_adapter.runner import BuildResult, run_dbt, writing_into
from lakefeed.transformation.warehouse.publication import file_set_aside

_LOAD_ID = re.compile(r"[0-9]+\.[0-9]+")


@dataclass(frozen=True)
class RebuildReport:
    """What dbt made of it, and where the warehouse is, if nothing failed.

    `set_aside` is where the warehouse is now that could not be read.
    """

    build: BuildResult
    path: Path
    as_of: dt.datetime | None
    set_aside: Path | None = None

    @property
    def exit_code(self) -> int:
        return EXIT_PARTLY_FAILED if self.build.failures else EXIT_OK

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        return {
            "exit_code": self.exit_code,
            "seconds": round(self.build.seconds, 3),
            "warehouse": str(self.path),
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "set_aside": str(self.set_aside) if self.set_aside else None,
            "build": self.build.as_json(),
        }


def rebuild(
    project: Project, as_of: str | None = None, output: Path | None = None
) -> RebuildReport:
    """Builds and tests every model in an empty file, and puts that in the warehouse's place.

    Side effects: publishes it; with `as_of` or an `output` the published warehouse stays as it is,
    and the file is there, or in `data/as_of`. Where a model or a test fails, nothing is replaced.

    Args:
        as_of: a load's id or a time. Loads whose snapshots are newer don't count.

    Raises:
        DeclarationError: there is no such load, no such time, nothing was loaded by then, or what
            was is pruned.
        BuildFailed: the generated models don't fit the declaration, or dbt could not start.
        Refused: the warehouse is rolled back.
    """
    refuse_unwritable(project, loads=False)
    if as_of is None and output is None:
        began, started = dt.datetime.now(dt.UTC), time.monotonic()
        known = file_set_aside(project)
        before = known.stat().st_ino if known else None
        report = replace(build_anew(project), seconds=time.monotonic() - started)
        assert report.build is not None
        keep_run(project.data, "rebuild", began, report)
        aside = file_set_aside(project)
        is_new = aside is not None and aside.stat().st_ino != before
        return RebuildReport(report.build, project.warehouse, None, aside if is_new else None)
    refuse_stale_files(project)
    moment = _moment_of(project, as_of) if as_of else None
    # Through a link, which stays.
    target = Path(os.path.realpath(output or _place_of(project, moment)))
    if target == project.warehouse:
        raise DeclarationError(
            f"--output {output}: that is the published warehouse",
            do="to replace it: lakefeed rebuild, without --as-of and --output",
        )
    folder = target.with_name(f".{target.name}.building")
    shutil.rmtree(folder, ignore_errors=True)
    built = folder / project.warehouse.name
    result = _build_at(project, built, moment)
    result = keep_failing_rows(project, built, result, failing_rows_of(target))
    if not result.failures:
        built.replace(target)
    shutil.rmtree(folder)
    return RebuildReport(result, target, moment)


def _build_at(project: Project, path: Path, moment: dt.datetime | None) -> BuildResult:
    """dbt keeps what it parsed beside the file: a variable would have the project parsed anew."""
    arguments = writing_into(project, path.parent / "target")
    if moment:
        arguments += ["--vars", json.dumps({"lakefeed_as_of": moment.isoformat()})]
    return run_dbt(project, "build", arguments, path)


def _place_of(project: Project, moment: dt.datetime | None) -> Path:
    assert moment is not None
    name = moment.strftime("%Y-%m-%dT%H%M%S.%fZ")
    return project.data / "as_of" / name / project.warehouse.name


def _moment_of(project: Project, as_of: str) -> dt.datetime:
    loads = [
        load
        for table in project.tables
        for load in CommitLog(project.raw_url, table.lake_name).loads()
    ]
    moment = _snapshot_of(loads, as_of) if _LOAD_ID.fullmatch(as_of) else _time(as_of)
    _refuse_what_was_pruned(project, as_of, moment)
    snapshots = sorted(_time(load.snapshot_at) for load in loads)
    if not snapshots or moment < snapshots[0]:
        first = f"the first load is of {snapshots[0].isoformat()}" if snapshots else "load first"
        raise DeclarationError(f"--as-of {as_of}: nothing had been loaded by then", do=first)
    return moment


def _refuse_what_was_pruned(project: Project, as_of: str, moment: dt.datetime) -> None:
    known = {
        table.shown: since
        for table in project.tables
        if (since := CommitLog(project.raw_url, table.lake_name).complete_since())
    }
    latest = max(known, key=lambda name: known[name], default=None)
    if latest and moment < known[latest]:
        raise DeclarationError(
            f"--as-of {as_of}: what raw held of {latest} then was pruned",
            do=f"from {known[latest].isoformat()} on it can be told",
        )


def _snapshot_of(loads: list[Load], load_id: str) -> dt.datetime:
    for load in loads:
        if load.load_id == load_id:
            return _time(load.snapshot_at)
    raise DeclarationError(
        f"--as-of {load_id}: there is no such load",
        do="take one from _dlt_load_id in staging or history, or give a time",
    )


def _time(text: str) -> dt.datetime:
    """In UTC, which is meant where no zone is said."""
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise DeclarationError(
            f"--as-of {text}: neither a load's id nor a time",
            do="write a time such as 2026-11-23T20:15:00Z",
        ) from None
    return time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)
