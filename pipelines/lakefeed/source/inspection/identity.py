"""Reads what identifies columns and views apart from their names, for many tables at once.

The number of a column never changes, and neither do those of enum labels and composite attributes.
Names may: columns can swap theirs, and a label can be renamed.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import MONEY, CatalogueTable, ColumnIdentity

_K = TypeVar("_K", bound=Hashable)

_FIRST_USER_OID = 16384
# PostgreSQL 12 introduced generated columns.
_GENERATED_SINCE = 120000

# The name of a type, independent of the role's search path.
_WRITTEN = f"""
case
    when {{type}}.oid < {_FIRST_USER_OID} then format_type({{type}}.oid, {{modifier}})
    else concat({{type}}.typname, nullif(concat('(', {{modifier}}, ')'), '(-1)'))
end
"""

_COLUMNS = f"""
select
    a.attrelid::bigint, a.attname, a.attnum, t.oid::bigint,
    {_WRITTEN.format(type="t", modifier="a.atttypmod")}
from pg_attribute as a
join pg_type as t on t.oid = a.atttypid
where a.attrelid = any(%(tables)s::oid[]) and a.attnum > 0 and not a.attisdropped
"""

# Definitions are compared as the server's parse trees, in which columns are numbers. Reading them
# takes no lock, whereas `pg_get_viewdef` waits for a session that alters a table below the view.

# A partition may compute a generated column differently than its parent.
_EXPRESSIONS = """
with recursive trees (root, oid) as (
    select listed, listed from unnest(%(tables)s::oid[]) as listed
    union all
    select trees.root, i.inhrelid
    from trees
    join pg_inherits as i on i.inhparent = trees.oid
)
select distinct trees.root::bigint, a.attname, md5(d.adbin::text)
from trees
join pg_attribute as a on a.attrelid = trees.oid and a.attgenerated <> ''
join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
order by 1, 2, 3
"""

# A view's rows depend on the views and functions that it uses, and on the columns that they read.
_VIEWS = rf"""
with recursive used (view, class, id, number) as (
    select oid, 'pg_class'::regclass::oid, oid, 0
    from pg_class
    where oid = any(%(tables)s::oid[]) and relkind in ('v', 'm')
    union
    select used.view, d.refclassid, d.refobjid, d.refobjsubid
    from used
    join pg_rewrite as r on r.ev_class = used.id and used.class = 'pg_class'::regclass
    join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
)
select distinct
    used.view::bigint, md5(regexp_replace(r.ev_action::text, ':relid \d+', '', 'g')), 0::bigint, ''
from used
join pg_class as c on c.oid = used.id and c.relkind in ('v', 'm')
join pg_rewrite as r on r.ev_class = c.oid
where used.class = 'pg_class'::regclass
union all
select distinct used.view::bigint, concat(c.relnamespace::regnamespace, '.', c.relname), 0, ''
from used
join pg_class as c on c.oid = used.id and c.oid <> used.view
where used.class = 'pg_class'::regclass
union all
select used.view::bigint, md5(concat(p.prosrc, to_jsonb(p) ->> 'prosqlbody')), 0, ''
from used
join pg_proc as p on p.oid = used.id
where used.class = 'pg_proc'::regclass
union all
select used.view::bigint, md5(d.adbin::text), t.oid::bigint,
    {_WRITTEN.format(type="t", modifier="a.atttypmod")}
from used
join pg_class as c on c.oid = used.id and c.relkind not in ('v', 'm')
join pg_attribute as a on a.attrelid = used.id and a.attnum = used.number
join pg_type as t on t.oid = a.atttypid
left join pg_attrdef as d
    on d.adrelid = a.attrelid and d.adnum = a.attnum and a.attgenerated <> ''
where used.class = 'pg_class'::regclass and used.number > 0
"""

_FOREIGN = """
select
    f.ftrelid::bigint,
    concat(f.ftoptions, (
        select string_agg(concat(a.attnum, a.attfdwoptions), ' ' order by a.attnum)
        from pg_attribute as a
        where a.attrelid = f.ftrelid and a.attfdwoptions is not null and not a.attisdropped
    )), 0::bigint, ''
from pg_foreign_table as f
where f.ftrelid = any(%(tables)s::oid[])
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
    {_WRITTEN.format(type="t", modifier="modifier")}
