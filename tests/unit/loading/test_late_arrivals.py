"""Which loads measure late rows, and below which cursor value their rows count as late."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import duckdb

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.models.table_settings import Cursor
from lakefeed.declaration.project import Location, open_project
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.late_arrivals import continued, late_rows
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.transactions import OpenTransactions

CURSOR = Cursor(column="at")
READ_AS = ReadContract(
    cursor="at",
    key=("id",),
    where=None,
    initial_value=None,
    columns={"id": "integer", "at": "timestamptz"},
    identity=7,
)
DAY = dt.timedelta(days=1)


def a_load(number: int, checkpoint_before: str | None, horizon: str = "2026-11-25T12:00") -> Load:
    return Load(
        load_id=f"179546392{number}.5",
        table="shop__a",
        supersedes=False,
        snapshot_at=f"2026-11-25T12:00:0{number}+00:00",
        rows_read=1,
        rows=1,
        null_cursors=0,
        cursor="at",
        cursor_min=None,
        cursor_max=None,
        checkpoint_before=checkpoint_before,
        checkpoint="2026-11-25 11:00:00+00:00",
        files=("a.parquet",),
        read_as=READ_AS,
        in_flight=OpenTransactions(
            f"2026-11-25T12:00:0{number}", f"{horizon}:00+00:00", {}, "7:7:"
        ),
    )


FIRST = a_load(0, None)


def starts(*loads: Load) -> list[tuple[str, str]]:
    return [
        (one.load.load_id[-3:], str(one.start)[:16])
        for one in continued((FIRST, *loads), CURSOR, "timestamptz")
    ]


def test_rows_below_the_former_checkpoint_are_late() -> None:
    assert starts(a_load(1, "2026-11-25 10:00:00+00:00")) == [("1.5", "2026-11-25 10:00")]


def test_rows_between_the_horizon_and_the_checkpoint_are_not_late() -> None:
    open_since = a_load(1, "2026-11-25 10:00:00+00:00", horizon="2026-11-25T09:30")

    assert starts(open_since) == [("1.5", "2026-11-25 09:30")]


def test_first_loads_backfills_full_refreshes_and_other_cursors_are_not_measured() -> None:
    known = "2026-11-25 10:00:00+00:00"
    backfill, whole = a_load(1, None), replace(a_load(2, known), supersedes=True)
    other = replace(a_load(3, known), cursor="changed_at")
    of_numbers = a_load(4, "4711")

    assert starts(backfill, whole, other, of_numbers) == []


def test_a_load_that_found_a_new_column_is_not_measured() -> None:
    known = "2026-11-25 10:00:00+00:00"
    more = replace(READ_AS, columns={**READ_AS.columns, "note": "varchar"})
    found, after = (replace(a_load(number, known), read_as=more) for number in (1, 2))

    assert [load for load, _ in starts(found, after)] == ["2.5"]


def test_dates_are_late_by_whole_days_and_tombstones_and_infinite_cursors_are_ignored(
    tmp_path: Path,
) -> None:
    (tmp_path / "sources.yaml").write_text(
        "version: 1\nsources:\n  shop:\n    connection: ${X}\n    tables: {a: {cursor: at}}\n"
    )
    (table,) = open_project(tmp_path).tables
    columns = (Column("id", "integer", False), Column("at", "date", True))
    table = replace(
        table,
        catalogue=CatalogueTable(
            schema="public", name="a", kind="table", columns=columns, primary_key=("id",)
        ),
    )
    log = CommitLog(Location(str(tmp_path / "raw"), tmp_path), "shop__a")
    for load in (FIRST, a_load(1, "2026-11-20")):
        log.describe(load)
    (tmp_path / "raw/shop__a/_dlt_loads").mkdir()
    for load in log_ids(log):
        (tmp_path / f"raw/shop__a/_dlt_loads/shop__a__{load}.jsonl").write_text("")
    duckdb.execute(
        "copy (select * from (values (date '2026-11-19', null), ('2026-11-17', null), "
        "('2026-11-20', null), ('-infinity', null), ('2026-11-01', now())) t(\"at\", _deleted_at), "
        f"(select '{a_load(1, None).load_id}' as _dlt_load_id)) "
        f"to '{tmp_path / 'raw/shop__a/a.parquet'}'"
    )

    found = late_rows(duckdb.connect(), log, table, "date", [0 * DAY, DAY, 2 * DAY, 3 * DAY])

    assert (found.loads, found.longest) == (1, 3 * DAY)
    assert found.above == {0 * DAY: 2, DAY: 1, 2 * DAY: 1, 3 * DAY: 0}


def log_ids(log: CommitLog) -> list[str]:
    folder = Path(log.folder) / "_lakefeed_loads"
    return [path.stem for path in folder.glob("*.json")]
