"""Describes what a difference between two declarations means for future runs.

Shares its rules with the loads themselves (loading/plan/read_contract.py), so that `lakefeed diff`
announces what the next run reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lakefeed.declaration.differences import Difference
from lakefeed.declaration.explain import NOTHING
from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed
from lakefeed.loading.plan.changed_settings import meaning_from_now_on
from lakefeed.loading.plan.read_contract import ContractChanges, ReadContract, changes_since
from lakefeed.loading.plan.table_plan import TablePlan, plan_table
from lakefeed.source.statement import tables_read
from lakefeed.transformation.generate.edited_columns import column_edits
from lakefeed.transformation.generate.staged_columns import declared_columns

# For table settings that `next_run_of` doesn't describe.
_TABLE_SETTINGS = {
    "retention": "the next `lakefeed prune` removes row versions replaced longer ago than this; "
    "nothing changes until then",
    "schema_changes": "sets what happens when the source's columns change",
    "backend": "reads the same values in another way",
    "max_query_time": "limits each statement on the source; the rows are the same",
    "max_lock_wait": "limits how long other sessions wait for this read; the rows are the same",
    "parallel": "sets how many sessions read the table; the rows are the same",
    "resume_above": "sets from which size on a first load is committed in ranges, and how large "
    "they are; a first load that has begun goes on",
    "max_shrink": "sets how many rows a refresh may lose before it is refused",
    "freshness": "sets when `lakefeed status` and the DAG's freshness task report the table as "
    "late",
    "tests": "run on staging with its next build",
    "tags": "selects the table with `--select tag:…`",
}
_TABLE_VALUES = {
    ("mode", "full_refresh"): "each load reads the whole table; rows deleted in the source leave "
    "staging",
    ("mode", "incremental"): "each load continues from a checkpoint; rows deleted in the source "
    "stay in staging unless `deletes` is set",
    ("mode", "append"): "each load continues from a checkpoint and keeps every row; updated rows "
    "are kept beside their earlier versions, and deleted ones stay in staging",
    ("history", "true"): "adds a model with all row versions in raw; generate it: lakefeed sync",
    (
        "history",
        "false",
    ): "removes its history, also from the warehouse; models that read it will fail",
    ("retention", NOTHING): "`lakefeed prune` no longer removes row versions by age; removed ones "
    "don't come back",
    ("enabled", "false"): "no longer loads the table; what was loaded and staged stays as it is",
    ("enabled", "true"): "loads the table again",
}
# What has an effect while a table is paused.
_ALSO_PAUSED = ("relation", "name", "retention", "tags", "enabled")
_PAUSED = "has no effect while the table is paused"
# The table settings that `next_run_of` describes.
DESCRIBED_BY_NEXT_RUN = (
    *("cursor", "primary_key", "where", "only", "columns", "name", "relation", "query"),
)

_FILE_SETTINGS = {
    "raw.url": "raw is read from there; tables without loads there are loaded from the beginning",
    "warehouse.type": "the next run builds the warehouse there, from raw",
    "warehouse.path": "the next run builds the warehouse there, from raw",
    "warehouse.remote": "the next run builds the warehouse there, from raw",
    "warehouse.catalog": "the next run builds the warehouse there, from raw",
    "warehouse.catalog_url": "the next run builds the warehouse there, from raw",
    "warehouse.url": "the next run builds the warehouse there, from raw",
    "warehouse.database": "the next run builds the warehouse there, from raw",
    "warehouse.project": "the next run builds the warehouse there, from raw",
    "warehouse.location": "datasets that exist stay where they are, and can't be built elsewhere",
    "warehouse.stage": "the next run reads raw by this stage; the rows are the same",
    "warehouse.data_url": "a lake that exists keeps its files where they are, and isn't opened",
    "warehouse.keep": "sets how many earlier versions `lakefeed rollback` can return to",
    "connection": "checkpoints are unchanged; for another database, run lakefeed run "
    "--full-refresh",
    "schema": "the schema of tables that are declared without one",
    "max_connections": "bounds the sessions of all runs on the source; the rows are the same",
    "slot": "must exist before the next run: lakefeed cdc setup; tables with `cursor: wal` must be "
    "read in full to go on with another slot",
    "publication": "must exist before the next run: lakefeed cdc setup",
    "max_wal": "bounds what the source keeps of its log for tables whose loads fail",
    "notify": "sets who is told of failures of `lakefeed run`, `load` and `build`",
    "airflow.dag_id": "a new DAG in Airflow; earlier runs stay under the old id",
}
_UNKNOWN = "its columns aren't known yet; read them: lakefeed sync"
_AIRFLOW_SETTING = "takes effect when Airflow next parses the DAG file"


def meaning_of(difference: Difference, *, is_paused: bool = False) -> str:
    """The effect of a setting; empty for one whose effect `next_run_of` describes.

    Args:
        is_paused: whether the table isn't loaded now, so that only pausing it has an effect.
    """
    setting = difference.setting
    name = setting.partition(".")[0]
    if is_paused and name not in _ALSO_PAUSED:
        return _PAUSED
    if setting.startswith("airflow."):
        return _FILE_SETTINGS.get(setting, _AIRFLOW_SETTING)
    if name in ("raw", "warehouse", "notify", "sources"):
        return _FILE_SETTINGS.get(setting if name != "sources" else setting.rpartition(".")[2], "")
    if name == "tests" and difference.now == NOTHING:
        return "no longer run"
    return (
        meaning_from_now_on(name, difference.now)
        or _TABLE_VALUES.get((name, difference.now))
        or _TABLE_SETTINGS.get(name, "")
    )


def next_run_of(before: Table | None, now: Table | None) -> tuple[str, ...]:
    """What the next run does about an added, removed or changed table; empty if nothing special."""
    if now is None:
        return ("no longer loads the table; its raw files stay, its staging model is removed",)
    if now.is_paused:
        return _next_run_without(before, now)
    if before is None:
        unknown = [] if now.catalogue else [_UNKNOWN]
        return ("reads the table from the beginning", *_tables_of_query(now), *unknown)
    if before.lake_name != now.lake_name:
        return (
            f"reads the table from the beginning as `{now.lake_name}`; `{before.lake_name}` is no "
            "longer loaded and keeps its raw files",
        )
    if before.is_paused:
        return tuple(_next_run_again(before, now))
    return tuple(_next_run(before, now))


def _next_run_without(before: Table | None, now: Table) -> tuple[str, ...]:
    """What happens to a paused table, which the next run doesn't load."""
    if before is None:
        return ("doesn't load the table: it is paused",)
    if before.lake_name != now.lake_name:
        return (
            f"doesn't load the table: it is paused; `{before.lake_name}` keeps its raw files, and "
            f"`{now.lake_name}` has none",
        )
    return ()


