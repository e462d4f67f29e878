"""What a difference between two declarations means for the runs to come, in words.

What the next run will say of an edit is said here as well, by the same rule (loading/changes.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lakefeed.declaration.differences import NOTHING, Difference
from lakefeed.declaration.tables import Table
from lakefeed.errors import TableFailed
from lakefeed.loading.plan.read_contract import ContractChanges, ReadContract, changes_since
from lakefeed.loading.plan.table_plan import plan_table

# Of a table's settings, but for those that the next run has something to say of: `meaning_of`.
_OF_TABLES = {
    "lookback": "the next load begins so far below its checkpoint, which stays where it is",
    "retention": "nothing changes until the next `lakefeed prune`, which drops versions that had "
    "been replaced before",
    "schema_changes": "what happens when the source's columns change",
    "backend": "another reader; the values are the same",
    "max_query_time": "bounds each statement on the source; the rows are the same",
    "max_lock_wait": "how long others may wait because it is read; the rows are the same",
    "parallel": "how many sessions read it; the rows are the same",
    "max_shrink": "how many rows a refresh may lose before it is refused",
    "freshness": "what `lakefeed status` and the DAG's freshness task call late",
    "tests": "asked of staging with its next build",
    "tags": "what `--select tag:…` finds",
}
_OF_VALUES = {
    ("mode", "full_refresh"): "read whole with every load; rows that are gone leave staging",
    ("mode", "incremental"): "each load goes on from a checkpoint; rows that are gone stay, unless "
    "`deletes` says otherwise",
    ("deletes", "ignore"): "rows that leave the source stay in staging from now on",
    ("deletes", "remove"): "each load compares all keys; rows that are gone leave staging",
    ("deletes", "mark"): "each load compares all keys; rows that are gone get a `_deleted_at`",
    ("history", "true"): "a model of all versions that raw holds: lakefeed sync",
    ("history", "false"): "its model of history goes, and what reads it fails",
    ("retention", NOTHING): "`lakefeed prune` drops nothing by age any more; what it dropped stays "
    "gone",
    ("on_null_cursor", "include"): "rows without a cursor value are read with every load",
    ("on_null_cursor", "exclude"): "rows without a cursor value are not read any more",
    ("on_null_cursor", "error"): "a row without a cursor value stops the table",
}
# Of these the next run tells (`next_run_of`).
TOLD_BY_RUNS = ("cursor", "primary_key", "where", "only", "columns", "name", "relation")

_OF_FILE = {
    "raw.url": "raw is looked for there: what isn't, is loaded from the beginning",
    "warehouse.path": "the next run builds it there, from raw",
    "warehouse.keep": "how many versions `lakefeed rollback` has to choose from",
    "connection": "checkpoints stay: another database needs lakefeed run --full-refresh",
    "schema": "where tables are looked for that are named without one",
    "dag_id": "another DAG to Airflow; runs of the old one stay under its name",
}
_UNKNOWN = "its columns aren't known here yet: lakefeed sync"
_OF_AIRFLOW = "holds as soon as Airflow reads the file"


def meaning_of(difference: Difference) -> str:
    """What follows from a setting by itself; nothing where it is the run that tells."""
    setting = difference.setting
    name = setting.partition(".")[0]
    if setting.startswith("airflow."):
        return _OF_FILE.get(setting.removeprefix("airflow."), _OF_AIRFLOW)
    if name in ("raw", "warehouse", "sources"):
        return _OF_FILE.get(setting if name != "sources" else setting.rpartition(".")[2], "")
    if name == "tests" and difference.now == NOTHING:
        return "not asked any more"
    return _OF_VALUES.get((name, difference.now)) or _OF_TABLES.get(name, "")


def next_run_of(before: Table | None, now: Table | None) -> tuple[str, ...]:
    """What the next run does about a table that came, went or changed; nothing else than usual
    where that is nothing."""
    if now is None:
        return ("it isn't loaded any more; its raw files stay, and its staging model goes",)
    if before is None:
        return ("it is read from the beginning", *([] if now.catalogue else [_UNKNOWN]))
    if before.lake_name != now.lake_name:
        return (
            f"as `{now.lake_name}` it is read from the beginning; `{before.lake_name}` isn't "
            "loaded any more, and keeps its raw files",
        )
    return tuple(_next_run(before, now))


def _next_run(before: Table, now: Table) -> Iterator[str]:
    if now.catalogue is None:
        yield _UNKNOWN
        return
    try:
        reads = _read_as(now, is_moved=before.qualified != now.qualified)
    except TableFailed as error:
        yield f"it stops at this table: {error.what}"
        return
    try:
        read = _read_as(before)
    except TableFailed:
        return
    if now.mode == "full_refresh":
        if read != reads:
            yield "it reads the table whole, so that this holds for every row of it"
    else:
        yield from _of_an_incremental_table(
            before, now, changes_since(read, reads, shown=now.shown, reads_whole=False)
        )
    for name in read.columns:
        if name not in reads.columns:
            yield f"column `{name}` isn't read any more; staging keeps it, null in new rows"


def _of_an_incremental_table(before: Table, now: Table, changes: ContractChanges) -> Iterator[str]:
    yield from changes.notes
    for name in changes.added:
        yield (
            f"column `{name}` comes in, null in older rows; where the source has values in it, the "
            "table is read from the beginning"
        )
    if before.cursor and now.cursor and before.cursor.column == now.cursor.column:
        zone = now.cursor.timezone or "UTC"
        if zone != (before.cursor.timezone or "UTC"):
            yield f"its cursor is taken for time in {zone}; the values in raw stay as they are"


def _read_as(table: Table, *, is_moved: bool = False) -> ReadContract:
    """As its next load would be read, by the catalogue.

    The catalogue doesn't keep a table's number, by which a load knows one that is another now.

    Raises:
        TableFailed: the declaration doesn't fit the table, or the table isn't known.
    """
    read_as = plan_table(table, table.catalogue).read_as
    return replace(read_as, identity=2 if is_moved else 1)
