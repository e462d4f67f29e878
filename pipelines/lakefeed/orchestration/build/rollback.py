"""`lakefeed rollback`: publishes the previous version and keeps it until building is resumed.

The next scheduled run would rebuild from raw and silently undo the rollback. So a rollback is
recorded in `data/rolled_back.json`: while that file exists, runs load but don't build.
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
    """The publication times of the restored version and of the one it replaced.

    `undone` is None if the replaced file could not be read; `set_aside` is then its new path.
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
            f"the warehouse is rolled back to the version of {self.returned_to}; nothing is built "
            f"until you resume: {_RESUME}"
        )


ROLLBACK = Format(Rollback, "rollback mark", brief=True)


def roll_back(project: Project) -> Rollback:
    """Atomically publishes the version before the current one.

    The current version is kept and marked as undone, so that another rollback goes further back.
    An unreadable file is set aside instead.

    Raises:
        Refused: there is no earlier version.
        BuildFailed: another program has the warehouse open for writing.
    """
    with warehouse_lock(project):
        current = _current_version(project)
        before = _version_before(project, current)
        if before is None:
            raise Refused(
                "no earlier version of the warehouse is kept",
                do="to build the warehouse from raw: lakefeed rebuild (`warehouse: {keep: …}` "
                "in sources.yaml sets how many earlier versions are kept)",
            )
        rollback = Rollback(_time_of(before), _time_of(current) if current else None)
        replace_text(_note(project), ROLLBACK.text(rollback))
        if current is None:
            aside = set_aside(project)
            put_in_place(project, before.path)
            rollback = replace(rollback, set_aside=str(aside) if aside else None)
        else:
            with reading(project.warehouse):
                keep(project, current, is_undone=True)
                put_in_place(project, before.path)
        _forget_from(project, before)
    return rollback


def read_rollback(project: Project) -> Rollback | None:
    """The rollback in effect, if any.

    Raises:
        NewerFormat: a newer version of Lakefeed rolled back.
    """
    note = _note(project)
    if not note.exists():
        return None
    return ROLLBACK.read(note.read_text(encoding="utf-8"), str(note))


def resume(project: Project) -> Rollback | None:
    """Lets runs build again; returns the rollback that was in effect."""
    rollback = read_rollback(project)
    _note(project).unlink(missing_ok=True)
    return rollback


def refuse_if_rolled_back(project: Project) -> None:
    """Refuses a build that was explicitly requested while a rollback is in effect.

    Raises:
        Refused: the warehouse is rolled back.
    """
    rollback = read_rollback(project)
    if rollback:
        raise Refused(
            f"the warehouse is rolled back to the version of {rollback.returned_to}",
            do=f"to resume building: {_RESUME}",
        )


def _current_version(project: Project) -> Version | None:
    """The published version; None if there is none or it can't be read."""
    try:
        take_in_log(project.warehouse)
        return published_version(project)
    except WarehouseDamaged:
        return None


def _version_before(project: Project, current: Version | None) -> Version | None:
    """The newest readable version before the current one."""
    earlier = (
        version
        for version in reversed(kept_versions(project))
        if not version.is_undone and (not current or version.published_at < current.published_at)
    )
    return next(filter(_can_be_read, earlier), None)


def _can_be_read(version: Version) -> bool:
    try:
        read_publication_state(version.path)
    except WarehouseDamaged:
        return False
    return True


def _forget_from(project: Project, version: Version) -> None:
    """Removes kept versions as new as this one.

    An interrupted publication may have kept the file that it was about to replace; that file has
    now been rolled back.
    """
    for kept in kept_versions(project):
        if not kept.is_undone and kept.published_at >= version.published_at:
            forget(kept)
    with suppress(OSError):
        version.path.parent.rmdir()


def _time_of(version: Version) -> str:
    return version.published_at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _note(project: Project) -> Path:
    return project.data / "rolled_back.json"
