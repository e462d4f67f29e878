"""Detects tables that were rewritten during a read, so that the rows read aren't the snapshot's.

Not all DDL respects snapshots (https://www.postgresql.org/docs/current/mvcc-caveats.html): after
TRUNCATE or an ALTER TABLE that rewrites the table, an older snapshot finds no rows; after DROP and
CREATE, a swap of names or DETACH it finds the rows of another table, or only some of them; after
RENAME COLUMN it finds the values of another column.
"""

from __future__ import annotations

from collections.abc import Sequence

from lakefeed.declaration.catalogue import Used
from lakefeed.loading.plan.queries import ROW, relation_of
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
    names = " or ".join(
        f"(n.nspname = {literal(one.schema)} and c.relname = {literal(one.name)})"
        for one in _named_by(plan)
    )
    # Whether the planner opens a partition below a query depends on its conditions.
    has_tree = not plan.table.settings.only and plan.table.query is None
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
            where {names or "false"}
        ),
        tree as (
            select oid from declared
            union
            select i.inhrelid
            from pg_inherits as i
            join tree on tree.oid = i.inhparent
            where {"true" if has_tree else "false"}
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


def _named_by(plan: TablePlan) -> Sequence[Used]:
    """What is read by name: the table, or what a query reads, itself or through views."""
    if plan.table.query is None:
        return [Used(plan.table.schema, plan.table.name, True)]
    return plan.uses


def _renamed(plan: TablePlan) -> str:
    """Common table expressions that find declared tables if their columns were renamed."""
    # The columns of a row type are resolved while parsing, so these are the current names.
    now = [
        f"""
            select {literal(one.schema)}::name, {literal(one.name)}::name,
                array_agg(keys.name order by keys.number)
            from (select (null::{quote_qualified(one.schema, one.name)}).*) as {ROW}
            cross join lateral json_object_keys(row_to_json({ROW}))
                with ordinality as keys (name, number)"""
        for one in _named_by(plan)
        if one.is_visible
    ]
    nothing = "select ''::name, ''::name, null::text[] where false"
    return f"""
        columns_then as (
            select declared.oid, array_agg(a.attname::text order by a.attnum) as names
            from pg_attribute as a
            join declared on declared.oid = a.attrelid
            where a.attnum > 0 and not a.attisdropped
            group by declared.oid
        ),
        columns_now (schema, name, names) as ({" union all ".join(now) or nothing}
        ),
        renamed as (
            select c.oid
            from columns_then
            join pg_class as c on c.oid = columns_then.oid
            join pg_namespace as n on n.oid = c.relnamespace
            join columns_now on columns_now.schema = n.nspname and columns_now.name = c.relname
            where columns_then.names is distinct from columns_now.names
        )
    """
