"""Partitions that are detached or dropped: `on_detach` tells their rows from deleted ones."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

import pytest

from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure, new_lake, only

pytestmark = [pytest.mark.builds]

# Rows for tables that are partitioned by some of these columns.
TABLE = "create table t (id int not null, a int, b text, c date, at timestamptz default now())"
ROWS = """insert into t values
    (1, 1, 'a', '2024-01-01'), (2, 5, 'b', '2024-06-30'), (3, 10, 'it''s', '2024-12-31'),
    (4, 11, null, '2025-01-01'), (5, 20, 'B', '2025-07-01'), (6, -3, 'é', '2023-01-01'),
    (7, -4, 'DEFAULT', '2024-07-01')"""
NESTED = (
    "create table x partition of t for values from (minvalue) to ('2025-01-01') "
    "partition by list (b)",
    "create table y partition of t for values from ('2025-01-01') to (maxvalue)",
    "create table x1 partition of x for values in ('a', 'b')",
    "create table x2 partition of x default",
)
HALVES = (
    "create table x partition of t for values from (minvalue) to (10)",
    "create table y partition of t for values from (10) to (100)",
)


class Case(NamedTuple):
    """A partition key, the partitions, what happens, and which rows leave with a partition."""

    by: str
    partitions: tuple[str, ...]
    then: tuple[str, ...]
    left: str


LEFT = {
    "list": Case(
        "list (b)",
        (
            "create table x partition of t for values in ('a', 'it''s', null)",
            "create table y partition of t for values in ('b', 'B', 'é', 'DEFAULT')",
        ),
        ("alter table t detach partition x",),
        "id in (1, 3, 4)",
    ),
    "list_of_numbers": Case(
        "list (a)",
        (
            "create table x partition of t for values in (-3, 10)",
            "create table y partition of t for values in (1, 5, 11, 20, -4)",
        ),
        ("drop table x",),
        "id in (3, 6)",
    ),
    "range": Case(
        "range (c)",
        (
            "create table x partition of t for values from (minvalue) to ('2024-12-31')",
            "create table y partition of t for values from ('2024-12-31') to ('2026-01-01')",
        ),
        ("alter table t detach partition x",),
        "id in (1, 2, 6, 7)",
    ),
    "range_of_several_columns": Case(
        "range (a, c)",
        (
            "create table x partition of t for values "
            "from (minvalue, minvalue) to (5, '2024-06-30')",
            "create table y partition of t for values from (5, '2024-06-30') to (11, maxvalue)",
            "create table z partition of t for values from (11, maxvalue) to (maxvalue, maxvalue)",
        ),
        ("alter table t detach partition y",),
        "id in (2, 3, 4)",
    ),
    "default_": Case(
        "list (b)",
        (
            "create table x partition of t for values in ('a', 'b')",
            "create table y partition of t default",
        ),
        ("alter table t detach partition y",),
        "id in (3, 4, 5, 6, 7)",
    ),
    "beside_a_default": Case(
        "list (b)",
        (
            "create table x partition of t for values in ('a', 'b')",
            "create table y partition of t default",
        ),
        ("alter table t detach partition x", "insert into t values (11, 1, 'a', '2024-01-01')"),
        "id in (1, 2)",
    ),
    "of_a_partition": Case(
        "range (c)", NESTED, ("alter table x detach partition x1",), "id in (1, 2)"
    ),
    "the_default_of_a_partition": Case(
        "range (c)", NESTED, ("alter table x detach partition x2",), "id in (3, 6, 7)"
    ),
    "with_its_partitions": Case(
        "range (c)", NESTED, ("alter table t detach partition x",), "id in (1, 2, 3, 6, 7)"
    ),
    "narrower_in_its_place": Case(
        "range (a)",
        HALVES,
        (
            "alter table t detach partition y",
            "create table z partition of t for values from (15) to (100)",
            "insert into t select * from y where a >= 15 and a > 20",
        ),
        "id in (3, 4)",
    ),
    "merged": Case(
        "range (a)",
        HALVES,
        (
            *("alter table t detach partition x", "alter table t detach partition y"),
            "create table z partition of t for values from (minvalue) to (100)",
            "insert into t select * from x union all select * from y",
            "delete from t where id = 3",
        ),
        "false",
    ),
    "created_again": Case(
        "range (a)",
        HALVES,
        (
            *("drop table x", HALVES[0]),
            "insert into t values (1, 1, 'new', '2024-01-01')",
        ),
        "false",
    ),
    "attached_again": Case(
        "range (a)",
        HALVES,
        (
            "alter table t detach partition x",
            "delete from x where id = 1",
            "alter table t attach partition x for values from (minvalue) to (10)",
        ),
        "false",
    ),
    "all_of_them": Case("range (a)", HALVES, ("drop table x", "drop table y"), "true"),
}  # fmt: skip
# Each case read by its cursor, and some of them in other ways.
BY_CURSOR = "cursor: at, deletes: remove"
TABLES = {name: (case, BY_CURSOR) for name, case in LEFT.items()} | {
    f"{name}_{way}": (LEFT[name], settings)
    for name in ("beside_a_default", "created_again")
    for way, settings in {
        "by_versions": "cursor: xmin, deletes: mark",
        "whole": "mode: full_refresh",
        "whole_and_marked": "mode: full_refresh, deletes: mark",
    }.items()
}


class Loads(NamedTuple):
    """A lake with these tables, and the reports of the load after what happens, and the next."""

    lake: Lake
    database: Database
    first: dict[str, TableReport]
    second: dict[str, TableReport]


@pytest.fixture(scope="module")
def loads(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Loads:
    os.environ[CONNECTION_VARIABLE] = source.url
    lake = new_lake(tmp_path_factory.mktemp("loads"))
    for name, (case, _) in TABLES.items():
        source.execute(
            f"create schema {name}", f"set search_path = {name}",
            f"{TABLE} partition by {case.by}", *case.partitions, ROWS,
            "create table before as table t",
        )  # fmt: skip
    common = "primary_key: id, on_detach: keep, max_shrink: 100%"
    lake.declare(
        "\n".join(
            f"{name}.t: {{{settings}, {common}, name: {name}}}"
            for name, (_, settings) in TABLES.items()
        )
    ).load()
    for name, (case, _) in TABLES.items():
        source.execute(f"set search_path = {name}", *case.then)
    return Loads(lake, source, by_name(lake.run()), by_name(lake.load()))


def by_name(report: RunReport) -> dict[str, TableReport]:
    return {table.name.removeprefix("shop."): table for table in report.tables}


@pytest.mark.by_day(6)
@pytest.mark.parametrize("name", TABLES)
def test_rows_of_a_partition_that_left_are_kept_and_deleted_ones_are_not(
    loads: Loads, name: str
) -> None:
    wanted = loads.database.rows(
        f"select id from {name}.t union select id from {name}.before where {TABLES[name][0].left} "
        "order by id"
    )
    marked = " where _deleted_at is null" if "mark" in TABLES[name][1] else ""
    staged = f"select id from staging.stg_shop__{name}{marked} order by id"

    assert loads.lake.query(staged) == wanted
    assert loads.second[name].status == "unchanged"
    assert loads.second[name].notes == ()


RANGES = (
    "create table t (id int not null, day date not null, word text, at timestamptz default now()) "
    "partition by range (day)",
    "alter table t add primary key (id, day)",
    "create table t2023 partition of t for values from ('2023-01-01') to ('2024-01-01')",
    "create table t2024 partition of t for values from ('2024-01-01') to ('2026-01-01')",
    "insert into t select i, '2023-01-01'::date + i * 9, 'w' || i from generate_series(1, 100) i",
)
# Its rows have the ids 1 to 40.
DETACH = "alter table t detach partition t2023"
ATTACH = "alter table t attach partition t2023 for values from ('2023-01-01') to ('2024-01-01')"
STAGED = "select id from staging.stg_shop__t order by id"


def declare(lake: Lake, settings: str) -> Lake:
    return lake.declare(f"t: {{cursor: at, {settings}}}")


def ids(first: int, last: int) -> list[tuple[int]]:
    return [(i,) for i in range(first, last + 1)]


def test_undeclared_its_rows_count_as_deleted_and_a_refusal_names_the_partition(
    database: Database, lake: Lake
) -> None:
    database.execute(*RANGES)
    declare(lake, "deletes: remove, max_shrink: 20%").load()
    database.execute(DETACH)

    told = " ".join(failure(lake.load()).split())

    assert "had 100 rows and lost 40 of them (40%); `max_shrink` allows 20%;" in told
    assert "among them are rows of `t2023`, detached or dropped since the last load" in told
    assert "declare `on_detach: keep` or `remove` for such rows" in told


def test_it_can_be_declared_when_a_load_was_refused(database: Database, lake: Lake) -> None:
    database.execute(*RANGES)
    declare(lake, "deletes: remove, max_shrink: 5%").load()
    database.execute(DETACH, "delete from t where id = 100")
    failure(lake.load())

    report = declare(lake, "deletes: remove, max_shrink: 5%, on_detach: keep").load()

    assert only(report).rows_deleted == 1
    assert only(report).notes == (
        "`on_detach` was not set and is keep: rows of partitions that are detached or dropped from "
        "now on stay in staging",
        "40 rows of `t2023`, detached or dropped since the last load, are kept (`on_detach: keep`)",
    )


def test_undeclared_the_run_tells_that_few_such_rows_count_as_deleted(
    database: Database, lake: Lake
) -> None:
    database.execute(*RANGES)
    declare(lake, "deletes: remove, max_shrink: 50%").load()
    database.execute(DETACH)

    report = only(lake.load())

    assert report.rows_deleted == 40
    assert report.notes == (
        "40 rows of `t2023`, detached or dropped since the last load, count as deleted; to keep "
        "such rows, declare `on_detach: keep` beforehand",
    )
    assert only(lake.load()).notes == ()


@pytest.mark.parametrize(("deletes", "becomes"), [("remove", "removed"), ("mark", "marked")])
def test_declared_as_removed_they_are_whatever_share_of_the_table_they_are(
    database: Database, lake: Lake, deletes: str, becomes: str
) -> None:
    database.execute(*RANGES)
    declare(lake, f"deletes: {deletes}, max_shrink: 5%, on_detach: remove").load()
    database.execute(DETACH, "delete from t where id = 100")

    report = only(lake.load())

    assert report.rows_deleted == 41
    assert f"are {becomes} (`on_detach: remove`)" in report.notes[0]


@pytest.mark.by_day(1)
@pytest.mark.parametrize(
    ("declared", "is_told"),
    [("", True), (", on_detach: keep", False), (", on_detach: remove", False)],
)
def test_a_plan_counts_them_as_lost_only_if_it_is_not_declared_what_becomes_of_them(
    database: Database, lake: Lake, declared: str, is_told: bool
) -> None:
    database.execute(*RANGES)
    declare(lake, f"deletes: remove, max_shrink: 5%{declared}").load()
    database.execute(DETACH, "analyze t")

    planned, report = lake.command("plan").stdout, lake.load()

    assert ("may be refused by `max_shrink`" in planned) == is_told
    assert report.exit_code == (1 if is_told else 0)


def test_deleted_rows_beside_kept_ones_are_measured_against_the_rest(
    database: Database, lake: Lake
) -> None:
    """Neither do kept rows count as lost, nor do they make the table larger than it is."""
    database.execute(*RANGES)
    declare(lake, "deletes: remove, max_shrink: 5%, on_detach: keep").load()
    database.execute(DETACH, "delete from t where id > 96")

    assert "had 60 rows and lost 4 of them (7%)" in failure(lake.load())


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_kept_rows_are_removed_once_that_is_declared(database: Database, lake: Lake) -> None:
    database.execute(*RANGES)
    declare(lake, "deletes: remove, on_detach: keep").load()
    database.execute(DETACH)
    lake.load()

    report = only(declare(lake, "deletes: remove, on_detach: remove").run())

    assert report.rows_deleted == 40
    assert lake.query(STAGED) == ids(41, 100)


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_kept_rows_outlive_a_read_of_the_whole_table_and_an_audit_agrees(
    database: Database, lake: Lake
) -> None:
    database.execute(*RANGES)
    declare(lake, "deletes: remove, on_detach: keep").load()
    database.execute(DETACH)
    planned = lake.command("plan").stdout
    lake.load()
    database.execute("alter table t alter word type int using id", "delete from t where id = 50")
    refused = failure(lake.load())
    database.execute("alter table t alter word type varchar(50)")

    report = only(lake.run())

    assert "shop.t: rows of `t2023`, detached or dropped since the last load, are kept" in planned
    assert "can't keep the rows of detached partitions: 40 values of `word` can't be" in refused
    assert (report.rows_read, report.rows_written) == (59, 99)
    assert lake.query(STAGED) == [*ids(1, 49), *ids(51, 100)]
    assert "59 rows equal, 40 kept of detached partitions" in lake.command("audit").stdout
    assert "shop.t keeps the rows of `t2023`, detached or" in lake.command("status").stdout
    database.execute(
        "alter table t2023 alter word type varchar(50)",
        "insert into t2023 values (1000, '2023-05-05', 'late')",
        ATTACH,
    )
    lake.run()
    assert lake.query(STAGED) == [*ids(1, 49), *ids(51, 100), (1000,)]
    assert "100 rows equal\n" in lake.command("audit").stdout


def test_kept_rows_outlive_a_full_refresh_without_a_comparison_of_keys(
    database: Database, lake: Lake
) -> None:
    database.execute(*RANGES)
    declare(lake, "on_detach: keep").load()
    database.execute(DETACH)

    assert lake.load().tables[0].notes == ()
    lake.run(full_refresh=True)

    assert lake.query(STAGED) == ids(1, 100)


def test_a_table_that_is_read_whole_writes_kept_rows_only_with_other_news(
    database: Database, lake: Lake
) -> None:
    database.execute(*RANGES)
    lake.declare("t: {mode: full_refresh, on_detach: keep}").load()
    database.execute(DETACH)

    assert only(lake.load()).status == "unchanged"
    assert only(lake.load()).status == "unchanged"
    database.execute("delete from t where id = 100")
    report = only(lake.load())

    assert (report.status, report.rows_written) == ("loaded", 99)
    assert only(lake.load()).status == "unchanged"


def test_a_column_that_is_hashed_from_now_on_is_null_in_kept_rows(
    database: Database, lake: Lake
) -> None:
    database.execute(*RANGES)
    declare(lake, "deletes: remove, on_detach: keep").load()
    database.execute(DETACH)
    lake.load()

    declared = "deletes: remove, on_detach: keep, columns: {word: {hash: sha256}}"
    notes = only(declare(lake, declared).load()).notes

    assert "the kept rows of detached partitions have null in `word`" in " ".join(notes)
    newest = lake.raw("shop__t", "_dlt_load_id, id, word")[-100:]
    assert len({load for load, *_ in newest}) == 1
    assert [word for _, i, word in newest if i <= 40] == [None] * 40


def test_rows_cannot_be_kept_by_another_key(database: Database, lake: Lake) -> None:
    database.execute(*RANGES)
    declare(lake, "deletes: remove, on_detach: keep").load()
    database.execute(DETACH)

    told = failure(declare(lake, "deletes: remove, on_detach: keep, primary_key: id").load())

    assert "they were loaded by another primary key" in told


def test_a_renamed_partition_or_column_is_no_partition_that_left(
    database: Database, lake: Lake
) -> None:
    database.execute(*RANGES)
    declare(lake, "deletes: remove, on_detach: keep").load()
    database.execute("alter table t rename day to date", "alter table t2023 rename to before")

    assert "detached" not in " ".join(only(lake.load()).notes)
    database.execute("alter table t detach partition before", "delete from t where id = 50")
    report = only(lake.load())
    assert "40 rows of `before`, detached" in " ".join(report.notes)
    assert report.rows_deleted == 1


def test_a_backfill_does_not_count_as_a_load_without_the_partition(
    database: Database, lake: Lake
) -> None:
    database.execute(*RANGES)
    declare(lake, "deletes: remove, on_detach: keep").load()
    database.execute(DETACH, "insert into t values (200, '2024-05-05', 'x', '2020-01-01Z')")

    assert only(lake.load("shop.t", since="2019-01-01", until="2021-01-01")).rows_written == 1
    assert "40 rows of `t2023`" in only(lake.load()).notes[0]


def test_bounds_that_an_earlier_version_did_not_record_are_recorded(
    database: Database, lake: Lake
) -> None:
    database.execute(*RANGES)
    declare(lake, "on_detach: keep").load()
    (manifest,) = (lake.root / "data/raw/shop__t/_lakefeed_loads").glob("*.json")
    document = json.loads(manifest.read_text())
    del document["read_as"]["partitions"], document["read_as"]["detached"]
    manifest.write_text(json.dumps(document))

    assert only(lake.load()).notes == ()
    assert len(json.loads(manifest.read_text())["read_as"]["partitions"]) == 2


REFUSED = {
    "partition by hash (a)": "it is partitioned by hash",
    "partition by list ((a % 2))": "it is partitioned by an expression",
    "partition by range (b)": "the ranges of `b` depend on its collation",
    "partition by range (n)": "it is partitioned by `n`, a numeric, which the lake stores as text",
    "partition by list (x)": "it is partitioned by `x`, which isn't loaded",
    "partition by list (h)": "it is partitioned by `h`, and `hash` hides its values",
    "partition by range (v)": "`v`, which it is partitioned by, isn't of a type that the lake has",
    "": "it isn't partitioned",
}


def test_where_partitions_cannot_be_told_apart_it_is_refused_with_its_line(
    database: Database, lake: Lake
) -> None:
    columns = "(id int, a int, b text collate other, n numeric, x int, h text, v interval)"
    database.execute("create collation other (locale = 'C.utf8')")
    settings = (
        "mode: full_refresh, primary_key: id, on_detach: keep, "
        "columns: {exclude: [x], h: {hash: sha256}}"
    )
    for number, by in enumerate(REFUSED):
        database.execute(f"create table t{number} {columns} {by}")
    lake.declare("\n".join(f"t{number}: {{{settings}}}" for number in range(len(REFUSED))))

    told = [str(error) for error in (table.error for table in lake.load().tables) if error]
    checked = " ".join(lake.command("check", "--connect").stderr.split())

    for number, (error, why) in enumerate(zip(told, REFUSED.values(), strict=True)):
        assert f"`on_detach` doesn't apply to shop.t{number}: {why}" in error
        assert f"sources.yaml:{6 + number}" in error
        assert why in checked


def test_defaults_apply_to_the_tables_that_are_partitioned(database: Database, lake: Lake) -> None:
    database.execute(*RANGES, "create table u (id int primary key)", "insert into u values (1)")
    lake.declare(
        "t: {cursor: at, deletes: remove}\nu: {mode: full_refresh}",
        head="    defaults: {on_detach: keep}\n",
    ).load()
    database.execute(DETACH)

    report = {table.name: table for table in lake.load().tables}

    assert "are kept" in report["shop.t"].notes[0]
    assert report["shop.u"].status == "unchanged"
