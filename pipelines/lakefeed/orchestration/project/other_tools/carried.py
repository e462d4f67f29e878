"""How another tool loads tables, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from lakefeed.declaration.catalogue import CatalogueTable

# `log`: by the database's log. `row_versions`: by `xmin`. `unknown`: by what Lakefeed lacks.
Method = Literal["whole", "cursor", "log", "row_versions", "unknown"]

# Words in the names of functions that keep a value secret.
_HIDING = ("hash", "mask", "crypt", "md5", "sha", "redact", "null", "fake")


@dataclass(frozen=True)
class Carried:
    """How a table is loaded.

    Attributes:
        cursor: the column by which new rows are found, where `method` is `cursor`.
        initial_value: where the first load starts.
        lookback: as in sources.yaml; empty if the tool has none.
        primary_key: empty if it is the database's.
        include: the only columns to load; empty for all.
        exclude: columns that aren't loaded.
        hidden: columns that are hashed or masked, so that their values aren't to be loaded.
        hashed: columns of which the SHA-256 of the text is loaded, as Lakefeed can.
        renamed: other names of columns, by their names in the source.
        where: a condition in the source's SQL.
        deletes: what becomes of deleted rows, if that is known.
        on_null_cursor: as in sources.yaml, if that is known.
        is_paused: it isn't loaded until it is switched on again.
    """

    method: Method
    cursor: str = ""
    initial_value: Any = None
    lookback: str = ""
    primary_key: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    deletes: str = ""
    on_null_cursor: str = ""
    tags: tuple[str, ...] = ()
    is_paused: bool = False


@dataclass(frozen=True)
class Queried:
    """A query that is loaded like a table. `carried` says how, as far as its columns allow.

    `shown` is its name in the file.
    """

    shown: str
    name: str
    query: str
    carried: Callable[[CatalogueTable], Carried]


@dataclass(frozen=True)
class Imported:
    """The tables that a file loads, by qualified name, and what of it can't be carried over.

    `left` holds what it is about (a table, a section) and what isn't carried over, or why.
    `queries` are those loaded besides.
    """

    tables: Mapping[str, Carried]
    left: tuple[tuple[str, str], ...]
    queries: tuple[Queried, ...] = ()


def tables_named(tables: Sequence[CatalogueTable], schema: str, name: str) -> list[CatalogueTable]:
    """The tables with this schema and name.

    If there is none, those that differ in case alone: most tools don't quote names.
    """
    exact = [table for table in tables if (table.schema, table.name) == (schema, name)]
    wanted = (schema.lower(), name.lower())
    return exact or [t for t in tables if (t.schema.lower(), t.name.lower()) == wanted]


def columns_named(table: CatalogueTable, names: Iterable[str]) -> tuple[str, ...]:
    """The table's columns with these names, or with names that differ in case alone; names of no
    column as they are."""
    columns = [column.name for column in table.columns]
    folded = {column.lower(): column for column in columns}
    return tuple(name if name in columns else folded.get(name.lower(), name) for name in names)


def names_in(table: CatalogueTable, renamed: Mapping[str, str]) -> dict[str, str]:
    """Other names of columns, by the names that the table has for them."""
    known = {column.name for column in table.columns}
    found = dict(zip(columns_named(table, renamed), renamed.values(), strict=True))
    return {column: name for column, name in found.items() if column in known and name != column}


def is_match(text: str, pattern: str) -> bool:
    """Whether a name meets a wildcard, in whatever case."""
    return fnmatchcase(text.lower(), pattern.lower())


def is_view(table: CatalogueTable) -> bool:
    """Whether it is a view, which wildcards leave out."""
    return table.kind in ("view", "materialized view")


def hides(transformation: object) -> bool:
    """Whether a transformation of a column's values keeps them secret."""
    text = str(transformation).lower()
    return any(word in text for word in _HIDING)


def as_mapping(value: object) -> Mapping[str, Any]:
    """A mapping with names as keys; an empty one for anything else."""
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def as_names(value: object) -> tuple[str, ...]:
    """A list of names; one name, or several with commas, as a list of them."""
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return tuple(map(str, value)) if isinstance(value, Sequence) else ()
