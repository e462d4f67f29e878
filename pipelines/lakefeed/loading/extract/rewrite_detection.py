"""Whether what was read is what the snapshot sees.

PostgreSQL shows an emptied or rewritten table to every snapshot as it is now: after TRUNCATE or an
ALTER TABLE that rewrites, an older snapshot finds no rows; after DROP and CREATE, an exchange of
names or DETACH it finds those of another table, or a part of them; and after RENAME COLUMN values
of another column.
"""

from __future__ import annotations

from lakefeed.loading.plan.queries import relation_of
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.retryable import RetryAtLaterSnapshot
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.partitions import STANDS
from lakefeed.sql import literal, quote_qualified

# Below this number are the system's own tables.
_FIRST_OF_USERS = 16_384


class Rewritten(RetryAtLaterSnapshot):
    """A table's rows were moved or removed, in a way that snapshots don't keep, after ours."""

    note = (
        "it was truncated, rewritten or exchanged under the run's snapshot, so it was read again "
        "at a later snapshot than the other tables"
    )


def refuse_rewritten(session: SourceSession, plan: TablePlan) -> None:
    """To be called when all was read, in the transaction that read.

    Raises:
        Rewritten: what was read may not be what the snapshot sees.
    """
    found = rewritten_since_the_snapshot(session, plan)
    if found:
        raise Rewritten(
            f"{plan.table.shown} was truncated, rewritten or exchanged while the run was reading "
            f"({', '.join(found)}), so that what was read isn't what it held",
            where=plan.table.where,
            do="run again when that is done; nothing of it was committed",
        )


def rewritten_since_the_snapshot(session: SourceSession, plan: TablePlan) -> list[str]:
    """The tables among those that this transaction has read that are others by now.

    CLUSTER and VACUUM FULL, which keep all rows, look the same.

    There is no race: whatever was read is locked until the transaction ends, and the locks name
    partitions, children, and what views and functions read.
    """
    return [str(name) for (name,) in session.fetch(_query(plan))]


def _query(plan: TablePlan) -> str:
    """A snapshot sees pg_class as it was; pg_relation_filenode tells how it is.

    The table itself is read as well, without its rows: another session may have read all of it,
    and a condition may have left out partitions.
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
            where c.oid >= {_FIRST_OF_USERS} and c.relkind in ('r', 'm')
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
    """Common table expressions: the declared table, if names of its columns are others by now."""
    relation = quote_qualified(plan.table.schema, plan.table.name)
    return f"""
        columns_then as (
            select array_agg(a.attname::text order by a.attnum) as names
            from pg_attribute as a
            join declared on declared.oid = a.attrelid
            where a.attnum > 0 and not a.attisdropped
        ),
        -- Which columns a row has is known when the query is parsed: as they are now.
        columns_now as (
            select array_agg(one.name order by one.number) as names
            from (select (null::{relation}).*) as nothing
            cross join lateral json_object_keys(row_to_json(nothing))
                with ordinality as one (name, number)
        ),
        renamed as (
            select declared.oid
            from declared
            cross join columns_then
            cross join columns_now
            where columns_then.names is distinct from columns_now.names
        )
    """
