"""Chooses names in the lake for tables whose default names collide."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from lakefeed.declaration.table_names import LONGEST_LAKE_NAME, default_name


def names_in_lake(
    source: str, schema: str, tables: Sequence[tuple[str, str]]
) -> Mapping[tuple[str, str], str | None]:
    """A `name` for each table whose default name is another's as well; None for all others.

    Outside the source's own schema, that name begins with the table's schema, so that it doesn't
    depend on which other schemas are declared.

    Args:
        schema: the source's own schema.
        tables: schema and name of each.
    """
    defaults = {table: default_name(source, table[1]) for table in tables}
    often = Counter(_folded(name) for name in defaults.values())
    prefixed = {t for t, name in defaults.items() if t[0] != schema and often[_folded(name)] > 1}
    # A table whose own name equals its default name keeps it.
    keeping = {t for t, name in defaults.items() if t[1] == name and t not in prefixed}
    taken = {_folded(defaults[table]) for table in keeping}
    names: dict[tuple[str, str], str | None] = dict.fromkeys(tables)
    for table in tables:
        if table in keeping:
            continue
        name = defaults[table]
        if table in prefixed:
            free = _free_name(source, "_".join(table), taken)
        elif _folded(name) in taken:
            free = _free_name(source, name, {*taken, _plain(source, name)})
        else:
            taken.add(_folded(name))
            continue
        taken.add(free)
        names[table] = free
    return names


def _free_name(source: str, name: str, taken: set[str]) -> str:
    """The name in the characters that `name` allows, with a number if it is taken."""
    plain = free = _plain(source, name)
    number = 1
    while free in taken:
        number += 1
        free = f"{plain}_{number}"
    return free


def _plain(source: str, name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"\W+", "_", plain).strip("_").lower()
    plain = plain if re.match("[a-z]", plain) else f"table_{plain}".rstrip("_")
    return plain[: LONGEST_LAKE_NAME - len(f"{source}__") - len("_9999")]


def _folded(name: str) -> str:
    """One spelling for all names that case-insensitive or normalizing file systems confuse."""
    return unicodedata.normalize("NFKC", name).casefold()
