"""Compares two versions of a declaration: pairs their tables, and lists the changed settings.

Effective settings are compared, so that a changed default is listed for each table that it applies
to, and a setting that is only written differently isn't listed at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from lakefeed.declaration.explain import NOTHING, effective_settings, shown
from lakefeed.declaration.models.declaration import Declaration
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table

# These are compared table by table, as effective settings.
_BY_TABLE = {"version", "defaults", "sources", "tables"}
# This is compared with the names that a source has by default.
_APART = {*_BY_TABLE, "wal"}


@dataclass(frozen=True)
class Difference:
    """A setting with its old and new value (`-` if not set), and the `file:line` that sets it."""

    setting: str
    before: str
    now: str
    where: str


@dataclass(frozen=True)
class TablePair:
    """A declared table before and now; `before` is None if it is new, `now` if it was removed."""

    before: Table | None
    now: Table | None


def pair_tables(before: Sequence[Table], now: Sequence[Table]) -> list[TablePair]:
    """Pairs the tables of two declarations: the current ones in their order, then the removed ones.

    Tables are paired if they are the same table of the same source, whatever their names in the
    lake; otherwise if they have the same name in the lake.
    """
    by_relation = {(table.source, table.qualified): table for table in before}
    found = {
        table.lake_name: by_relation.pop((table.source, table.qualified), None) for table in now
    }
    by_name = {table.lake_name: table for table in by_relation.values()}
    pairs = [
        TablePair(found[table.lake_name] or by_name.pop(table.lake_name, None), table)
        for table in now
    ]
    return pairs + [TablePair(table, None) for table in by_name.values()]


def table_differences(before: Table, now: Table, project: Project) -> Iterator[Difference]:
    """The effective settings of a table that changed.

    Args:
        project: the project that `now` belongs to.
    """
    old, new = dict(effective_settings(before)), dict(effective_settings(now))
    # The pipeline's name follows from the table's, which is compared already.
    for name in dict.fromkeys(setting for setting in (*new, *old) if setting != "pipeline"):
        was, value = old.get(name, NOTHING), new.get(name, NOTHING)
        if was != value:
            yield Difference(name, was, value, _place_of(now, name, project))


def file_differences(before: Project, now: Project) -> Iterator[Difference]:
    """The changed settings of the project as a whole and of its sources."""
    for section in (name for name in Declaration.model_fields if name not in _BY_TABLE):
        old, new = getattr(before.declaration, section), getattr(now.declaration, section)
        if isinstance(new, BaseModel):
            yield from _field_differences(old, new, (section,), now)
        elif old != new:
            where = now.declared.document.where((section,))
            yield Difference(section, shown(old), shown(new), where)
    sources = before.declaration.sources
    for name, source in now.declaration.sources.items():
        if name in sources:
            yield from _field_differences(sources[name], source, ("sources", name), now)
            yield from _wal_differences(before, now, name)


def _field_differences(
    before: BaseModel, now: BaseModel, path: tuple[str, ...], project: Project
) -> Iterator[Difference]:
    for name, field in type(now).model_fields.items():
        if name in _APART:
            continue
        was, value = getattr(before, name), getattr(now, name)
        if was != value:
            place = (*path, field.alias or name)
            where = project.declared.document.where(place)
            yield Difference(".".join(place), shown(was), shown(value), where)


def _wal_differences(before: Project, now: Project, source: str) -> Iterator[Difference]:
    """The changes in how the log of a source is read, default names included."""
    was, now_is = before.wal_of(source).texts, now.wal_of(source).texts
    for name in was:
        if was[name] != now_is[name]:
            path = ("sources", source, "wal", name)
            where = now.declared.document.where(path)
            yield Difference(".".join(path), was[name], now_is[name], where)


def _place_of(table: Table, setting: str, project: Project) -> str:
    """The line of a single test or column; otherwise of the setting, or of the table if it is a
    default."""
    if setting in table.paths:
        return project.declared.document.where(table.paths[setting])
    name, _, below = setting.partition(".")
    if below and name in table.paths:
        path = (*table.paths[name], *below.split(".", 1))
        return project.declared.document.where(path)
    return table.where_of(name).removesuffix(" (null)")
