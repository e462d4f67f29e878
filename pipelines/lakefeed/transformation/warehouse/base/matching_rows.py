"""Which rows of a model to read, whatever the engine: those that contain a key of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.loading.raw.row_key import KeyPart

# At most this many rows of a model are read; all are counted.
MOST_ROWS = 10
# Columns by which the newest versions are chosen when there are more.
_SINCE = ("valid_from", "dbt_valid_from")


@dataclass(frozen=True)
class Wanted:
    """The rows of a relation that contain a key.

    Attributes:
        relation: its schema and name.
        key: each part of the key, with the columns of which one must have its value.
    """

    relation: tuple[str, str]
    key: tuple[tuple[KeyPart, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Matching:
    """How many rows match, and the newest of them, with values as DuckDB's text.

    `unread` says why the relation can't be read; empty if it was.
    """

    total: int = 0
    rows: tuple[dict[str, str | None], ...] = ()
    unread: str = ""


NOT_BUILT = Matching(unread="it isn't in the warehouse yet")


@dataclass(frozen=True)
class Reference:
    """A column whose values are those of a column of the wanted rows.

    `relation` is the schema and name of the relation that refers to them.
    """

    relation: tuple[str, str]
    column: str
    to_column: str


def since(columns: Sequence[str]) -> str | None:
    """The column that says since when a row is valid; None without one."""
    return next((name for name in _SINCE if name in columns), None)
