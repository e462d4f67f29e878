"""The structure of types: what arrays, domains, ranges, composites and enums consist of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import connection as PgConnection

_FIRST_USER_OID = 16384
# PostgreSQL 12 introduced generated columns.
_GENERATED_SINCE = 120000

# The name of a type, independent of the role's search path.
WRITTEN = f"""
case
    when {{type}}.oid < {_FIRST_USER_OID} then format_type({{type}}.oid, {{modifier}})
    else concat({{type}}.typname, nullif(concat('(', {{modifier}}, ')'), '(-1)'))
end
"""

# Each type that consists of others (domains, arrays, ranges, composites, enums), with its parts.
_PARTS = f"""
with recursive
parts (owner, kind, number, name, type, modifier) as (
    select 0::oid, '' collate "C", 0::bigint, '' collate "C", listed, -1
    from unnest(%(types)s::oid[]) as listed
    union
    select t.oid, part.*
    from parts
    join pg_type as t on t.oid = parts.type
    cross join lateral (
        select 'domain', 0::bigint, '', t.typbasetype, t.typtypmod where t.typtype = 'd'
        union all
        select 'array', 0, '', e.oid, -1
        from pg_type as e
        where t.typcategory = 'A' and e.oid = t.typelem and e.typtype <> 'b'
        union all
        select 'range', 0, '', r.rngsubtype, -1 from pg_range as r where r.rngtypid = t.oid
        union all
        select 'multirange', 0, '', r.rngtypid, -1
        from pg_range as r
        where t.typtype = 'm' and (to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid
        union all
        select 'composite', a.attnum, a.attname, a.atttypid, a.atttypmod
        from pg_attribute as a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        union all
        select 'enum', e.oid::bigint, e.enumlabel, 0, -1
        from pg_enum as e
        where t.typtype = 'e' and e.enumtypid = t.oid
    ) as part
)
select
    owner::bigint, kind, number, name, type::bigint,
    {WRITTEN.format(type="t", modifier="modifier")}
from parts
left join pg_type as t on t.oid = type
where owner <> 0
order by owner, number
"""


@dataclass(frozen=True)
class Use:
    """A use of a type: its OID, and its name with modifier, as PostgreSQL writes it."""

    type: int
    text: str


@dataclass(frozen=True)
class Part:
    """A part of a type: an attribute, an element type, a label."""

    kind: str
    number: int
    name: str
    of: Use


Parts = dict[int, list[Part]]


def read_parts(session: PgConnection, types: Collection[int]) -> Parts:
    """The parts of these types, at any depth."""
    parts: Parts = defaultdict(list)
    user_types = sorted(oid for oid in types if oid >= _FIRST_USER_OID)
    rows = rows_of_query(session, _PARTS, {"types": user_types}) if user_types else []
    for owner, kind, number, name, *of in rows:
        parts[owner].append(Part(kind, number, name, Use(*of)))
    return parts


def structure(use: Use, parts: Parts) -> str:
    """The structure of a type, domains resolved. Types of equal structure write values alike."""
    made_of = parts.get(use.type, [])
    kind = made_of[0].kind if made_of else ""
    if kind == "enum":
        return "enum"
    inner = [structure(part.of, parts) for part in made_of]
    if kind == "composite":
        named = (f"{part.name} {text}" for part, text in zip(made_of, inner, strict=True))
        return f"({', '.join(named)})"
    if kind == "domain":
        return inner[0]
    if kind == "array":
        return f"{inner[0]}[]"
    return f"{kind} of {inner[0]}" if kind else use.text


def members(of: int, parts: Parts) -> Iterator[tuple[str, str]]:
    """The enum labels and composite attributes in a type, at any depth, by their numbers."""
    for part in parts.get(of, []):
        if part.kind == "enum":
            yield str(part.number), part.name
        elif part.kind == "composite":
            yield f"{of}.{part.number}", part.name
        yield from members(part.of.type, parts)


def holds_money(use: Use, parts: Parts) -> bool:
    return use.text in ("money", "money[]") or any(
        holds_money(part.of, parts) for part in parts.get(use.type, [])
    )


def rows_of_query(
    session: PgConnection, query: str, arguments: dict[str, Any]
) -> list[tuple[Any, ...]]:
    """The rows of a query about types or columns, also on servers without generated columns."""
    if session.server_version < _GENERATED_SINCE:
        query = query.replace("a.attgenerated <> ''", "false")
    with session.cursor() as cursor:
        cursor.execute(query, arguments)
        return cursor.fetchall()
