"""`lakefeed rebuild`: rebuilds the whole warehouse from raw, as of now or an earlier time."""

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
from lakefeed.orchestration.build.build import build_from_scratch, refuse_stale_files
from lakefeed.orchestration.permissions import refuse_unwritable
from lakefeed.orchestration.reports.run_history import keep_run
from lakefeed.transformation.dbt_adapter.runner import BuildResult, writing_into
from lakefeed.transformation.warehouse.base.warehouse import Apart, Warehouse
from lakefeed.transformation.warehouse.declared import warehouse_of

_LOAD_ID = re.compile(r"[0-9]+\.[0-9]+")


@dataclass(frozen=True)
class RebuildReport:
    """dbt's result and where the new warehouse is; empty if something failed.

    `set_aside` is the path to which an unreadable warehouse was moved.
    """

    build: BuildResult
    place: str
    as_of: dt.datetime | None
    set_aside: Path | None = None

    @property
    def path(self) -> Path:
        """Where it is, if it is a file."""
        return Path(self.place)

    @property
    def exit_code(self) -> int:
        return EXIT_PARTLY_FAILED if self.build.failures else EXIT_OK

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        return {
            "exit_code": self.exit_code,
            "seconds": round(self.build.seconds, 3),
            "warehouse": self.place or None,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "set_aside": str(self.set_aside) if self.set_aside else None,
            "build": self.build.as_json(),
        }


def rebuild(
    project: Project, as_of: str | None = None, output: Path | None = None
) -> RebuildReport:
    """Builds and tests every model from nothing and publishes the result.

    With `as_of` or `output`, the published warehouse stays as it is and a DuckDB file is written to
    `output`, by default below `data/as_of`; on Spark, schemas of their own are. If a model or a
    test fails, nothing is replaced.

    Args:
        as_of: a load id or a time. Loads from later snapshots are ignored.

    Raises:
        DeclarationError: there is no such load or time, nothing had been loaded by then, or the
            data as of then has been pruned.
        BuildFailed: the generated models don't fit the declaration, or dbt could not start.
        Refused: the warehouse is rolled back, or can't be written to a file.
    """
    refuse_unwritable(project, loads=False)
    warehouse = warehouse_of(project)
    if as_of is None and output is None:
        began, started = dt.datetime.now(dt.UTC), time.monotonic()
        before = warehouse.set_aside()
        report = replace(build_from_scratch(project), seconds=time.monotonic() - started)
        assert report.build is not None
        keep_run(project.data, "rebuild", began, report)
        aside = warehouse.set_aside()
        moved = aside.path if aside and aside != before else None
        return RebuildReport(report.build, warehouse.place, None, moved)
    if output is not None:
        warehouse.refuse_output(Path(os.path.realpath(output)))
    refuse_stale_files(project)
    moment = _moment_of(project, as_of) if as_of else None
    # Replace the file that a link points to, not the link.
    target = Path(os.path.realpath(output or _file_as_of(project, warehouse, moment)))
    folder = target.with_name(f".{target.name}.building")
    shutil.rmtree(folder, ignore_errors=True)
    apart, place = warehouse.apart(folder, moment), ""
    try:
        result = apart.keep_failing_rows(_build_apart(project, apart, moment), beside=target)
        place = "" if result.failures else apart.stay(target)
    finally:
        if not place:
            apart.remove()
    shutil.rmtree(folder)
    return RebuildReport(result, place, moment)


def _build_apart(project: Project, apart: Apart, moment: dt.datetime | None) -> BuildResult:
    # In a target folder of its own: a different --vars invalidates dbt's partial-parse cache.
    arguments = writing_into(project, apart.path.parent / "target")
    if moment:
        arguments += ["--vars", json.dumps({"lakefeed_as_of": moment.isoformat()})]
    return apart.run_dbt("build", arguments)


def _file_as_of(project: Project, warehouse: Warehouse, moment: dt.datetime | None) -> Path:
    assert moment is not None
    name = moment.strftime("%Y-%m-%dT%H%M%S.%fZ")
    return warehouse.apart(project.data / "as_of" / name).path


def _moment_of(project: Project, as_of: str) -> dt.datetime:
    loads = [
        load for table in project.tables for load in CommitLog(project.raw, table.lake_name).loads()
    ]
    moment = _snapshot_of(loads, as_of) if _LOAD_ID.fullmatch(as_of) else _time(as_of)
    _refuse_what_was_pruned(project, as_of, moment)
    snapshots = sorted(_time(load.snapshot_at) for load in loads)
    if not snapshots or moment < snapshots[0]:
        remedy = (
            f"choose {snapshots[0].isoformat()}, the first load, or later"
            if snapshots
            else "load the tables first: lakefeed load"
        )
        raise DeclarationError(f"--as-of {as_of}: nothing had been loaded by then", do=remedy)
    return moment


def _refuse_what_was_pruned(project: Project, as_of: str, moment: dt.datetime) -> None:
    known = {
        table.shown: since
        for table in project.tables
        if (since := CommitLog(project.raw, table.lake_name).complete_since())
    }
    latest = max(known, key=lambda name: known[name], default=None)
    if latest and moment < known[latest]:
        raise DeclarationError(
            f"--as-of {as_of}: the data of {latest} as of then has been pruned",
            do=f"choose {known[latest].isoformat()} or later",
        )


def _snapshot_of(loads: list[Load], load_id: str) -> dt.datetime:
    for load in loads:
        if load.load_id == load_id:
            return _time(load.snapshot_at)
    raise DeclarationError(
        f"--as-of {load_id}: no such load",
        do="use a `_dlt_load_id` from a staging or history model, or a time",
    )


def _time(text: str) -> dt.datetime:
    """The time in UTC; a time without a zone is taken as UTC."""
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise DeclarationError(
            f"--as-of {text}: neither a load id nor a time",
            do="give a time such as 2026-11-23T20:15:00Z",
        ) from None
    return time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)
