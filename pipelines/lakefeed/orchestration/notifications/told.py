"""What people were told already, in `data/notified.json`.

A file that can't be read counts as none: at worst, people are told something twice.
"""

from __future__ import annotations

from lakefeed.declaration.project import Project
from lakefeed.documents import Format
from lakefeed.errors import NewerFormat
from lakefeed.orchestration.notifications.news import Told
from lakefeed.textfile import replace_text

TOLD = Format(Told, "notification record")

_NAME = "notified.json"


def read_told(project: Project) -> Told:
    """What people were told of this project, in this environment."""
    path = project.data / _NAME
    try:
        return TOLD.read(path.read_bytes(), str(path))
    except (OSError, ValueError, NewerFormat):
        return Told({})


def keep_told(project: Project, told: Told) -> None:
    """Replaces the record.

    Raises:
        OSError: it can't be written.
    """
    path = project.data / _NAME
    if told != Told({}):
        replace_text(path, TOLD.text(told), durable=False)
    else:
        path.unlink(missing_ok=True)
