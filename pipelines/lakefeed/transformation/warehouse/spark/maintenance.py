"""Removes snapshots that no version needs, and the tables that only dropped versions showed."""

from __future__ import annotations

from collections.abc import Sequence

from lakefeed.transformation.targets.spark import Session, quoted, text_literal
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side
from lakefeed.transformation.warehouse.spark.public_views import run_all, tag_name
from lakefeed.transformation.warehouse.spark.register import SparkVersion
from lakefeed.transformation.warehouse.spark.relations import (
    Ours,
    Stored,
    drops,
    stored,
)

_TAGS = "lakefeed_"


def expire(
    session: Session,
    catalog: str,
    versions: Sequence[SparkVersion],
    ours: Ours,
    *,
    at_once: bool,
) -> None:
    """Expires all snapshots but the newest of each table and those that versions show.

    Side effects: drops tables that the published version doesn't have and no other shows; removes
    the files that nothing else needs.

    Args:
        at_once: expire all; else those older than a day, since a reader may still be at them.
    """
    shown = {r.key for version in versions for r in version.relations}
    tables = [relation for relation in stored(session, ours) if relation.kind == "table"]
    run_all(session, drops(table for table in tables if table.key not in shown))
    moment = "current_timestamp()" if at_once else "current_timestamp() - interval 1 day"
    ((older_than,),) = session.rows(f"select cast({moment} as string)")

    def expire_table(table: Stored) -> None:
        _untag(session, table, _needed(table, versions))
        # https://iceberg.apache.org/docs/latest/spark-procedures/#expire_snapshots
        session.rows(
            f"call {quoted(catalog)}.system.expire_snapshots("
            f"table => {text_literal(table.key)}, "
            f"older_than => timestamp {text_literal(older_than)}, retain_last => 1)"
        )

    side_by_side(expire_table, [table for table in tables if table.key in shown])


def _needed(table: Stored, versions: Sequence[SparkVersion]) -> set[str]:
    return {
        tag_name(relation)
        for version in versions
        for relation in version.relations
        if relation.key == table.key
    }


def _untag(session: Session, table: Stored, needed: set[str]) -> None:
    query = f"select name from {quoted(table.schema, table.name, 'refs')} where type = 'TAG'"
    for (name,) in session.rows(query):
        if name.startswith(_TAGS) and name not in needed:
            session.rows(f"alter table {table.quoted} drop tag if exists {quoted(name)}")
