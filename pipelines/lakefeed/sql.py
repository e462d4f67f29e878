"""How names and values are written in SQL, for PostgreSQL and DuckDB alike."""

from __future__ import annotations

import re
from pathlib import Path

from lakefeed.duckdb_paths import as_pattern


def quote(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_qualified(schema: str, name: str) -> str:
    """A relation's name with its schema, both quoted."""
    return f"{quote(schema)}.{quote(name)}"


def sql_name(*names: str) -> str:
    """A name as one would write it by hand: quoted only where it must be."""
    return ".".join(n if re.fullmatch(r"[a-z_][a-z0-9_]*", n) else quote(n) for n in names)


def literal(text: str) -> str:
    """Text as a string literal."""
    return "'" + text.replace("'", "''") + "'"


def file_literal(path: str | Path) -> str:
    """The path of a file that DuckDB reads, as a string literal, whatever characters it has."""
    return literal(as_pattern(str(path)))