def _next_run_again(before: Table, now: Table) -> Iterator[str]:
    """What happens to a table that was paused, which may never have been loaded."""
    if now.catalogue and now.goes_on:
        yield "goes on from its last load if there is one: `lakefeed plan` says so"
    is_known = before.settings.mode or before.settings.cursor
    if now.catalogue is None or is_known:
        yield from _next_run(before, now)


def _tables_of_query(table: Table) -> Iterator[str]:
    if read := tables_read(table):
        yield f"its query reads {', '.join(read)}"


def _next_run(before: Table, now: Table) -> Iterator[str]:
    if before.query != now.query:
        yield from _tables_of_query(now)
    if now.catalogue is None:
        yield _UNKNOWN
        return
    try:
        plan = plan_table(now, now.catalogue)
    except TableFailed as error:
        yield f"fails at this table: {error.what}"
        return
    try:
        read = _read_as(plan_table(before, before.catalogue))
    except TableFailed:
        return
    reads = _read_as(plan, is_moved=before.qualified != now.qualified)
    if now.mode == "full_refresh" and read != reads:
        yield "reads the whole table, so the change applies to every row"
    changes = changes_since(
        read,
        reads,
        shown=now.shown,
        reads_whole=now.mode == "full_refresh",
        unread=[name for name in read.columns if name not in reads.columns],
    )
    yield from changes.notes
    if now.mode != "full_refresh":
        yield from _columns_added(now, changes)
    both = [name for name in reads.columns if name in read.columns]
    yield from column_edits(declared_columns(before), declared_columns(now), both)


def _columns_added(now: Table, changes: ContractChanges) -> Iterator[str]:
    for name in changes.added:
        if now.appends:
            yield f"adds column `{name}`, with null in the rows loaded before"
            continue
        yield (
            f"adds column `{name}`, with null in older rows; if the source has values in it, reads "
            "the table from the beginning"
        )


def _read_as(plan: TablePlan, *, is_moved: bool = False) -> ReadContract:
    """How the next load would read the table, according to the catalogue.

    The catalogue doesn't store a table's oid, by which loads recognise a recreated table; made-up
    ones stand in for it. The settings that change nothing of what was loaded are told by
    `meaning_of`.
    """
    return replace(plan.read_as, identity=2 if is_moved else 1, settings={})
