"""Which of a database's schemas `init` declares."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from lakefeed.errors import DeclarationError

DEFAULT_SCHEMA = "public"
_MOST_NAMED = 3


def choose_schemas(asked: Sequence[str], counts: Mapping[str, int]) -> list[str]:
    """The schemas that these names and wildcards mean; `public` if there are none.

    A name that a schema has is that schema, even if it looks like a wildcard.

    Args:
        counts: the number of tables in each schema that has some, PostgreSQL's own left out.

    Raises:
        DeclarationError: one of them means no schema with tables.
    """
    chosen: dict[str, None] = {}
    for pattern in asked or (DEFAULT_SCHEMA,):
        found = [pattern] if pattern in counts else _matching(pattern, counts)
        if not found:
            raise _none_found(pattern, counts)
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def own_schema(schemas: Sequence[str]) -> str:
    """The schema whose tables are declared without it."""
    return schemas[0] if len(schemas) == 1 else DEFAULT_SCHEMA


def how_to_choose(counts: Mapping[str, int]) -> str:
    """The schemas that have tables, and the command that declares them; empty if none has."""
    if not counts:
        return ""
    listed = ", ".join(f"{name} ({count})" for name, count in counts.items())
    command = 'lakefeed init --connection "$URL"'
    some = " ".join(f"--schema {shlex.quote(name)}" for name in list(counts)[:_MOST_NAMED])
    if len(counts) == 1:
        return f"another schema has tables: {listed}; to declare it:\n  {command} {some}"
    return (
        f"other schemas have tables: {listed}; to declare some of them, or all:\n"
        f"  {command} {some}\n"
        f"  {command} --all-schemas"
    )


def _matching(pattern: str, counts: Mapping[str, int]) -> list[str]:
    return [name for name in counts if fnmatchcase(name, pattern)]


def _none_found(pattern: str, counts: Mapping[str, int]) -> DeclarationError:
    is_wildcard = any(sign in pattern for sign in "*?[")
    what = f"no schema with tables matches `{pattern}`"
    return DeclarationError(
        what if is_wildcard else f"schema `{pattern}` has no tables",
        do=how_to_choose(counts) or "create tables first; no schema of this database has any",
    )
