"""Loads one table: resumes what is pending, repairs, reads, describes, commits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import dlt

# dlt and SQLAlchemy import these when they first need them. Several threads load tables, and one
# could meet a module that another has imported half. (tests/integration/test_loading.py)
import dlt.common.libs.pyarrow
import dlt.sources.helpers.requests
import sqlalchemy.dialects.postgresql.psycopg2  # noqa: F401
from dlt.common.storages import FileStorage, LoadStorage, PackageStorage
from dlt.destinations import path_utils

from lakefeed.declaration.project import Project
from lakefeed.loading.accepted_changes import accepted_changes
from lakefeed.loading.dlt_adapter.destination import LAYOUT, PLACEHOLDERS, raw_destination
from lakefeed.loading.dlt_adapter.load_packages import drop_remains, has_pending_packages
from lakefeed.loading.dlt_adapter.pipeline import TablePipeline
from lakefeed.loading.dlt_adapter.resource import extract_with_dlt
from lakefeed.loading.extract.extraction import Extraction, ExtractionResult
from lakefeed.loading.extract.missed_rows import notes_of_parts
from lakefeed.loading.extract.window import window_of
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.locks.table_lock import table_lock
from lakefeed.loading.plan.read_contract import noted_from_present
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import MANIFEST, Load
from lakefeed.loading.raw.load_manifest import effective as effective_of
from lakefeed.loading.raw.nearest_files import drop_other_copies
from lakefeed.loading.raw.profile import profile_name
from lakefeed.loading.raw.table_folders import working_directory
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.source.inspection.equality import compared_by_text


@dataclass(frozen=True)
class _Workspace:
    """What one load works with: dlt's pipeline, the commit log, a folder for files in progress."""

    pipeline: dlt.Pipeline
    log: CommitLog
    spool: Path


class HeldLock(Protocol):
    """The lock of a table, which whoever asks for a load holds."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Messages for the user on how it was acquired."""

    def assert_held(self) -> None:
        """Raises where it was lost. Called before anything is committed."""


def load_table(project: Project, opened: TableSession, options: LoadOptions) -> LoadResult:
    """Loads one table at the snapshot and commits it, or leaves everything as it was.

    Side effects: appends to the table's raw folder, moves dlt's state, closes the session before it
    commits. Safe to kill and to repeat.

    Raises:
        Refused: another load of this table is running, or a refresh would shrink it too much.
        TableFailed: the rows can't be read as declared.
    """
    with table_lock(project, opened.plan.table, opened.source.needed_holder) as lock:
        return load_under_lock(project, opened, options, lock)


def load_under_lock(
    project: Project, opened: TableSession, options: LoadOptions, lock: HeldLock
) -> LoadResult:
    """`load_table` for a caller that holds the lock."""
    started = time.monotonic()
    plan, source = opened.plan, opened.source
    workspace = _workspace_of(project, plan)
    drop_remains(Path(workspace.pipeline.working_dir))
    resumed = _commit_pending(workspace)
    notes = list(lock.notes)
    notes += [f"finished load {load.load_id}, which had been interrupted" for load in resumed]
    loads = workspace.log.loads()
    notes += [] if loads else _repair(workspace)
    drop_other_copies(workspace.log, loads)
    if _drop_files_in_progress(workspace.spool) and not resumed:
        notes.append("an earlier read of it was interrupted, so it starts over")
    effective = effective_of(loads)
    changes = accepted_changes(plan, effective, options)
    notes += [*changes.notes, *notes_of_parts(plan, changes)]
    session = opened.open()
    if not (effective and effective[-1].read_as and effective[-1].read_as.key == plan.key):
        notes += _doubts_of_key(plan, session)
    extraction = Extraction(
        source=source,
        session=session,
        plan=plan,
        log=workspace.log,
        effective=tuple(effective),
        changes=changes,
        window=window_of(
            plan,
            effective,
            source.snapshot,
            changes,
            whole=options.full_refresh,
            backfill=options.backfill,
        ),
        allow_shrink=options.allow_shrink or changes.fewer,
        spool=workspace.spool,
        steps=options.steps,
    )
    extracted = _extract(workspace, extraction)
    opened.close()
    lock.assert_held()
    committed = _commit_pending(workspace)
    if effective and not committed and not options.backfill:
        _note_from_present(workspace, extraction, extracted)
    return _result(extracted, resumed + committed, notes, time.monotonic() - started)


def _workspace_of(project: Project, plan: TablePlan) -> _Workspace:
    name = plan.table.lake_name
    pipeline = dlt.pipeline(
        name,
        destination=raw_destination(project),
        dataset_name=name,
        pipelines_dir=str(working_directory(project, name).parent),
        _impl_cls=TablePipeline,
    )
    return _Workspace(
        pipeline, CommitLog(project.raw, name), Path(pipeline.working_dir, "lakefeed")
    )


