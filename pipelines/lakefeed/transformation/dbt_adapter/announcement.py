"""What dbt's macros are told of the commit logs, which only Python reads.

A macro asks for all models of a dbt invocation at once (dbt_package/macros/announced.sql). Each
table's log is read once, and of its manifests only those of loads that a model has yet to stage.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from lakefeed.declaration.environment.references import has_reference
from lakefeed.declaration.models.table_settings import LOG
from lakefeed.declaration.project import Location
from lakefeed.errors import LakefeedError, NewerFormat, StorageFailed
from lakefeed.loading.raw.commit_log import LOADS_FOLDER, CommitLog, load_id_of
from lakefeed.loading.raw.load_manifest import Load, complete
from lakefeed.loading.raw.nearest_files import with_copies

# A model over raw as its macros know it: plain data, which Jinja reads and completes.
Model = dict[str, Any]


def announce(
    models: Iterable[Model], raw: Location | None, as_of: str | None, *, copies: bool = True
) -> None:
    """Adds to each model `loads`: those that it has yet to stage, in the order in which they count.

    Also adds `pruned_at` to histories whose raw table was pruned, and `refused` to models whose log
    can't be read: why, so that only these models fail.

    Args:
        models: each with the raw table's `folder`, the IDs of `staged` loads, and `is_history`.
        raw: the raw layer, if it is in an object store or its place depends on variables.
        as_of: loads of later snapshots are left out.
        copies: files that have a copy on this machine are named by its path.
    """
    moment = dt.datetime.fromisoformat(as_of) if as_of else None
    by_folder = defaultdict(list)
    for model in models:
        by_folder[model["folder"]].append(model)
    of_store: StorageFailed | None = None
    for written, readers in by_folder.items():
        folder = _resolved(written, raw)
        try:
            if of_store:
                # To ask for each table, with pauses, would take minutes.
                raise of_store
            _complete(readers, log_of(folder, raw), folder, moment, copies=copies)
        except (LakefeedError, OSError, ValueError) as error:
            if isinstance(error, StorageFailed) and "://" in folder:
                of_store = error
            for model in readers:
                model["refused"] = _told(folder, error)


def _complete(
    readers: list[Model], log: CommitLog, folder: str, as_of: dt.datetime | None, *, copies: bool
) -> None:
    """Adds to models over the same table what its log has for them."""
    staged_by_all = set.intersection(*(set(model["staged"]) for model in readers))
    loads = _to_stage(log, staged_by_all, as_of)
    near = copies and not log.raw.is_local
    announced = {
        load.load_id: _announced(with_copies(log, load) if near else load, folder) for load in loads
    }
    for model in readers:
        new = announced.keys() - model["staged"]
        model["loads"] = [load for load_id, load in announced.items() if load_id in new]
    histories = [model for model in readers if model["is_history"]]
    if histories and (pruned := log.pruned_note()):
        for model in histories:
            model["pruned_at"] = pruned.pruned_at


def _to_stage(log: CommitLog, staged: Collection[str], as_of: dt.datetime | None) -> list[Load]:
    """The loads that aren't staged, without those of a first load that isn't complete."""
    loads = [load for load in log.loads_besides(staged) if not _is_after(as_of, load)]
    if not any(load.range for load in loads):
        return loads
    whole = complete([load for load in log.loads() if not _is_after(as_of, load)])
    ids = {load.load_id for load in whole}
    return [load for load in loads if load.load_id in ids]


def _is_after(moment: dt.datetime | None, load: Load) -> bool:
    return moment is not None and dt.datetime.fromisoformat(load.snapshot_at) > moment


def _announced(load: Load, folder: str) -> dict[str, Any]:
    """A load as macros see it."""
    return {
        "folder": folder,
        "load_id": load.load_id,
        "snapshot_at": load.snapshot_at,
        "supersedes": load.supersedes,
        "files": load.files,
        "rows": load.rows,
        "deleted": load.deleted,
        "log": load.read_as is not None and load.read_as.cursor == LOG,
    }


def _resolved(folder: str, raw: Location | None) -> str:
    """A raw folder as dbt's sources have it, with the declared place instead of references."""
    if raw is None or not has_reference(folder):
        return folder
    return f"{raw.url}/{folder.rpartition('/')[2]}"


def log_of(folder: str, raw: Location | None) -> CommitLog:
    """The log in a raw folder; a relative path starts where dbt runs."""
    parent, _, lake_name = folder.rpartition("/")
    place = raw if raw and "://" in folder else Location(parent, Path.cwd())
    return CommitLog(place, lake_name)


def _told(folder: str, error: Exception) -> str:
    if isinstance(error, NewerFormat):
        load_id = load_id_of(LOADS_FOLDER, error.where)
        name = f"load {load_id}" if load_id else "the pruning record"
        return (
            f"{name} in {folder} was written by a newer version of Lakefeed "
            f"(format {error.wrote}): {error.do}"
        )
    return f"the commit log in {folder} can't be read: {error}"
