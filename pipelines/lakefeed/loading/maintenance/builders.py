"""Which warehouses are built from a raw layer: several projects may share one.

raw/_lakefeed_builds/<id>.json    one of each warehouse, replaced by each of its publications

A prune in one project must not remove what another's warehouse has yet to build.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lakefeed.declaration.project import Project
from lakefeed.documents import Format
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.object_store.writing import replace_file
from lakefeed.loading.raw.table_folders import BUILDS_FOLDER


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
    project: Project,
    identity: str,
    newest_loads: Mapping[str, str | None],
    *,
    place: str,
    published_at: str,
) -> None:
    """Records what the project's warehouse has of raw.

    Args:
        identity: what tells the warehouse from all others that are built from this raw layer.
        place: where it is, from anywhere.
    """
    filesystem, root = open_raw(project.raw)
    path = f"{root}/{BUILDS_FOLDER}/{_file_name(identity)}"
    builder = Builder(place, socket.gethostname(), published_at, dict(newest_loads))
    replace_file(filesystem, path, BUILDER.text(builder), is_local=project.raw.is_local)


def other_builders(project: Project, identity: str) -> tuple[Builder, ...]:
    """The other warehouses that are built from the project's raw layer, by place.

    Args:
        identity: what tells the project's own from them.

    Raises:
        NewerFormat: a newer version of Lakefeed built one.
    """
    filesystem, root = open_raw(project.raw)
    folder = f"{root}/{BUILDS_FOLDER}"
    if not filesystem.isdir(folder):
        return ()
    own, found = _file_name(identity), []
    for path in map(str, filesystem.ls(folder, detail=False)):
        name = path.rpartition("/")[2]
        if name.endswith(".json") and name != own:
            builder = BUILDER.read(filesystem.cat_file(path), path)
            found.append(replace(builder, file=f"{BUILDS_FOLDER}/{name}"))
    return tuple(sorted(found, key=lambda builder: (builder.place, builder.file)))


def _file_name(identity: str) -> str:
    return f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"
