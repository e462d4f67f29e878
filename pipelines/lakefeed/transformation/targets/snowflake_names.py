"""How names are written in Snowflake, where an unquoted one is an upper-case one.

A name of lower-case letters, digits and underscores becomes the upper-case name that a user means
who writes it without quotes: `order_id` is ORDER_ID. Any other is that very name, in quotes. Names
of columns never differ by case alone, as DuckDB has them.
"""

from __future__ import annotations

import re

from sqlglot import exp

_PLAIN = re.compile(r"^[a-z_][a-z0-9_$]*$")
_PLAIN_STORED = re.compile(r"^[A-Z_][A-Z0-9_$]*$")


def stored_name(name: str) -> str:
    """The name in Snowflake of what Lakefeed or a model names so."""
    return name.upper() if _PLAIN.match(name) else name


def name_of(stored: str) -> str:
    """The name by which Lakefeed knows what has this name in Snowflake."""
    return stored.lower() if _PLAIN_STORED.match(stored) else stored


def identified(identifier: exp.Identifier) -> str:
    """The name by which Lakefeed knows what an identifier in SQL means."""
    return name_of(identifier.name if identifier.args.get("quoted") else identifier.name.upper())


def quoted(*names: str) -> str:
    """A name with these parts in SQL; always in quotes, since it may be a word of the language."""
    return ".".join('"' + stored_name(name).replace('"', '""') + '"' for name in names)


def text_literal(text: str) -> str:
    """A text as a literal, in which a backslash escapes.

    Source: https://docs.snowflake.com/en/sql-reference/data-types-text#escape-sequences
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
