"""Staging has one row for each key: the newest, without or with those that the source deleted."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from lakefeed.conformance.trial import SOURCE, PromiseBroken, Trial, refuse_unequal
from lakefeed.loading.object_store.file_cache import cache_folder
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.run import run
from lakefeed.sql import literal

# What trims, folds, ends a literal, or stands for nothing where text isn't taken literally.
_ODD_KEYS = (
    "", " ", "a", "A", "a ", "it's", 'quo"ted', "back\\slash", "`tick`", "%s", "{brace}", "NULL",
    "tab\t", "line\nbreak", "é", "e\u0301", "ß", "👩‍👩‍👧‍👦", "; drop table x --",
)  # fmt: skip


ORDERS = f"staging.stg_{SOURCE}__orders"


def inserts_updates_and_deletes(trial: Trial) -> None:
    """Rows are added, replaced and removed by their key."""
    trial.execute(
        "insert into orders select i, i, 'new' from generate_series(201, 220) as i",
        "update orders set amount = 9999999.99, note = null, at = clock_timestamp() where id <= 20",
        "delete from orders where id between 21 and 40",
        # A row that was deleted comes back under its key.
        "delete from orders where id = 41",
        "insert into orders values (41, 0.01, 'again')",
    )
    trial.run("orders")
    trial.refuse_difference("orders")


def deletes_are_marked(trial: Trial) -> None:
    """Rows with a composite key that the source deleted stay, with the time of their deletion."""
    trial.execute(
        "delete from lines where order_id = 1 and line = 2",
        "update lines set item = 'changed', at = clock_timestamp() where order_id = 2",
        "insert into lines values (51, 1, 'added')",
    )
    trial.run("lines")
    found = trial.seen(
        f"staging.stg_{SOURCE}__lines",
        "order_id, line, item, _deleted_at is not null as is_deleted",
    )
    kept = trial.rows("select order_id, line, item, false from lines")
    expected = [*kept, (1, 2, "item 2", True)]
    refuse_unequal("staging of lines", sorted(found, key=str), sorted(expected, key=str))


def odd_keys_and_names(trial: Trial) -> None:
    """Keys of any text are told apart, in columns of any name."""
    keys = ", ".join(f"({literal(key)}, {n}, {literal(key)})" for n, key in enumerate(_ODD_KEYS))
    trial.execute(f'insert into "Odd Names" values {keys}')
    trial.run("odd")
    _refuse_odd(trial)
    trial.execute('update "Odd Names" set "select" = -"select", at = clock_timestamp()')
    trial.run("odd")
    _refuse_odd(trial)


def a_load_whose_files_are_gone_fails(trial: Trial) -> None:
    """An empty file in place of a load's rows is no load without rows: the build fails."""
    trial.execute("update orders set note = 'lost', at = clock_timestamp() where id < 10")
    before = trial.seen(ORDERS, "id, note")
    trial.load("orders")
    _empty_newest_file(trial, "orders")
    report = trial.try_run("orders")
    if report.build_error is None and not (report.build and report.build.failures):
        raise PromiseBroken("the build passed although the rows of a load were gone")
    after = trial.seen(ORDERS, "id, note")
    refuse_unequal("staging of orders after the failed build", after, before)
    run(trial.project, LoadRequest((f"{SOURCE}.orders",), full_refresh=True))
    trial.refuse_difference("orders")


def _refuse_odd(trial: Trial) -> None:
    columns = trial.columns_of("Odd Names")[:3]
    listed = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"::text' for name in columns)
    expected = trial.rows(f'select {listed} from "Odd Names" order by 1')
    found = sorted(trial.staged("odd", columns))
    refuse_unequal("staging of a table with odd keys", found, sorted(expected))


def _empty_newest_file(trial: Trial, table: str) -> None:
    """Replaces the newest load's file by one with the same columns and no rows."""
    log = CommitLog(trial.project.raw, f"{SOURCE}__{table}")
    newest = max(log.loads(), key=lambda load: load.snapshot_at)
    files, _ = open_raw(trial.project.raw)
    path = f"{log.folder}/{newest.files[0]}"
    # Otherwise a build may read the copy that the load left on this machine.
    shutil.rmtree(cache_folder(log.raw, log.lake_name), ignore_errors=True)
    with TemporaryDirectory() as folder:
        whole, empty = Path(folder, "whole.parquet"), Path(folder, "empty.parquet")
        files.get_file(path, str(whole))
        rows = f"read_parquet({literal(str(whole))}, hive_partitioning = false)"
        duckdb.execute(f"copy (from {rows} limit 0) to {literal(str(empty))} (format parquet)")
        files.pipe_file(path, empty.read_bytes())
