"""Brings the newest snapshot back to an earlier one: what a build left, or a rollback undid."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.sql import quote
from lakefeed.transformation.targets.ducklake import LAKE, Lake, attach
from lakefeed.transformation.warehouse.base.put_back import PUBLISHED, put_back_relation
from lakefeed.transformation.warehouse.ducklake.public_views import Stored, stored
from lakefeed.transformation.warehouse.ducklake.records import newest_snapshot

# The name by which DuckLake attaches the catalogue of `LAKE`.
_CATALOGUE = f"__ducklake_metadata_{LAKE}"
_CHANGES = ("tables_inserted_into", "tables_deleted_from", "tables_altered")
_INLINED = ("inlined_insert", "inlined_delete")


@contextmanager
def attached_published(
    session: DuckDBPyConnection, lake: Lake, snapshot: int | None
) -> Iterator[None]:
    """Attaches a snapshot as `PUBLISHED` within the block; nothing for None."""
    if snapshot is not None:
        attach(session, lake, PUBLISHED, snapshot=snapshot)
    try:
        yield
    finally:
        # A transaction that failed would keep it attached.
        with suppress(duckdb.Error):
            session.rollback()
        session.execute(f"detach database if exists {PUBLISHED}")


def bring_back(session: DuckDBPyConnection, snapshot: int) -> None:
    """Makes all relations what they are in the snapshot that is attached as `PUBLISHED`.

    What wasn't touched since isn't either. A table that was is written again as it was.
    """
    now = {relation.quoted: relation for relation in stored(session, LAKE)}
    then = {relation.quoted: relation for relation in stored(session, PUBLISHED)}
    untouched = _untouched_since(session, snapshot)
    session.begin()
    for name in sorted(now.keys() | then.keys()):
        if _differs(now.get(name), then.get(name), untouched):
            relation = then.get(name) or now[name]
            for statement in put_back_relation(session, relation.schema, relation.name):
                session.execute(statement)
    session.commit()


def drop_all(session: DuckDBPyConnection) -> None:
    """Drops all relations, to build from nothing. Published snapshots keep theirs."""
    session.begin()
    for relation in stored(session, LAKE):
        session.execute(f"drop {relation.kind} {relation.quoted}")
    session.commit()


def _differs(now: Stored | None, then: Stored | None, untouched: set[str]) -> bool:
    if now is None or then is None or now.kind != then.kind:
        return True
    return now.sql != then.sql if now.kind == "view" else now.quoted not in untouched


def _untouched_since(session: DuckDBPyConnection, snapshot: int) -> set[str]:
    """The tables that are the same ones as in a snapshot, with the same rows and columns."""
    then, now = (_tables_at(session, at) for at in (snapshot, newest_snapshot(session)))
    query = "select changes from ducklake_snapshots($1) where snapshot_id > $2"
    found = session.execute(query, [LAKE, snapshot]).fetchall()
    touched = {int(number) for (changes,) in found for number in _numbers(changes)}
    same = dict(then.items() & now.items())
    return {table for table, number in same.items() if number not in touched}


def _tables_at(session: DuckDBPyConnection, snapshot: int) -> dict[str, int]:
    """DuckLake's numbers of the tables in a snapshot. DuckDB's own differ with each attachment."""
    there = "{0}.begin_snapshot <= {1} and coalesce({0}.end_snapshot > {1}, true)"
    query = f"""
        select schema_name, table_name, table_id
        from public.ducklake_table as t join public.ducklake_schema as s using (schema_id)
        where {there.format("t", snapshot)} and {there.format("s", snapshot)}
    """
    rows = session.execute("from postgres_query($1, $2)", [_CATALOGUE, query]).fetchall()
    return {f"{quote(schema)}.{quote(name)}": int(number) for schema, name, number in rows}


def _numbers(changes: dict[str, list[str]]) -> Iterator[str]:
    for kind in (*_CHANGES, *_INLINED):
        yield from changes.get(kind, ())
