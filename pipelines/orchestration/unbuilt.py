"""`data/unbuilt.json`: changes in staging that the models below have not seen yet.

Written before dbt starts and cleared when it has built all, so that a build which was killed, which
failed, or which held models back is made up for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.declaration.project import Project
from pipelines.textfile import replace_text


@dataclass(frozen=True)
class Unbuilt:
    """Tables whose change is not everywhere yet; `waiting_for` are failed tables that hold it up.

    Nothing to wait for means that the build was killed or failed, and is due at once.
    """

    changed: tuple[str, ...] = ()
    waiting_for: tuple[str, ...] = ()

    def due(self, failed: set[str]) -> set[str]:
        """What to build again now: nothing while all that it waits for still fails."""
        still_waiting = bool(self.waiting_for) and set(self.waiting_for) <= failed
        return set() if still_waiting else set(self.changed)

    def with_changed(self, names: Iterable[str]) -> Unbuilt:
        """As it stands while these are being built."""
        return Unbuilt(tuple(sorted({*self.changed, *names})))

    def built_but_for(self, held_back: Iterable[str]) -> Unbuilt:
        """As it stands after a build that left out the models below these tables."""
        waiting_for = tuple(sorted(held_back))
        return Unbuilt(self.changed, waiting_for) if waiting_for else Unbuilt()


def read_unbuilt(project: Project) -> Unbuilt:
    """What is left to build; nothing where there is no note."""
    path = _path(project)
    if not path.exists():
        return Unbuilt()
    fields = json.loads(path.read_text(encoding="utf-8"))
    return Unbuilt(tuple(fields["changed"]), tuple(fields["waiting_for"]))


def write_unbuilt(project: Project, unbuilt: Unbuilt) -> None:
    """Replaces the note whole; removes it where nothing is left."""
    path = _path(project)
    if unbuilt == Unbuilt():
        path.unlink(missing_ok=True)
        return
    replace_text(path, json.dumps(asdict(unbuilt)))


def _path(project: Project) -> Path:
    return project.data / "unbuilt.json"
