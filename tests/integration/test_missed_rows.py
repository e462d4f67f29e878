"""Rows that are added to a table without a change that its cursor reveals."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

import pytest

from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake, only

pytestmark = pytest.mark.builds

COLUMNS = "(id int not null, word text, at timestamptz default now())"
T = (
    f"create table t {COLUMNS}",
    "alter table t add primary key (id)",
    "insert into t select i, 'w' || i from generate_series(1, 10) i",
)
OLD = "insert into {} select i, 'old', '2001-01-01Z' from generate_series(101, 110) i"
PARTITIONED = (
    f"create table t {COLUMNS} partition by range (id)",
    "alter table t add primary key (id)",
    "create table t1 partition of t for values from (0) to (100)",
    "insert into t select i, 'w' || i from generate_series(1, 10) i",
    f"create table old {COLUMNS}",
    OLD.format("old"),
)
ATTACHED = ("alter table t attach partition old for values from (100) to (200)",)


class Case(NamedTuple):
    """A table, what happens to it between two loads, and the rows expected afterwards."""

    declared: str
    before: tuple[str, ...]
    then: tuple[str, ...]
    wanted: str = "true"


WITH_DELETES = {
    "attached": Case("cursor: at, deletes: remove", PARTITIONED, ATTACHED),
    "attached_to_versions": Case("cursor: xmin, deletes: mark", PARTITIONED, ATTACHED),
    "attached_in_part": Case(
        "cursor: at, deletes: mark, where: id < 105", PARTITIONED, ATTACHED, "id < 105"
    ),
    "restored": Case("cursor: at, deletes: remove", T, (OLD.format("t"),)),
    "restored_beside_changes": Case(
        "cursor: at, deletes: remove, lookback: 1d",
        T,
        (OLD.format("t"), "update t set word = 'x', at = now() where id in (3, 104)"),
    ),
    "exchanged": Case(
        "cursor: at, deletes: remove",
        (
            *(*T, "create table new (like t including all)"),
            *(OLD.format("new"), "insert into new table t"),
        ),
        ("alter table t rename to gone", "alter table new rename to t"),
    ),
    "seen_through_a_view": Case(
        "cursor: at, deletes: remove, primary_key: id",
        ("create table b " + COLUMNS, "insert into b values (1, 'w')", "create view t as table b"),
        (OLD.format("b"),),
    ),
    "below_the_initial_value": Case(
        "cursor: {column: at, initial_value: 2010-01-01}, deletes: remove",
        T,
        (OLD.format("t"),),
        "at > '2010-01-01'",
    ),
    "without_a_cursor_value": Case(
        "cursor: at, deletes: remove, on_null_cursor: exclude",
        T,
        ("insert into t values (101, 'null', null)", "insert into t values (102, 'w', '2001-1-1')"),
        "at is not null",
    ),
    "keys_of_several_columns": Case(
        'cursor: at, deletes: remove, primary_key: [id, word]',
        ("create table t " + COLUMNS, "insert into t values (1, 'it''s')"),
        ("insert into t values (1, 'é\\', '2001-01-01Z'), (2, 'it''s', '2001-01-01Z')",),
    ),
}  # fmt: skip

SWAPPED = Case(
    "cursor: at",
    (
        *(*T, "create table new (like t including all)"),
        *(OLD.format("new"), "insert into new table t"),
    ),
    ("alter table t rename to gone", "alter table new rename to t"),
)
BELOW = "create table more{0} partition of more for values from ({0}) to ({1})"
BY_CURSOR = {
    "partition": Case("cursor: at", PARTITIONED, ATTACHED),
    "partition_of_versions": Case("cursor: xmin", PARTITIONED, ATTACHED),
    "partition_with_a_condition": Case(
        "cursor: at, where: id < 105", PARTITIONED, ATTACHED, "id < 105"
    ),
    "partition_beside_changes": Case(
        "cursor: at, lookback: 1d",
        PARTITIONED,
        (*ATTACHED, "update t set word = 'x', at = now() where id in (3, 104)"),
    ),
    "partitions_below_a_partition": Case(
        "cursor: at",
        PARTITIONED,
        (
            f"create table more {COLUMNS} partition by range (id)",
            *(BELOW.format(first, first + 5) for first in (101, 106)),
            "insert into more table old",
            "alter table t attach partition more for values from (100) to (200)",
        ),
    ),
    "partitions_where_there_were_none": Case(
        "cursor: at", (*PARTITIONED[:2], *PARTITIONED[4:]), ATTACHED
    ),
    "child": Case(
        "cursor: at, primary_key: id",
        (T[0], T[2], f"create table old {COLUMNS}", OLD.format("old")),
        ("alter table old inherit t",),
    ),
    "swapped": SWAPPED,
    "swapped_versions": SWAPPED._replace(declared="cursor: xmin"),
    "created_anew": Case("cursor: at", T, ("drop table t", *T[:2], OLD.format("t"))),
    "restored_after_truncate": Case(
        "cursor: at",
        T,
        ("truncate t", OLD.format("t"), "insert into t select i, 'w' from generate_series(1, 3) i"),
    ),
    "converted": Case(
        "cursor: at", T, ("alter table t alter word type text using upper(word) || id",)
    ),
    "counted_from_1_again": Case(
        "cursor: id",
        (*T[:2], OLD.format("t")),
        ("truncate t", "insert into t values (1, 'first')"),
    ),
}


Loads = tuple[Lake, dict[str, TableReport], dict[str, TableReport]]


@pytest.fixture(scope="module")
def loads(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Loads:
    """A lake with a table for each case; the reports of the load after what happens, and the next.

    Few places at a time, so that there are several batches of them.
    """
    os.environ[CONNECTION_VARIABLE] = source.url
    lake = new_lake(tmp_path_factory.mktemp("loads"))
    cases = WITH_DELETES | BY_CURSOR
    for name, case in cases.items():
        source.execute(f"create schema {name}", f"set search_path = {name}", *case.before)
    lake.declare(
        "\n".join(f"{name}.t: {{{c.declared}, name: {name}}}" for name, c in cases.items())
    ).load()
    for name, case in cases.items():
        source.execute(f"set search_path = {name}", *case.then)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lakefeed.loading.extract.missed_rows._PLACES_AT_A_TIME", 4)
        return lake, by_name(lake.load()), by_name(lake.load())


def by_name(report: RunReport) -> dict[str, TableReport]:
    return {table.name.removeprefix("shop."): table for table in report.tables}


@pytest.mark.by_day(3)
@pytest.mark.parametrize("name", WITH_DELETES)
def test_all_rows_that_raw_lacks_are_loaded_if_keys_are_compared(
    source: Database, loads: Loads, name: str
) -> None:
    lake, after, _ = loads

    assert after[name].error is None
    there, held = there_now(source, name), lake.raw(f"shop__{name}", "id, word")
    assert there <= set(held)
    assert {row[0] for row in held} <= {row[0] for row in there}
    assert len(held) == len(set(held))


@pytest.mark.parametrize("name", BY_CURSOR)
def test_rows_of_new_or_rewritten_parts_are_loaded_whatever_their_cursor_value(
    source: Database, loads: Loads, name: str
) -> None:
    lake, after, _ = loads

    assert after[name].error is None
    there, held = there_now(source, name), lake.raw(f"shop__{name}", "id, word")
    assert there <= set(held)
    assert len(held) == len(set(held))
    # An empty table isn't loaded, so there is nothing to compare with.
    is_first = name == "partitions_where_there_were_none"
    assert ("since the last load" in "".join(after[name].notes)) != is_first


def there_now(source: Database, name: str) -> set[tuple[object, ...]]:
    wanted = (WITH_DELETES | BY_CURSOR)[name].wanted
    return set(source.rows(f"select id, word from {name}.t where {wanted}"))


@pytest.mark.parametrize("name", WITH_DELETES | BY_CURSOR)
def test_rows_that_arrived_are_loaded_once(loads: Loads, name: str) -> None:
    _, _, again = loads

    assert (again[name].status, again[name].notes) == ("unchanged", ())


@pytest.mark.parametrize("name", ["restored", "restored_beside_changes", "seen_through_a_view"])
def test_the_run_reports_how_many_rows_only_the_comparison_of_keys_found(
    loads: Loads, name: str
) -> None:
    _, after, _ = loads

    assert "appeared or reappeared below the cursor's checkpoint" in after[name].notes[-1]


def test_later_rows_of_a_replaced_table_that_counts_from_1_again_are_loaded(
    database: Database, lake: Lake
) -> None:
    """Even if the table was empty at the time of the load, which then had no cursor value."""
    database.execute(BY_CURSOR["counted_from_1_again"].before[0], *T[1:2], OLD.format("t"))
    lake.declare("t: {cursor: id}").load()
    database.execute("truncate t")
    assert only(lake.load()).status == "unchanged"
    database.execute("insert into t values (1, 'first'), (2, 'second')")
    assert only(lake.load()).rows_written == 2
    database.execute("insert into t values (3, 'third')")

    assert only(lake.load()).rows_written == 1


def test_a_partition_that_is_attached_again_is_read_in_full(database: Database, lake: Lake) -> None:
    database.execute(*PARTITIONED, *ATTACHED)
    lake.declare("t: {cursor: at}").load()
    database.execute("alter table t detach partition old")
    assert only(lake.load()).status == "unchanged"
    database.execute("update old set word = 'changed' where id = 107", *ATTACHED)

    assert only(lake.load()).rows_written == 1
    assert (107, "changed") in lake.raw("shop__t", "id, word")


@pytest.mark.parametrize("cursor", ["at", "xmin", "id"])
@pytest.mark.parametrize("rewriting", ["vacuum full t", "cluster t using t_pkey"])
def test_a_rewrite_that_keeps_all_rows_loads_none_of_them(
    database: Database, lake: Lake, cursor: str, rewriting: str
) -> None:
    database.execute(*T, "update t set at = '2001-01-01Z' where id < 10")
    lake.declare(f"t: {{cursor: {cursor}}}").load()
    database.execute(rewriting)

    report = only(lake.load())

    assert report.status == "unchanged"
    assert report.rows_read == (0 if cursor == "xmin" else 1)
    assert "`t` truncated or rewritten" in report.notes[0]
    assert only(lake.load()).notes == ()


def test_a_backfill_does_not_count_as_a_load_of_new_parts(database: Database, lake: Lake) -> None:
    database.execute(*PARTITIONED)
    lake.declare("t: {cursor: at}").load()
    database.execute(*ATTACHED, "insert into t values (50, 'backdated', '2020-01-01Z')")

    assert only(lake.load("shop.t", since="2019-01-01", until="2021-01-01")).rows_written == 1
    assert only(lake.load()).rows_written == 10


def test_a_partition_that_the_role_may_not_read_directly_is_read_through_its_table(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"r{database.name}"
    database.execute(
        *PARTITIONED, f"create role {role} login superuser", f"alter role {role} nosuperuser",
        f"grant select on t to {role}",
    )  # fmt: skip
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url.replace("postgres:@", f"{role}:@"))
    lake.declare("t: {cursor: at}").load()
    database.execute(*ATTACHED)

    assert only(lake.load()).rows_written == 10
    database.execute(f"drop owned by {role}", f"drop role {role}")


def test_parts_that_an_earlier_version_did_not_record_are_recorded_without_a_reload(
    database: Database, lake: Lake
) -> None:
    database.execute(*PARTITIONED)
    lake.declare("t: {cursor: at}").load()
    (manifest,) = (lake.root / "data/raw/shop__t/_lakefeed_loads").glob("*.json")
    document = json.loads(manifest.read_text())
    del document["read_as"]["parts"], document["read_as"]["identities"]
    manifest.write_text(json.dumps(document))

    assert only(lake.load()).notes == ()
    assert json.loads(manifest.read_text())["read_as"]["parts"]
    database.execute(*ATTACHED)
    assert only(lake.load()).rows_written == 10
