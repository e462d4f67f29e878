"""What is declared of single tables holds with raw and the warehouse in an object store, too."""

from __future__ import annotations

import datetime as dt

import pytest

from lakefeed.orchestration.checks.audit import audit
from tests.conftest import Database, Lake, only
from tests.integration import test_append as append
from tests.integration import test_detached_partitions as partitions
from tests.integration import test_first_loads as ranges

pytestmark = pytest.mark.engines


def test_equal_rows_of_a_table_without_a_key_are_all_kept_and_once(
    database: Database, lake: Lake
) -> None:
    database.execute(append.TABLE, append.SOME)
    lake.declare(append.EVENTS).run()
    database.execute("insert into events select * from events where who = 'ann'")

    assert only(lake.run()).rows_written == 2
    assert append.staged(lake) == append.in_source(database)
    assert audit(lake.project, ()).tables[0].is_clean


def test_a_first_load_that_was_killed_between_two_ranges_goes_on(
    database: Database, lake: Lake
) -> None:
    database.execute(*ranges.BIG)
    lake.declare(ranges.DECLARED)
    ranges.die_in_range(lake, 3)
    database.execute("update big set n = 1, updated_at = now() where id in (1, 19_999)")

    assert lake.run().exit_code == 0
    assert ranges.ranges_of(lake) == [(number, 5) for number in range(1, 6)]
    assert ranges.staged_rows(lake) == ranges.source_rows(database)


def test_rows_of_a_detached_partition_stay_in_staging(database: Database, lake: Lake) -> None:
    database.execute(*partitions.RANGES)
    partitions.declare(lake, "deletes: remove, on_detach: keep").run()
    database.execute(partitions.DETACH, "delete from t where id = 100")

    assert only(lake.run()).rows_deleted == 1
    assert lake.query(partitions.STAGED) == partitions.ids(1, 99)


def test_columns_have_the_names_and_types_that_are_declared(database: Database, lake: Lake) -> None:
    database.execute(
        'create table t (id int primary key, "Paid At" text, doc jsonb, sizes int[], '
        "wait interval, at timestamptz default now())",
        """insert into t values (1, '2026-01-31', '{"a": 1.10}', '{1,2}', '2 days')""",
    )
    lake.declare(
        't: {cursor: at, history: true, columns: {"Paid At": {name: paid, type: date}, '
        'sizes: {type: "bigint[]"}, wait: {type: interval}}}'
    ).run()
    database.execute("update t set sizes = '{3}', at = clock_timestamp()")
    lake.run()

    query = "select paid, doc::varchar, sizes, wait, typeof(doc) from {}.{}_shop__t order by sizes"
    first, second = (
        (dt.date(2026, 1, 31), '{"a": 1.10}', sizes, dt.timedelta(2), "JSON")
        for sizes in ([1, 2], [3])
    )
    assert lake.query(query.format("staging", "stg")) == [second]
    assert lake.query(query.format("history", "hst")) == [first, second]
