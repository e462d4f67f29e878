"""How far each table of a source has come in the log: a file in raw, for tables without news.

    raw/_lakefeed_wal.shop.json

A table that brings nothing new has no load whose checkpoint could say so. The file is written
before the slot is advanced, by whoever holds the slot. What a load has committed since counts too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lakefeed.declaration.models.table_settings import LOG
from lakefeed.declaration.project import Location, Project
from lakefeed.documents import Format
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.object_store.writing import replace_file
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load, checkpoint_after
from lakefeed.loading.raw.load_manifest import effective as effective_of
from lakefeed.source.log.lsn import parse_lsn


@dataclass(frozen=True)
class Position:
    """Up to where a table's changes are in raw, as PostgreSQL writes it (`0/16B3748`).

    `load_id` is the newest load at that time: a load of the whole table since, after a slot was
    made anew, may have begun before this position. `history` is that of the server then. `at` is
    a moment by its clock, as ISO 8601: all that it had committed below the position, it had before.
    """

    load_id: str
    lsn: str
    history: str | None = None
    at: str | None = None


@dataclass(frozen=True)
class FirstSeen:
    """A publication as it is (`PublishedSince.key`), and the number of the transaction that was the
    next one when it was first seen so."""

    key: str
    following: int


@dataclass(frozen=True)
class Positions:
    """The positions of a source's tables in the log, by their names in the lake."""

    slot: str = ""
    tables: dict[str, Position] = field(default_factory=dict)
    published: FirstSeen | None = None


POSITIONS = Format(Positions, "record of log positions", "1.2", indent=1)


def read_positions(raw: Location, source: str) -> Positions:
    """The noted positions of a source's tables; empty if there are none."""
    filesystem, root = open_raw(raw)
    path = _path(root, source)
    try:
        text = filesystem.cat_file(path)
    except FileNotFoundError:
        return Positions()
    return POSITIONS.read(text, path)


def write_positions(raw: Location, source: str, positions: Positions) -> None:
    """Replaces the noted positions, in one step."""
    filesystem, root = open_raw(raw)
    text = POSITIONS.text(positions)
    replace_file(filesystem, _path(root, source), text, is_local=raw.is_local, durable=True)


def position_of(effective: Sequence[Load], noted: Position | None) -> int | None:
    """Up to where the changes of a table are in raw; None if no load has read its log's position.

    Args:
        effective: the loads that count, oldest first.
    """
    checkpoint = checkpoint_after(effective)
    if checkpoint is None or not reads_log(effective):
        return None
    reached = parse_lsn(checkpoint)
    if noted and noted.load_id == effective[-1].load_id:
        return max(reached, parse_lsn(noted.lsn))
    return reached


def unless_noted(position: Position, noted: Position | None) -> Position:
    """The position, or what is noted where that differs by its moment alone, which is as true."""
    is_same = noted and noted.at and replace(position, at=noted.at) == noted
    return noted if noted and is_same else position


def noted_at(effective: Sequence[Load], noted: Position | None) -> dt.datetime | None:
    """When the server had all that is below a table's position, by its clock; None if unknown."""
    is_of_newest = noted and effective and noted.load_id == effective[-1].load_id
    return dt.datetime.fromisoformat(noted.at) if noted and is_of_newest and noted.at else None


def reads_log(effective: Sequence[Load]) -> bool:
    """Whether the newest load of a table was one by the log, rather than by another cursor."""
    read_as = effective[-1].read_as if effective else None
    return read_as is not None and read_as.cursor == LOG


def committed_position(raw: Location, table: str) -> int | None:
    """Up to where the loads of a table are in raw, whatever is noted; None if none is by the log.

    Args:
        table: its name in the lake.
    """
    return position_of(effective_of(CommitLog(raw, table).loads()), None)


def has_read_log(project: Project, source: str) -> bool:
    """Whether this project has loaded a table of a source by its log before."""
    tables = [table for table in project.tables_of(source) if table.reads_log]
    return bool(read_positions(project.raw, source).tables) or any(
        committed_position(project.raw, table.lake_name) is not None for table in tables
    )


def _path(root: str, source: str) -> str:
    return f"{root}/_lakefeed_wal.{source}.json"