def _repair(workspace: _Workspace) -> list[str]:
    """Drops dlt's state if it is that of a raw layer that is gone."""
    if not _has_brought_rows(workspace.pipeline.state) or workspace.log.committed_ids():
        return []
    workspace.pipeline.drop()
    return ["its raw files are gone, so it is loaded from the beginning"]


def _has_brought_rows(state: Mapping[str, Any]) -> bool:
    """Whether the pipeline with this state has ever read rows; of an empty table, it hasn't."""
    return any(
        cursor["last_value"] not in (None, cursor["initial_value"])
        for source in state.get("sources", {}).values()
        for resource in source.get("resources", {}).values()
        for cursor in resource.get("incremental", {}).values()
    )


def _note_from_present(
    workspace: _Workspace, extraction: Extraction, extracted: ExtractionResult
) -> None:
    """Updates the newest load's manifest where a load without new rows learned something."""
    begins_anew = extraction.plan.cursor_kind == "number" and extraction.has_other_storage
    if begins_anew and not extracted.reading.rows_read:
        # Numbers may start over; the first rows to come will tell.
        return
    newest, now = extraction.effective[-1], extraction.read_as
    noted = noted_from_present(newest.read_as, now, read_whole=extraction.window.is_whole)
    if noted:
        workspace.log.redescribe_one(replace(newest, read_as=noted))


def _doubts_of_key(plan: TablePlan, session: SourceSession) -> list[str]:
    """Warnings about a key when it is first used."""
    catalogue = plan.table.catalogue
    if catalogue is None:
        return []
    return compared_by_text(session.fetch, [(catalogue, plan.key_columns)])[catalogue.qualified]


def _extract(workspace: _Workspace, extraction: Extraction) -> ExtractionResult:
    workspace.spool.mkdir(parents=True, exist_ok=True)
    try:
        return extract_with_dlt(workspace.pipeline, extraction)
    finally:
        _drop_files_in_progress(workspace.spool)


def _drop_files_in_progress(spool: Path) -> bool:
    """Removes files that no package needs; returns whether there were any."""
    files = list(spool.glob("*.parquet"))
    for file in files:
        file.unlink()
    return bool(files)


def _commit_pending(workspace: _Workspace) -> list[Load]:
    """Describes, uploads and commits every pending package, the oldest first."""
    if not has_pending_packages(Path(workspace.pipeline.working_dir)):
        return []
    committed = []
    workspace.pipeline.normalize()
    for load_id in workspace.pipeline.list_normalized_load_packages():
        note = workspace.spool / f"{load_id}.json"
        if note.exists():
            load = MANIFEST.read(note.read_text(encoding="utf-8"), str(note))
            load = replace(load, files=_remote_files(workspace.pipeline, load_id))
            workspace.log.describe(load)
            committed.append(load)
            profile = workspace.spool / profile_name(load_id)
            if profile.exists():
                workspace.log.keep_profile(load_id, profile.read_text(encoding="utf-8"))
    workspace.pipeline.load()
    for load in committed:
        (workspace.spool / f"{load.load_id}.json").unlink()
        (workspace.spool / profile_name(load.load_id)).unlink(missing_ok=True)
    return committed


def _remote_files(pipeline: dlt.Pipeline, load_id: str) -> tuple[str, ...]:
    """Where dlt will put the package's data files, below the table's raw folder."""
    folder = Path(pipeline.working_dir, "load", LoadStorage.NORMALIZED_FOLDER)
    # The pipeline's `get_load_package_info` would build the package's schema as well.
    packages = PackageStorage(FileStorage(str(folder)), "normalized")
    jobs = [
        job
        for _state, job in packages.list_all_jobs_with_states(load_id)
        if not job.table_name.startswith("_dlt")
    ]
    return tuple(
        path_utils.create_path(
            LAYOUT,
            job.file_name(),
            pipeline.default_schema.name,
            load_id,
            extra_placeholders=PLACEHOLDERS,
        )
        for job in sorted(jobs, key=lambda job: job.file_id)
    )


def _result(
    extracted: ExtractionResult, committed: list[Load], notes: list[str], seconds: float
) -> LoadResult:
    reading = extracted.reading
    before = extracted.checkpoint_before
    after = extracted.checkpoint if extracted.checkpoint is not None else before
    return LoadResult(
        rows_read=reading.rows_read,
        rows=reading.rows if reading.is_news else 0,
        deleted=reading.deleted if reading.is_news else 0,
        null_cursors=reading.null_cursors,
        checkpoint_before=None if before is None else str(before),
        checkpoint=None if after is None else str(after),
        committed=tuple(committed),
        notes=(*notes, *extracted.notes),
        seconds=seconds,
        step=extracted.step,
    )
