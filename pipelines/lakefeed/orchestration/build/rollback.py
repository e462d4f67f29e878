"""`lakefeed rollback`: publishes the previous version and keeps it until building is resumed.

The next scheduled run would rebuild from raw and silently undo the rollback. So the warehouse keeps
a note of it: while that is there, runs load but don't build, on whatever machine.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.documents import Format
from lakefeed.errors import Refused
from lakefeed.transformation.warehouse.base.warehouse import Version
from lakefeed.transformation.warehouse.declared import warehouse_of

_RESUME = "lakefeed rollback --resume"


@dataclass(frozen=True)
class Rollback:
    """The publication times of the restored version and of the one it replaced.

    `undone` is None if the replaced version could not be read; `set_aside` is then its new path.
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
    warehouse = warehouse_of(project)
    with warehouse.lock():
        current = warehouse.current()
        before = warehouse.version_before(current)
        if before is None:
            raise Refused(
                "no earlier version of the warehouse is kept",
                do="to build the warehouse from raw: lakefeed rebuild (`warehouse: {keep: …}` "
                "in sources.yaml sets how many earlier versions are kept)",
            )
        rollback = Rollback(_time_of(before), _time_of(current) if current else None)
        warehouse.note_rollback(ROLLBACK.text(rollback))
        aside = warehouse.return_to(before, current)
    return replace(rollback, set_aside=str(aside.path) if aside else None)


def read_rollback(project: Project) -> Rollback | None:
    """The rollback in effect, if any.

    Raises:
        NewerFormat: a newer version of Lakefeed rolled back.
    """
    note = warehouse_of(project).rollback_note()
    return ROLLBACK.read(*note) if note else None


def resume(project: Project) -> Rollback | None:
    """Lets runs build again; returns the rollback that was in effect."""
    rollback = read_rollback(project)
    if rollback:
        warehouse_of(project).note_rollback(None)
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


def _time_of(version: Version) -> str:
    return version.published_at.strftime("%Y-%m-%d %H:%M:%S UTC")
