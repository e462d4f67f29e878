"""Parses and formats table names in `sources.yaml`: `orders`, `audit.events`, `"audit.*"`; and
spells them for the lake.

As in SQL, a part in double quotes is taken literally, so that every name can be written:
`"a.b"."what?"` is the table `what?` in the schema `a.b`, not a wildcard.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from lakefeed.declaration.models.declaration import SourceDeclaration

_WILDCARD = re.compile(r"[*?\[]")
_QUOTED = r'"(?:[^"]|"")+"'
# Quotes are syntax only if they enclose a whole part; otherwise they belong to the name.
_WITH_QUOTES = re.compile(rf'(?:({_QUOTED}|[^".]+)\.)?({_QUOTED})|({_QUOTED})\.([^"]+)')
_BARE_SCHEMA = re.compile(r'[^".*?\[]+')
_BARE_NAME = re.compile(r'[^"*?\[]+')

LONGEST_LAKE_NAME = 120
_ROOM_FOR_A_DIGEST = 20
# Windows reserves these names for devices, and dlt refuses them as file names.
RESERVED = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Entry:
    """An entry of `tables`: one table, or a wildcard for all with a matching schema and name."""

    schema: str
    name: str
    schema_is_pattern: bool = False
    name_is_pattern: bool = False

    @property
    def is_wildcard(self) -> bool:
        return self.schema_is_pattern or self.name_is_pattern

    @property
    def qualified(self) -> str:
        """The entry with its schema spelled out."""
        return f"{self.schema}.{self.name}" if self.is_wildcard else spelled(self.schema, self.name)

    def matches(self, qualified: str) -> bool:
        """Whether the entry applies to the table with this qualified name."""
        schema, name = split(qualified)
        return _fits(schema, self.schema, self.schema_is_pattern) and _fits(
            name, self.name, self.name_is_pattern
        )


@cache
def read_entry(entry: str, schema: str) -> Entry:
    """Parses an entry of a source with this default schema."""
    match = _WITH_QUOTES.fullmatch(entry)
    if match:
        first, second = match[1] or match[3], match[2] or match[4]
    else:
        before, dot, after = entry.partition(".")
        first, second = (before, after) if dot else (None, entry)
    name_is_pattern = _is_pattern(second)
    if first is None:
        is_pattern = name_is_pattern and _is_pattern(schema)
        return Entry(schema, _unquoted(second), is_pattern, name_is_pattern)
    return Entry(_unquoted(first), _unquoted(second), _is_pattern(first), name_is_pattern)


def spelled(schema: str, name: str) -> str:
    """A table's qualified name, such as `public.orders`, quoted only if it would be ambiguous.

    It is unique, and as an entry of `tables` it means this table.
    """
    plain = f"{schema}.{name}"
    if read_entry(plain, "") == Entry(schema, name):
        return plain
    return f"{_quoted(schema, _BARE_SCHEMA)}.{_quoted(name, _BARE_NAME)}"


def split(qualified: str) -> tuple[str, str]:
    """Schema and name of a qualified name; the inverse of `spelled`."""
    entry = read_entry(qualified, "")
    return entry.schema, entry.name


def shortest_entry(schema: str, name: str) -> str:
    """The shortest entry for a table in a source that has `schema` as its default."""
    return name if read_entry(name, schema) == Entry(schema, name) else spelled(schema, name)


def is_wildcard(entry: str) -> bool:
    return read_entry(entry, "").is_wildcard


def qualify(entry: str, schema: str) -> str:
    """`orders` becomes `public.orders`; `audit.events` stays."""
    return read_entry(entry, schema).qualified


def wildcards_of(source: SourceDeclaration) -> list[str]:
    return [entry for entry in source.tables if is_wildcard(entry)]


def matching_wildcards(qualified: str, wildcards: Sequence[str], schema: str) -> list[str]:
    """The entries among `wildcards_of` a source that match a table, the most specific last.

    Args:
        schema: the source's default schema.
    """
    matches = [entry for entry in wildcards if read_entry(entry, schema).matches(qualified)]
    return sorted(matches, key=lambda entry: len(_WILDCARD.sub("", entry)))


def _is_pattern(part: str) -> bool:
    return not _is_quoted(part) and bool(_WILDCARD.search(part))


def _is_quoted(part: str) -> bool:
    return bool(re.fullmatch(_QUOTED, part))


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if _is_quoted(part) else part


def _quoted(part: str, bare: re.Pattern[str]) -> str:
    return part if bare.fullmatch(part) else '"' + part.replace('"', '""') + '"'


def _fits(text: str, wanted: str, is_pattern: bool) -> bool:
    return fnmatchcase(text, wanted) if is_pattern else text == wanted


def lake_name_of(name: str) -> str:
    """The lake's spelling of a name: lower case, with `_` for anything but letters and digits."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def default_name(source: str, name: str) -> str:
    """A table's name in the lake if none is declared: its lake spelling.

    With a digest if that is empty or too long, and with a trailing `_` if it is reserved.
    """
    if lake_name_of(name) in RESERVED:
        return f"{lake_name_of(name)}_"
    wanted, room = lake_name_of(name), LONGEST_LAKE_NAME - len(f"{source}__")
    if wanted and (len(wanted) <= room or room < _ROOM_FOR_A_DIGEST):
        return wanted
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{wanted[: room - 9] or 'table'}_{digest}"
