"""Reads what identifies columns and views apart from their names, for many tables at once.

The number of a column never changes, and neither do those of enum labels and composite attributes.
Names may: columns can swap theirs, and a label can be renamed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import MONEY, CatalogueTable, ColumnIdentity
from lakefeed.source.inspection.definitions import definition_line, definitions_of, fingerprints
from lakefeed.source.inspection.type_structure import (
    WRITTEN,
    Parts,
    Use,
    holds_money,
    members,
    read_parts,
    rows_of_query,
    structure,
)

_COLUMNS = f"""
select
    a.attrelid::bigint, a.attname, a.attnum, t.oid::bigint,
    {WRITTEN.format(type="t", modifier="a.atttypmod")}
from pg_attribute as a
join pg_type as t on t.oid = a.atttypid
where a.attrelid = any(%(tables)s::oid[]) and a.attnum > 0 and not a.attisdropped
"""

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

# `lc_monetary` determines how `money` is written, and with how many decimals.
_MONEY = "select concat(1234567.89::money, ' and ', (-1234567.89)::money)"


def identified(
    session: PgConnection, tables: dict[str, CatalogueTable]
) -> dict[str, CatalogueTable]:
    """The tables with the identities of their columns, read in a fixed number of queries.

    It neither waits for locks nor takes any on these tables.
    """
    relations = [table.identity for table in tables.values() if table.identity is not None]
    oids = {"tables": relations}
    columns = rows_of_query(session, _COLUMNS, oids)
    expressions = rows_of_query(session, _EXPRESSIONS, oids)
    definitions = definitions_of(session, relations)
    parts = read_parts(session, {row[3] for row in columns} | {row[2] for row in definitions})
    amounts = format_of_money(session)
    computed = fingerprints(session, (((table, name), text) for table, name, text in expressions))
    defined = fingerprints(session, ((row[0], definition_line(row, parts)) for row in definitions))
    found: dict[int, dict[str, ColumnIdentity]] = defaultdict(dict)
    for table, name, number, *of in columns:
        found[table][name] = identity_of(
            Use(*of), parts, amounts, number=number, expression=computed.get((table, name))
        )
    return {
        name: _with_identities(table, found[table.identity], defined.get(table.identity))
        for name, table in tables.items()
        if table.identity is not None
    }


def format_of_money(session: PgConnection) -> str:
    """How the server writes amounts of `money`."""
    ((amounts,),) = rows_of_query(session, _MONEY, {})
    return str(amounts)


def identity_of(
    use: Use, parts: Parts, amounts: str, *, number: int = 0, expression: str | None = None
) -> ColumnIdentity:
    """The identity of a column of this type.

    Args:
        amounts: the format of `money`.
        number: 0 for a column of a query, which has none.
    """
    inside = dict(members(use.type, parts))
    inside |= {MONEY: amounts} if holds_money(use, parts) else {}
    return ColumnIdentity(number, structure(use, parts), inside, expression)


def _with_identities(
    table: CatalogueTable, columns: dict[str, ColumnIdentity], definition: str | None
) -> CatalogueTable:
    known = tuple(replace(column, identity=columns.get(column.name)) for column in table.columns)
    return replace(table, columns=known, definition=definition)
