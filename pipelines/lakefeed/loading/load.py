"""Loading one table: resume what was pending, repair, read, describe, commit."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import dlt

# What dlt and SQLAlchemy would import when they first need it: several threads load tables, one of
# which might meet half of a module that another is importing. (tests/integration/test_loading.py)
import dlt.common.libs.pyarrow
import dlt.sources.helpers.requests
import sqlalchemy.dialects.postgresql.psycopg2  # noqa: F401
from dlt.common.storages import FileStorage, LoadStorage, PackageStorage
from dlt.destinations import path_utils

from lakefeed.declaration.project import Project
from lakefeed.errors import TableFailed
from lakefeed.loading.dlt_adapter.destination import LAYOUT, PLACEHOLDERS, raw_destination
from lakefeed.loading.dlt_adapter.load_packages import drop_remains, has_pending_packages
from lakefeed.loading.dlt_adapter.pipeline import TablePipeline
from lakefeed.loading.dlt_adapter.resource import forget_other_columns, resource_of
from lakefeed.loading.extract.extraction import Extraction
from lakefeed.loading.extract.missed_rows import notes_of_parts
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.locks.table_lock import table_lock
from lakefeed.loading.plan.read_contract import ContractChanges, changes_since, noted_from_present
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import MANIFEST, Load
from lakefeed.loading.raw.profile import profile_name
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.source.inspection.equality import compared_by_text


@dataclass(frozen=True)
class _Desk:
    """What one load works with: dlt's pipeline, the commit log, and a folder for files in work."""

    pipeline: dlt.Pipeline
    log: CommitLog
    spool: Path


def load_table(
    project: Project, plan: TablePlan, source: SourceAtSnapshot, options: LoadOptions
) -> LoadResult:
    """Loads one table at the snapshot, and commits it, or leaves everything as it was.

    Side effects: appends to the table's raw folder, moves dlt's state. Safe to kill and to repeat.

    Raises:
        Refused: another load of this table is running, or a refresh would shrink it too much.
        TableFailed: the rows can't be read as declared.
    """
    started = time.monotonic()
    with table_lock(project, plan.table, source.holder) as lock:
        desk = _desk(project, plan)
        drop_remains(Path(desk.pipeline.working_dir))
        resumed = _commit_pending(desk)
        notes = list(lock.notes)
        notes += [f"finished load {load.load_id}, which had been interrupted" for load in resumed]
        notes += _repair(desk)
        if _drop_files_in_work(desk.spool) and not resumed:
            notes.append("an earlier read of it was cut short, so it starts over")
        effective = desk.log.effective_loads()
        changes = _changes(plan, effective, options)
        notes += [*changes.notes, *notes_of_parts(plan, changes)]
        if not (effective and effective[-1].read_as and effective[-1].read_as.key == plan.key):
            notes += _doubts_of_key(plan, source)
        options = replace(
            options,
            full_refresh=options.full_refresh or changes.whole,
            allow_shrink=options.allow_shrink or changes.fewer,
        )
        extraction = _extract(desk, plan, source, options, effective=effective, changes=changes)
        lock.assert_held()
        committed = _commit_pending(desk)
        if effective and not committed and not options.backfill:
            _note_from_present(desk, effective[-1], extraction)
    return _outcome(extraction, resumed + committed, notes, time.monotonic() - started)


def _desk(project: Project, plan: TablePlan) -> _Desk:
    name = plan.table.lake_name
    pipeline = dlt.pipeline(
        name,
        destination=raw_destination(project),
        dataset_name=name,
        pipelines_dir=str(project.data / ".dlt" / "pipelines"),
        _impl_cls=TablePipeline,
    )
    return _Desk(pipeline, CommitLog(project.raw_url, name), Path(pipeline.working_dir, "lakefeed"))


def _repair(desk: _Desk) -> list[str]:
    """Makes state and raw agree, and takes the newest committed state from raw."""
    notes = []
    if desk.pipeline.state.get("sources") and not desk.log.committed_ids():
        desk.pipeline.drop()
        notes.append("its raw files are gone, so it is loaded from the beginning")
    moved = desk.log.set_aside_uncommitted_states()
    if moved:
        notes.append(f"set aside the state of {len(moved)} loads that were never committed")
    if desk.log.exists():
        desk.pipeline.sync_destination()
    return notes


def _changes(plan: TablePlan, effective: list[Load], options: LoadOptions) -> ContractChanges:
    """What changed since the newest load.

    Raises:
        TableFailed: the table is frozen, or has to be read whole where a range was asked for.
    """
    changes = changes_since(
        effective[-1].read_as if effective else None,
        plan.read_as,
        shown=plan.table.shown,
        reads_whole=options.full_refresh or plan.table.mode == "full_refresh",
        loaded_before=_loaded_before(effective),
    )
    if (
        changes.others
        and plan.table.settings.schema_changes == "freeze"
        and not options.full_refresh
    ):
        raise TableFailed(
            f"{plan.table.shown} is frozen, and its columns changed: {'; '.join(changes.others)}",
            where=plan.table.where_of("schema_changes"),
            do="review the change, then accept it by reading the table whole: "
            f"lakefeed run --select {plan.table.shown} --full-refresh",
        )
    if changes.whole and options.backfill:
        raise TableFailed(
            f"{plan.table.shown} can't load a range: {'; '.join(changes.notes)}",
            where=plan.table.where,
            do=f"first: lakefeed run --select {plan.table.shown}",
        )
    return changes


