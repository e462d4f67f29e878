"""What two states of a declaration mean differently: their tables in pairs, and their settings.

Settings are compared as they are in effect, so that a changed default shows at each table that it
reaches, and one that is merely written otherwise nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from lakefeed.declaration.explain import effective_settings, shown
from lakefeed.declaration.models import Declaration
from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table

# How a value is shown that there is none of.
NOTHING = "-"
# What a table's entry adds up to is compared table by table.
_BY_TABLE = {"version", "defaults", "sources", "tables"}


@dataclass(frozen=True)
class Difference:
    """A setting with its values before and now, `-` for none, and where it stands now."""

    setting: str
    before: str
    now: str
    where: str


@dataclass(frozen=True)
class TablePair:
    """A declared table before and now; one of them is None where it came or went."""

    before: Table | None
    now: Table | None


def pair_tables(before: Sequence[Table], now: Sequence[Table]) -> list[TablePair]:
    """Every table once, in the order of now, then what is gone.

    The same table of the same source is one, whatever it is called in the lake; else what has the
    same name in the lake.
    """
    by_relation = {(one.source, one.qualified): one for one in before}
    found = {one.lake_name: by_relation.pop((one.source, one.qualified), None) for one in now}
    by_name = {one.lake_name: one for one in by_relation.values()}
    pairs = [
        TablePair(found[one.lake_name] or by_name.pop(one.lake_name, None), one) for one in now
    ]
    return pairs + [TablePair(one, None) for one in by_name.values()]


def table_differences(before: Table, now: Table, project: Project) -> Iterator[Difference]:
    """The settings of a table that are in effect otherwise than before.

    Args:
        project: the one that `now` is a table of.
    """
    old, new = dict(effective_settings(before)), dict(effective_settings(now))
    # A pipeline is called as its table.
    for name in dict.fromkeys(one for one in (*new, *old) if one != "pipeline"):
        was, value = old.get(name, NOTHING), new.get(name, NOTHING)
        if was != value:
            yield Difference(name, was, value, _place_of(now, name, project))


def file_differences(before: Project, now: Project) -> Iterator[Difference]:
    """What is declared of the whole project, and of sources, otherwise than before."""
    for section in (name for name in Declaration.model_fields if name not in _BY_TABLE):
        old, new = getattr(before.declaration, section), getattr(now.declaration, section)
        yield from _field_differences(old, new, (section,), now)
    sources = before.declaration.sources
    for name, source in now.declaration.sources.items():
        if name in sources:
            yield from _field_differences(sources[name], source, ("sources", name), now)


def _field_differences(
    before: BaseModel, now: BaseModel, path: tuple[str, ...], project: Project
) -> Iterator[Difference]:
    for name, field in type(now).model_fields.items():
        if name in _BY_TABLE:
            continue
        was, value = getattr(before, name), getattr(now, name)
        if was != value:
            place = (*path, field.alias or name)
            where = project.declared.document.where(place)
            yield Difference(".".join(place), shown(was), shown(value), where)


def _place_of(table: Table, setting: str, project: Project) -> str:
    """Of a test its own line; of a setting that is a default the table's."""
    name, _, below = setting.partition(".")
    if below and name in table.paths:
        path = (*table.paths[name], *below.split(".", 1))
        return project.declared.document.where(path)
    return table.where_of(name).removesuffix(" (null)")
