"""Rows that come to a table though nothing that its cursor shows has changed."""

from __future__ import annotations

import os
from typing import NamedTuple

import pytest

from pipelines.orchestration.report import RunReport, TableReport
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake

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
    """A table, what happens to it between two loads, and which of its rows are to be there."""

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


Loads = tuple[Lake, dict[str, TableReport], dict[str, TableReport]]


@pytest.fixture(scope="module")
def loads(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Loads:
    """A lake with a table for each case; the reports of the load after what happens, and the next.

    Few places at a time, so that there are several batches of them.
    """
    os.environ[CONNECTION_VARIABLE] = source.url
    lake = new_lake(tmp_path_factory.mktemp("loads"))
    for name, case in WITH_DELETES.items():
        source.execute(f"create schema {name}", f"set search_path = {name}", *case.before)
    lake.declare(
        "\n".join(f"{name}.t: {{{c.declared}, name: {name}}}" for name, c in WITH_DELETES.items())
    ).load()
    for name, case in WITH_DELETES.items():
        source.execute(f"set search_path = {name}", *case.then)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.loading.arrivals._PLACES_AT_A_TIME", 4)
        return lake, by_name(lake.load()), by_name(lake.load())


def by_name(report: RunReport) -> dict[str, TableReport]:
    return {table.name.removeprefix("shop."): table for table in report.tables}


@pytest.mark.parametrize("name", WITH_DELETES)
def test_where_keys_are_compared_all_that_raw_lacks_is_loaded(
    source: Database, loads: Loads, name: str
) -> None:
    lake, after, _ = loads

    assert after[name].error is None
    wanted = f"select id, word from {name}.t where {WITH_DELETES[name].wanted} order by id, word"
    held = lake.raw(f"shop__{name}", "id, word")
    assert set(source.rows(wanted)) <= set(held)
    assert {row[0] for row in held} <= {row[0] for row in source.rows(wanted)}
    assert len(held) == len(set(held))


@pytest.mark.parametrize("name", WITH_DELETES)
def test_what_arrived_is_loaded_once(loads: Loads, name: str) -> None:
    _, _, again = loads

    assert (again[name].status, again[name].notes) == ("unchanged", ())


@pytest.mark.parametrize("name", set(WITH_DELETES) - {"below_the_initial_value"})
def test_the_run_says_how_many_rows_arrived_so(loads: Loads, name: str) -> None:
    _, after, _ = loads

    assert "without a change that its cursor shows" in after[name].notes[-1]
