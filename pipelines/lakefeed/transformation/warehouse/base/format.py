"""The format of the tables in the schema `_lakefeed`, and whether a warehouse has one of them."""

from __future__ import annotations

import duckdb

from lakefeed.documents import OLDEST, refuse_newer

# Recorded in `_lakefeed.format`. The dbt macros (dbt_package/macros) write and read the same
# version.
FORMAT = "1.0"


def holds(session: duckdb.DuckDBPyConnection, name: str, database: str = "") -> bool:
    """Whether the schema `_lakefeed` of a database, by default the current one, has this table."""
    query = (
        "select count(*) from information_schema.tables where table_schema = '_lakefeed' "
        "and table_name = ? and table_catalog = coalesce(nullif(?, ''), current_database())"
    )
    return bool(session.execute(query, [name, database]).fetchall()[0][0])


def refuse_newer_format(session: duckdb.DuckDBPyConnection, where: str) -> None:
    """Refuses a warehouse whose `_lakefeed` tables have a newer format.

    Raises:
        NewerFormat: a newer version of Lakefeed wrote them.
    """
    try:
        recorded = session.execute("select version from _lakefeed.format").fetchall()
    except duckdb.CatalogException:
        return
    refuse_newer("warehouse", recorded[0][0] if recorded else OLDEST, reads=FORMAT, where=where)
