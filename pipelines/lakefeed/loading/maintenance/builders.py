"""Which warehouses are built from a raw layer: several projects may share one.

raw/_lakefeed_builds/<id>.json    one of each warehouse, replaced by each of its publications

A prune in one project must not remove what another's warehouse has yet to build.
"""

from __future__ import annotations

import hashlib
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.documents import Format
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.object_store.writing import replace_file
from lakefeed.loading.raw.table_folders import BUILDS_FOLDER
from lakefeed.textfile import replace_text


@dataclass(frozen=True)
class Builder:
    """A warehouse that is built from a raw layer, as of its last publication.

    Attributes:
        place: where it is, without secrets.
        host: the machine that built it.
        published_at: ISO 8601, in UTC.
        newest_loads: by lake name of each table that it has, the newest load in it.
        file: the record's file in raw; not recorded.
    """

    place: str
    host: str
    published_at: str
    newest_loads: Mapping[str, str | None] = field(default_factory=dict)
    file: str = ""

    @property
    def shown(self) -> str:
        """It, and when and on which machine it was built."""
        return f"{self.place} (last built {self.published_at[:10]} on {self.host})"


BUILDER = Format(Builder, "record of a warehouse", brief=True)


def note_builder(
    project: Project, place: str, newest_loads: Mapping[str, str | None], published_at: str
) -> None:
    """Records what the project's warehouse has of raw.

    Args:
        place: where the warehouse is, from anywhere.
    """
    filesystem, root = open_raw(project.raw)
    path = f"{root}/{BUILDS_FOLDER}/{_identity(project, place)}.json"
    builder = Builder(place, socket.gethostname(), published_at, dict(newest_loads))
    replace_file(filesystem, path, BUILDER.text(builder), is_local=project.raw.is_local)


def other_builders(project: Project, place: str) -> tuple[Builder, ...]:
    """The other warehouses that are built from the project's raw layer, by place.

    Raises:
        NewerFormat: a newer version of Lakefeed built one.
    """
    filesystem, root = open_raw(project.raw)
    folder = f"{root}/{BUILDS_FOLDER}"
    if not filesystem.isdir(folder):
        return ()
    own, found = f"{_identity(project, place)}.json", []
    for path in map(str, filesystem.ls(folder, detail=False)):
        name = path.rpartition("/")[2]
        if name.endswith(".json") and name != own:
            builder = BUILDER.read(filesystem.cat_file(path), path)
            found.append(replace(builder, file=f"{BUILDS_FOLDER}/{name}"))
    return tuple(sorted(found, key=lambda builder: (builder.place, builder.file)))


def _identity(project: Project, place: str) -> str:
    """What tells a warehouse from all others that are built from its raw layer.

    A catalogue is one wherever it is named. The path of a file may be the same on two machines, and
    changes with a project that is moved, raw and all.
    """
    parts = [place]
    if project.declaration.warehouse.type == "duckdb":
        known = project.data / "builder"
        if not known.exists():
            known.parent.mkdir(parents=True, exist_ok=True)
            replace_text(known, uuid.uuid4().hex, durable=False)
        own = known.read_text(encoding="utf-8").strip()
        moves_along = project.raw.is_local and Path(project.raw.url).is_relative_to(project.root)
        parts = [own] if moves_along else [place, own]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
