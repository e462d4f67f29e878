"""What one load of a table works with, and the steps that end in a commit.

Each step may be killed and repeated: a package that is complete is committed by the next load.
"""

from __future__ import annotations

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
from lakefeed.loading.dlt_adapter.destination import LAYOUT, PLACEHOLDERS, raw_destination
from lakefeed.loading.dlt_adapter.load_packages import has_pending_packages
from lakefeed.loading.dlt_adapter.pipeline import TablePipeline
from lakefeed.loading.dlt_adapter.resource import extract_with_dlt
from lakefeed.loading.extract.extraction import Extraction, ExtractionResult
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import MANIFEST, Load
from lakefeed.loading.raw.profile import profile_name
from lakefeed.loading.raw.table_folders import working_directory


@dataclass(frozen=True)
class Workspace:
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


def workspace_of(project: Project, plan: TablePlan) -> Workspace:
    name = plan.table.lake_name
    pipeline = dlt.pipeline(
        name,
        destination=raw_destination(project),
        dataset_name=name,
        pipelines_dir=str(working_directory(project, name).parent),
        _impl_cls=TablePipeline,
    )
    return Workspace(pipeline, CommitLog(project.raw, name), Path(pipeline.working_dir, "lakefeed"))


def repair(workspace: Workspace) -> list[str]:
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


def extract(workspace: Workspace, extraction: Extraction) -> ExtractionResult:
    workspace.spool.mkdir(parents=True, exist_ok=True)
    try:
        return extract_with_dlt(workspace.pipeline, extraction)
    finally:
        drop_files_in_progress(workspace.spool)


def drop_files_in_progress(spool: Path) -> bool:
    """Removes files that no package needs; returns whether there were any."""
    files = list(spool.glob("*.parquet"))
    for file in files:
        file.unlink()
    return bool(files)


def commit_pending(workspace: Workspace) -> list[Load]:
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
