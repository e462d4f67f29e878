"""JSON, arrays and intervals: PostgreSQL's text in raw, DuckDB's types in staging."""

from __future__ import annotations

import datetime as dt
import json

import duckdb
import pytest

from lakefeed.orchestration.checks.audit import audit
from tests.conftest import Database, Lake

pytestmark = pytest.mark.builds

EVENTS = (
    "create table events (id int primary key, doc jsonb, odd json, tags text[], sizes int[], "
    "wait interval, at timestamptz default now())",
    """insert into events values (1, '{"a": [1, 1.10]}', '{"b" :1e400}', '{"a,b",NULL}', '{1,2}',
    '-1 mons +3 days 04:05:06.5')""",
)
FORMS = '{tags: {type: "text[]"}, sizes: {type: "bigint[]"}, wait: {type: interval}}'
TYPES = "select typeof(doc), typeof(odd), typeof(tags), typeof(sizes), typeof(wait)"
FROM = "from staging.stg_shop__events"


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_staging_has_json_lists_and_intervals_and_raw_has_the_text(
    database: Database, lake: Lake
) -> None:
    database.execute(*EVENTS)
    declared = f"events: {{cursor: at, deletes: remove, history: true, columns: {FORMS}}}"
    lake.declare(declared)
    first = lake.run()
    assert first.exit_code == 0, [str(table.error) for table in first.failures]
    database.execute(
        "update events set wait = '-1 mons +3 days 04:05:06.6', at = clock_timestamp()",
        "insert into events (id, tags) values (2, '{}')",
    )

    again = lake.run()

    assert again.exit_code == 0, again.build
    types = ("JSON", "JSON", "VARCHAR[]", "BIGINT[]", "INTERVAL")
    assert lake.query(f"{TYPES} {FROM}") == [types] * 2
    assert lake.query(
        f"select doc::varchar, odd::varchar, doc ->> '$.a[0]' {FROM} where id = 1"
    ) == [('{"a": [1, 1.10]}', '{"b" :1e400}', "1")]
    assert lake.query(f"select tags, sizes, wait - interval '3 days' {FROM} order by id") == [
        (["a,b", None], [1, 2], dt.timedelta(days=-30, seconds=14706, microseconds=600000)),
        ([], None, None),
    ]
    assert ("-1 mons +3 days 04:05:06.6",) in lake.raw("shop__events", "wait")
    assert lake.query("select count(*) from history.hst_shop__events") == [(3,)]
    assert audit(lake.project, ()).tables[0].findings == ()


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_a_value_without_an_exact_form_stops_the_build_with_its_row_until_it_is_kept_as_text(
    database: Database, lake: Lake
) -> None:
    database.execute(*EVENTS)
    database.execute("insert into events (id, odd, tags) values (2, '\"\\ud83d\"', '{{a},{b}}')")
    lake.declare(f"events: {{cursor: at, columns: {FORMS}}}")

    stopped = lake.run()
    told = json.dumps(stopped.as_json())

    assert stopped.exit_code == 1
    assert "holds a value that isn't exact as JSON in the row with id = 2" in told
    lake.declare("events: {cursor: at, columns: {odd: {type: text}, wait: {type: interval}}}")
    assert lake.run().exit_code == 0
    assert lake.query(f"{TYPES} {FROM} where id = 2") == [
        ("JSON", "VARCHAR", "VARCHAR", "VARCHAR", "INTERVAL")
    ]
    lake.declare("events: {cursor: at, columns: {odd: {type: text}}}")
    assert lake.run().exit_code == 0
    assert lake.query(f"select wait {FROM} where id = 1") == [("-1 mons +3 days 04:05:06.5",)]


def test_a_model_that_has_text_changes_over_with_its_next_rows(
    database: Database, lake: Lake
) -> None:
    database.execute(*EVENTS)
    lake.declare("events: {cursor: at, columns: {doc: {type: text}, odd: {type: text}}}")
    lake.run()
    with duckdb.connect(str(lake.root / "data/warehouse.duckdb")) as earlier:
        earlier.execute("drop table _lakefeed.declared_columns")
    lake.declare("events: {cursor: at}")
    database.execute("insert into events (id, at) values (2, clock_timestamp())")

    assert lake.run().exit_code == 0

    assert lake.query(f"select typeof(doc), typeof(odd) {FROM}") == [("JSON", "JSON")] * 2
    assert lake.query(f"select odd::varchar {FROM} where id = 1") == [('{"b" :1e400}',)]
