"""Fingerprints of the definitions of views and foreign tables, read for many at once.

Definitions are compared as the server's parse trees, in which columns are numbers. Reading them
takes no lock, whereas `pg_get_viewdef` waits for a session that alters a table below the view.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeVar

from psycopg2.extensions import connection as PgConnection

from lakefeed.source.inspection.type_structure import (
    WRITTEN,
    Parts,
    Use,
    members,
    rows_of_query,
    structure,
)

_K = TypeVar("_K", bound=Hashable)

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
    {WRITTEN.format(type="t", modifier="a.atttypmod")}
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


def definitions_of(session: PgConnection, relations: Sequence[int]) -> list[tuple[Any, ...]]:
    """The lines that define those of these relations that are views or foreign tables.

    Each has the relation's OID, a text, and the OID and name of the type that it depends on.
    """
    oids = {"tables": list(relations)}
    return rows_of_query(session, _VIEWS, oids) + rows_of_query(session, _FOREIGN, oids)


def definition_line(row: tuple[Any, ...], parts: Parts) -> str:
    """One line of a definition, with the structure of the type that it depends on."""
    _, text, *of = row
    use = Use(*of)
    return f"{text} {structure(use, parts)} {sorted(dict(members(use.type, parts)).values())}"


def fingerprints(session: PgConnection, lines: Iterable[tuple[_K, str]]) -> dict[_K, str]:
    """A digest of each key's lines, prefixed with server version and database.

    Parse trees can only be compared within the same database and major version.
    """
    ((database,),) = rows_of_query(
        session, "select oid::bigint from pg_database where datname = current_database()", {}
    )
    server = f"{session.server_version // 10000}/{database}"
    by_key: dict[_K, list[str]] = defaultdict(list)
    for key, line in lines:
        by_key[key].append(line)
    return {key: f"{server} {_digest(sorted(found))}" for key, found in by_key.items()}


def _digest(lines: list[str]) -> str:
    return hashlib.md5("\n".join(lines).encode(), usedforsecurity=False).hexdigest()
