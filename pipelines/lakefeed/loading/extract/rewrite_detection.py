"""Detects tables that were rewritten during a read, so that the rows read aren't the snapshot's.

Not all DDL respects snapshots (https://www.postgresql.org/docs/current/mvcc-caveats.html): after
TRUNCATE or an ALTER TABLE that rewrites the table, an older snapshot finds no rows; after DROP and
CREATE, a swap of names or DETACH it finds the rows of another table, or only some of them; after
RENAME COLUMN it finds the values of another column.
"""

from __future__ import annotations

from lakefeed.loading.plan.queries import relation_of
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.retryable import RetryAtLaterSnapshot
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.partitions import STANDS
from lakefeed.sql import literal, quote_qualified

# PostgreSQL's FirstNormalObjectId: lower oids belong to system tables.
_FIRST_USER_OID = 16_384


class Rewritten(RetryAtLaterSnapshot):
    """DDL that doesn't respect snapshots moved or removed a table's rows after the snapshot."""

    note = (
        "the table was truncated, rewritten or swapped during the run, so it was read again at a "
        "later snapshot than the other tables"
    )


def refuse_rewritten(session: SourceSession, plan: TablePlan) -> None:
    """Raises if the table was rewritten during the read.

    Call it after the last read, in the transaction that read.

    Raises:
        Rewritten: the rows read may not be those of the snapshot.
    """
    found = rewritten_since_the_snapshot(session, plan)
    if found:
        raise Rewritten(
            f"{plan.table.shown} was truncated, rewritten or swapped during the read "
            f"({', '.join(found)}), so the rows read may not be the rows of the snapshot",
            where=plan.table.where,
            do="run again once the change is complete; nothing was committed for this table",
        )


def rewritten_since_the_snapshot(session: SourceSession, plan: TablePlan) -> list[str]:
    """Names of the tables read by this transaction that were rewritten since its snapshot.

    CLUSTER and VACUUM FULL are reported too: they keep all rows but look the same.

    There is no race: everything read stays locked until the transaction ends, and the locks cover
    partitions, child tables and whatever views and functions read.
    """
    return [str(name) for (name,) in session.fetch(_query(plan))]


def _query(plan: TablePlan) -> str:
    """Compares pg_class, as the snapshot sees it, with pg_relation_filenode, the current state.

    The query also reads the table itself, without rows, to lock it: all rows may have been read by
    another session, and a condition may have excluded partitions.
    """
    table = plan.table
    return f"""
        with recursive locked as (
            select relation as oid from pg_locks
            where locktype = 'relation' and pid = pg_backend_pid() and database = (
                select oid from pg_database where datname = current_database()
            )
        ),
        declared as (
            select c.oid
            from pg_class as c
            join pg_namespace as n on n.oid = c.relnamespace
            where n.nspname = {literal(table.schema)} and c.relname = {literal(table.name)}
        ),
        tree as (
            select oid from declared
            union
            select i.inhrelid
            from pg_inherits as i
            join tree on tree.oid = i.inhparent
            where {"false" if table.settings.only else "true"}
                and {STANDS}
        ),
        moved as (
            select c.oid
            from pg_class as c
            join locked on locked.oid = c.oid
            where c.oid >= {_FIRST_USER_OID} and c.relkind in ('r', 'm')
                and pg_relation_filenode(c.oid) is distinct from c.relfilenode
        ),
        missing as (
            select oid from tree where oid not in (select oid from locked)
        ),
        {_renamed(plan)}
        select c.relname
        from pg_class as c
        where c.oid in (
                select oid from moved
                union select oid from missing
                union select oid from renamed
            )
            and not exists (select from {relation_of(plan)} limit 0)
        order by c.relname
    """


def _renamed(plan: TablePlan) -> str:
    """Common table expressions that find the declared table if its columns were renamed."""
    relation = quote_qualified(plan.table.schema, plan.table.name)
    return f"""
        columns_then as (
            select array_agg(a.attname::text order by a.attnum) as names
            from pg_attribute as a
            join declared on declared.oid = a.attrelid
            where a.attnum > 0 and not a.attisdropped
        ),
        -- The columns of a row type are resolved while parsing, so these are the current names.
        columns_now as (
            select array_agg(keys.name order by keys.number) as names
            from (select (null::{relation}).*) as nothing
            cross join lateral json_object_keys(row_to_json(nothing))
                with ordinality as keys (name, number)
        ),
        renamed as (
            select declared.oid
            from declared
            cross join columns_then
            cross join columns_now
            where columns_then.names is distinct from columns_now.names
        )
    """
