"""`lakefeed rollback`: the version before is published again, and stays until somebody says go on.

A run an hour later would build the same again from raw, and so undo the rollback behind the back
of whoever asked for it. So a rollback is noted in `data/rolled_back.json`: while it is there, runs
load, so that nothing is missed, and nothing is built.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.declaration.project import Project
from pipelines.documents import from_fields
from pipelines.errors import Refused
from pipelines.textfile import replace_text
from pipelines.transformation.candidate import take_in_log
from pipelines.transformation.publication import (
    Version,
    forget,
    keep,
    kept_versions,
    published_version,
    put_in_place,
)
from pipelines.transformation.warehouse import reading, warehouse_lock

_RESUME = "lakefeed rollback --resume"


@dataclass(frozen=True)
class Rollback:
    """From the version of which time to that of which; `undone` is None where no file was there."""

    returned_to: str
    undone: str | None

    def as_json(self) -> dict[str, Any]:
        """As JSON types, for `--json`."""
        return asdict(self)

    @property
    def warning(self) -> str:
        return (
            f"the warehouse is rolled back to the version of {self.returned_to}, and nothing is "
            f"built until: {_RESUME}"
        )


def roll_back(project: Project) -> Rollback:
    """Publishes the version before the present one, in one step.

    The present one is kept as undone: nothing returns to it. So another rollback goes further back.

    Raises:
        Refused: there is none before it.
        BuildFailed: another program has the warehouse open for writing.
    """
    with warehouse_lock(project):
        take_in_log(project.warehouse)
        present, before = published_version(project), _version_before(project)
        if before is None:
            raise Refused(
                "there is no earlier version of the warehouse to return to",
                do="`warehouse: {keep: …}` says how many are kept of those that are replaced; "
                "to build it anew from raw: lakefeed rebuild",
            )
        rollback = Rollback(_said(before), _said(present) if present else None)
        replace_text(_note(project), json.dumps(asdict(rollback)))
        with reading(project.warehouse):
            if present:
                keep(project, present, is_undone=True)
            put_in_place(project, before.path)
        _forget_from(project, before)
    return rollback


def read_rollback(project: Project) -> Rollback | None:
    """The rollback that holds; None where there is none."""
    note = _note(project)
    if not note.exists():
        return None
    return from_fields(Rollback, json.loads(note.read_text(encoding="utf-8")))


def resume(project: Project) -> Rollback | None:
    """Lets runs build again; returns the rollback that held."""
    rollback = read_rollback(project)
    _note(project).unlink(missing_ok=True)
    return rollback


def refuse_if_rolled_back(project: Project) -> None:
    """To be called before anything is built because somebody asked for it.

    Raises:
        Refused: the warehouse is rolled back.
    """
    rollback = read_rollback(project)
    if rollback:
        raise Refused(
            f"the warehouse is rolled back to the version of {rollback.returned_to}",
            do=f"to have it built again: {_RESUME}",
        )


def _version_before(project: Project) -> Version | None:
    present = published_version(project)
    earlier = [
        version
        for version in kept_versions(project)
        if not version.is_undone and (not present or version.published_at < present.published_at)
    ]
    return earlier[-1] if earlier else None


def _forget_from(project: Project, version: Version) -> None:
    """A publication that died may have kept what it was about to replace, which is undone now."""
    for kept in kept_versions(project):
        if not kept.is_undone and kept.published_at >= version.published_at:
            forget(kept)
    with suppress(OSError):
        version.path.parent.rmdir()


def _said(version: Version) -> str:
    return version.published_at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _note(project: Project) -> Path:
    return project.data / "rolled_back.json"
