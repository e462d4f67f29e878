"""Finds indexes that start with an expression, such as `coalesce(updated_at, created_at)`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.table_names import spelled

if TYPE_CHECKING:
    from sqlglot import exp

_INDEXED = """
select n.nspname, c.relname, pg_get_indexdef(i.indexrelid, 1, true)
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join unnest(%(schemas)s::name[], %(names)s::name[]) as asked (schema, name)
    on n.nspname = asked.schema and c.relname = asked.name
join pg_index as i on i.indrelid = c.oid
join pg_class as x on x.oid = i.indexrelid
join pg_am as m on m.oid = x.relam
where i.indkey[0] = 0 and i.indisvalid and i.indpred is null and m.amname in ('btree', 'brin')
"""


def indexed_expressions(
    session: PgConnection, tables: Sequence[CatalogueTable]
) -> dict[str, list[str]]:
    """The expressions with which an index on all rows starts, by qualified name of the table."""
    asked = {"schemas": [t.schema for t in tables], "names": [t.name for t in tables]}
    found: dict[str, list[str]] = defaultdict(list)
    with session.cursor() as cursor:
        cursor.execute(_INDEXED, asked)
        for schema, name, expression in cursor.fetchall():
            found[spelled(schema, name)].append(expression)
    return {table.qualified: found[table.qualified] for table in tables}


def are_alike(first: str, second: str) -> bool:
    """Whether two expressions differ only in case, brackets and the quotes around names."""
    tree = _plain(first)
    return tree is not None and tree == _plain(second)


def _plain(expression: str) -> exp.Expr | None:
    # Imported late: it takes as long as probing a table, and few tables have such an index.
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        tree = sqlglot.parse_one(expression, dialect="postgres").unnest()
    except SqlglotError:
        return None
    for name in tree.find_all(exp.Identifier):
        if not name.args.get("quoted"):
            name.set("this", str(name.this).lower())
        name.set("quoted", True)
    return tree