from parts
left join pg_type as t on t.oid = type
where owner <> 0
order by owner, number
"""

# `lc_monetary` determines how `money` is written, and with how many decimals.
_MONEY = "select concat(1234567.89::money, ' and ', (-1234567.89)::money)"


@dataclass(frozen=True)
class _Use:
    """A use of a type: its OID, and its name with modifier, as PostgreSQL writes it."""

    type: int
    text: str


@dataclass(frozen=True)
class _Part:
    """A part of a type: an attribute, an element type, a label."""

    kind: str
    number: int
    name: str
    of: _Use


_Parts = dict[int, list[_Part]]


def identified(
    session: PgConnection, tables: dict[str, CatalogueTable]
) -> dict[str, CatalogueTable]:
    """The tables with the identities of their columns, read in a fixed number of queries.

    It neither waits for locks nor takes any on these tables.
    """
    oids = {"tables": [table.identity for table in tables.values()]}
    columns = _rows(session, _COLUMNS, oids)
    expressions = _rows(session, _EXPRESSIONS, oids)
    definitions = _rows(session, _VIEWS, oids) + _rows(session, _FOREIGN, oids)
    parts = _read_parts(session, {row[3] for row in columns} | {row[2] for row in definitions})
    ((amounts,),) = _rows(session, _MONEY, {})
    computed = _fingerprints(session, (((table, name), text) for table, name, text in expressions))
    defined = _fingerprints(session, ((row[0], _definition(row, parts)) for row in definitions))
    found: dict[int, dict[str, ColumnIdentity]] = defaultdict(dict)
    for table, name, number, *of in columns:
        use, expression = _Use(*of), computed.get((table, name))
        members = dict(_members(use.type, parts))
        members |= {MONEY: amounts} if _holds_money(use, parts) else {}
        found[table][name] = ColumnIdentity(number, _structure(use, parts), members, expression)
    return {
        name: _with_identities(table, found[table.identity], defined.get(table.identity))
        for name, table in tables.items()
        if table.identity is not None
    }


def _with_identities(
    table: CatalogueTable, columns: dict[str, ColumnIdentity], definition: str | None
) -> CatalogueTable:
    known = tuple(replace(column, identity=columns.get(column.name)) for column in table.columns)
    return replace(table, columns=known, definition=definition)


def _read_parts(session: PgConnection, types: Collection[int]) -> _Parts:
    parts: _Parts = defaultdict(list)
    user_types = sorted(oid for oid in types if oid >= _FIRST_USER_OID)
    rows = _rows(session, _PARTS, {"types": user_types}) if user_types else []
    for owner, kind, number, name, *of in rows:
        parts[owner].append(_Part(kind, number, name, _Use(*of)))
    return parts


def _definition(row: tuple[Any, ...], parts: _Parts) -> str:
    """One line of a definition, with the structure of the type that it depends on."""
    _, text, *of = row
    use = _Use(*of)
    return f"{text} {_structure(use, parts)} {sorted(dict(_members(use.type, parts)).values())}"


def _fingerprints(session: PgConnection, lines: Iterable[tuple[_K, str]]) -> dict[_K, str]:
    """A digest of each key's lines, prefixed with server version and database.

    Parse trees can only be compared within the same database and major version.
    """
    ((database,),) = _rows(
        session, "select oid::bigint from pg_database where datname = current_database()", {}
    )
    server = f"{session.server_version // 10000}/{database}"
    by_key: dict[_K, list[str]] = defaultdict(list)
    for key, line in lines:
        by_key[key].append(line)
    return {key: f"{server} {_digest(sorted(found))}" for key, found in by_key.items()}


def _digest(lines: list[str]) -> str:
    return hashlib.md5("\n".join(lines).encode(), usedforsecurity=False).hexdigest()


def _structure(use: _Use, parts: _Parts) -> str:
    """The structure of a type, domains resolved. Types of equal structure write values alike."""
    made_of = parts.get(use.type, [])
    kind = made_of[0].kind if made_of else ""
    if kind == "enum":
        return "enum"
    inner = [_structure(part.of, parts) for part in made_of]
    if kind == "composite":
        named = (f"{part.name} {text}" for part, text in zip(made_of, inner, strict=True))
        return f"({', '.join(named)})"
    if kind == "domain":
        return inner[0]
    if kind == "array":
        return f"{inner[0]}[]"
    return f"{kind} of {inner[0]}" if kind else use.text


def _members(of: int, parts: _Parts) -> Iterator[tuple[str, str]]:
    """The enum labels and composite attributes in a type, at any depth, by their numbers."""
    for part in parts.get(of, []):
        if part.kind == "enum":
            yield str(part.number), part.name
        elif part.kind == "composite":
            yield f"{of}.{part.number}", part.name
        yield from _members(part.of.type, parts)


def _holds_money(use: _Use, parts: _Parts) -> bool:
    return use.text in ("money", "money[]") or any(
        _holds_money(part.of, parts) for part in parts.get(use.type, [])
    )


def _rows(session: PgConnection, query: str, arguments: dict[str, Any]) -> list[tuple[Any, ...]]:
    if session.server_version < _GENERATED_SINCE:
        query = query.replace("a.attgenerated <> ''", "false")
    with session.cursor() as cursor:
        cursor.execute(query, arguments)
        return cursor.fetchall()
