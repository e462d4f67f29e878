"""`lakefeed rollback`: the version before is published again, and stays until somebody says go on.

A run an hour later would build the same again from raw, and so undo the rollback behind the back
of whoever asked for it. So a rollback is noted in `data/rolled_back.json`: while it is there, runs
load, so that nothing is missed, and nothing is built.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.documents import Format
from lakefeed.errors import Refused, WarehouseDamaged
from lakefeed.textfile import replace_text
from lakefeed.transformation.warehouse.candidate import take_in_log
from lakefeed.transformation.warehouse.connection import warehouse_lock
from lakefeed.transformation.warehouse.open_file import reading
from lakefeed.transformation.warehouse.publication import (
    Version,
    forget,
    keep,
    kept_versions,
    published_version,
    put_in_place,
    set_aside,
)
from lakefeed.transformation.warehouse.publication_state import read_publication_state

_RESUME = "lakefeed rollback --resume"


@dataclass(frozen=True)
class Rollback:
    """From the version of which time to that of which; `undone` is None where none could be read.

    `set_aside` is where the file is now that could not be read.
    """

    returned_to: str
    undone: str | None
    set_aside: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As JSON types, for `--json`."""
        return asdict(self)

    @property
    def warning(self) -> str:
        return (
            f"the warehouse is rolled back to the version of {self.returned_to}, and nothing is "
            f"built until: {_RESUME}"
        )


ROLLBACK = Format(Rollback, "rollback mark", brief=True)


def roll_back(project: Project) -> Rollback:
    """Publishes the version before the present one, in one step.

    The present one is kept as undone: nothing returns to it. So another rollback goes further back.
    One that can't be read is set aside.

    Raises:
        Refused: there is none before it.
        BuildFailed: another program has the warehouse open for writing.
    """
    with warehouse_lock(project):
        present = _present_version(project)
        before = _version_before(project, present)
        if before is None:
            raise Refused(
                "there is no earlier version of the warehouse to return to",
                do="`warehouse: {keep: …}` says how many are kept of those that are replaced; "
                "to build it anew from raw: lakefeed rebuild",
            )
        rollback = Rollback(_said(before), _said(present) if present else None)
        replace_text(_note(project), ROLLBACK.text(rollback))
        if present is None:
            aside = set_aside(project)
            put_in_place(project, before.path)
            rollback = replace(rollback, set_aside=str(aside) if aside else None)
        else:
            with reading(project.warehouse):
                keep(project, present, is_undone=True)
                put_in_place(project, before.path)
        _forget_from(project, before)
    return rollback


def read_rollback(project: Project) -> Rollback | None:
    """The rollback that holds; None where there is none.

    Raises:
        NewerFormat: a newer version rolled back.
    """
    note = _note(project)
    if not note.exists():
        return None
    return ROLLBACK.read(note.read_text(encoding="utf-8"), str(note))


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


def _present_version(project: Project) -> Version | None:
    """The version that is published; None where none is, or it can't be read."""
    try:
        take_in_log(project.warehouse)
        return published_version(project)
    except WarehouseDamaged:
        return None


def _version_before(project: Project, present: Version | None) -> Version | None:
    """The newest before this one that can be read."""
    earlier = (
        version
        for version in reversed(kept_versions(project))
        if not version.is_undone and (not present or version.published_at < present.published_at)
    )
    return next(filter(_can_be_read, earlier), None)


def _can_be_read(version: Version) -> bool:
    try:
        read_publication_state(version.path)
    except WarehouseDamaged:
        return False
    return True


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