def _loaded_before(effective: list[Load]) -> set[str]:
    """Columns that rows of these loads have."""
    # Most loads share what they were read as.
    distinct = {id(load.read_as): load.read_as for load in effective if load.read_as}
    return {name for read_as in distinct.values() for name in read_as.columns}


def _note_from_present(desk: _Desk, newest: Load, extraction: Extraction) -> None:
    reading = extraction.reading
    begins_anew = extraction.plan.cursor_kind == "number" and extraction.has_other_storage
    if begins_anew and not (reading and reading.rows_read):
        # Numbers may begin anew; the first rows to come will tell.
        return
    told = noted_from_present(newest.read_as, extraction.plan.read_as, read_whole=extraction.whole)
    if told:
        desk.log.redescribe_one(replace(newest, read_as=told))


def _doubts_of_key(plan: TablePlan, source: SourceAtSnapshot) -> list[str]:
    """What is to be said of a key when it is first used."""
    catalogue = plan.table.catalogue
    return compared_by_text(source.holder, catalogue, plan.key_columns) if catalogue else []


def _extract(
    desk: _Desk,
    plan: TablePlan,
    source: SourceAtSnapshot,
    options: LoadOptions,
    *,
    effective: list[Load],
    changes: ContractChanges,
) -> Extraction:
    desk.spool.mkdir(parents=True, exist_ok=True)
    with source.session(plan) as session:
        extraction = Extraction(
            source=source,
            session=session,
            plan=plan,
            log=desk.log,
            effective=effective,
            changes=changes,
            whole=options.full_refresh or plan.table.mode == "full_refresh",
            backfill=options.backfill,
            allow_shrink=options.allow_shrink,
            spool=desk.spool,
            steps=options.steps,
        )
        forget_other_columns(desk.pipeline, plan)
        try:
            desk.pipeline.extract(resource_of(plan, extraction), loader_file_format="parquet")
        finally:
            _drop_files_in_work(desk.spool)
    return extraction


def _drop_files_in_work(spool: Path) -> bool:
    """Removes files that no package needs any more; whether there were any."""
    files = list(spool.glob("*.parquet"))
    for file in files:
        file.unlink()
    return bool(files)


def _commit_pending(desk: _Desk) -> list[Load]:
    """Describes, uploads and commits every package that is pending, the oldest first."""
    if not has_pending_packages(Path(desk.pipeline.working_dir)):
        return []
    committed = []
    desk.pipeline.normalize()
    packages = desk.pipeline.list_normalized_load_packages()
    if packages and not desk.log.exists():
        # dlt insists on creating the folder itself.
        with desk.pipeline.destination_client() as client:
            client.initialize_storage()
    for load_id in packages:
        note = desk.spool / f"{load_id}.json"
        if note.exists():
            load = MANIFEST.read(note.read_text(encoding="utf-8"), str(note))
            load = replace(load, files=_remote_files(desk.pipeline, load_id))
            desk.log.describe(load)
            committed.append(load)
            profile = desk.spool / profile_name(load_id)
            if profile.exists():
                desk.log.keep_profile(load_id, profile.read_text(encoding="utf-8"))
    desk.pipeline.load()
    for load in committed:
        (desk.spool / f"{load.load_id}.json").unlink()
        (desk.spool / profile_name(load.load_id)).unlink(missing_ok=True)
    return committed


def _remote_files(pipeline: dlt.Pipeline, load_id: str) -> tuple[str, ...]:
    """Where dlt will put the package's data files, below the table's raw folder."""
    folder = Path(pipeline.working_dir, "load", LoadStorage.NORMALIZED_FOLDER)
    # Not the pipeline's `get_load_package_info`, which builds the package's schema as well.
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


def _outcome(
    extraction: Extraction, committed: list[Load], notes: list[str], seconds: float
) -> LoadResult:
    reading = extraction.reading
    before = extraction.checkpoint_before
    after = extraction.checkpoint if extraction.checkpoint is not None else before
    return LoadResult(
        rows_read=reading.rows_read if reading else 0,
        rows=reading.rows if reading and reading.is_news else 0,
        deleted=reading.deleted if reading and reading.is_news else 0,
        null_cursors=reading.null_cursors if reading else 0,
        checkpoint_before=None if before is None else str(before),
        checkpoint=None if after is None else str(after),
        committed=tuple(committed),
        notes=(*notes, *extraction.notes),
        seconds=seconds,
        step=extraction.step,
    )
