"""With `mode: append` a table needs no key, and each of its rows is kept once."""

from __future__ import annotations

from typing import Any

import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import Database, Lake, only

pytestmark = [pytest.mark.builds, pytest.mark.on_store(at_night=True)]

EVENTS = "events: {mode: append, cursor: at, lookback: 1h}"
TABLE = "create table events (who text, amount int, at timestamptz default clock_timestamp())"
SOME = (
    "insert into events values ('bob', 2, now() - interval '1 minute'), "
    "('ann', 1, now() - interval '2 seconds'), ('ann', 1, now() - interval '1 second')"
)

# `at` alone is a word of DuckDB.
ALL = 'who, amount, "at"'

Rows = list[tuple[Any, ...]]


def in_source(database: Database, columns: str = ALL) -> Rows:
    return sorted(database.rows(f"select {columns} from events"), key=repr)


def kept(lake: Lake, columns: str = ALL) -> Rows:
    """The rows in raw that count."""
    log = CommitLog(lake.project.raw, "shop__events")
    ids = ", ".join(f"'{load.load_id}'" for load in log.effective_loads())
    found = lake.raw("shop__events", f"{columns}, _dlt_load_id in ({ids}) as counts")
    return sorted((row[:-1] for row in found if row[-1]), key=repr)


def staged(lake: Lake, columns: str = ALL) -> Rows:
    return sorted(lake.query(f"select {columns} from staging.stg_shop__events"), key=repr)


@pytest.fixture
def events(database: Database, lake: Lake) -> Lake:
    """A lake that has loaded three rows, two of which differ by their time only."""
    database.execute(TABLE, SOME)
    lake.declare(EVENTS)
    assert only(lake.load()).rows_written == 3
    return lake


def test_rows_that_the_lookback_reads_again_are_kept_once(database: Database, events: Lake) -> None:
    database.execute("insert into events values ('cat', 3)")
    second = only(events.load())
    database.execute("insert into events values ('cat', 4)")

    third = only(events.load())

    assert [(load.rows_read, load.rows_written) for load in (second, third)] == [(4, 1), (5, 1)]
    assert kept(events) == in_source(database)
    assert only(events.load()).status == "unchanged"


def test_equal_rows_are_all_kept_whichever_loads_bring_them(
    database: Database, events: Lake
) -> None:
    equal = "insert into events select who, amount, at from events where who = 'bob' limit 1"
    written = []
    for copies in (1, 2, 0):
        database.execute(*[equal] * copies)
        written.append(only(events.load()).rows_written)

    assert written == [1, 2, 0]
    assert kept(events) == in_source(database)


CHANGES = {
    "added": "alter table events add note text",
    "added with a default": "alter table events add note text default 'n'",
    "dropped": "alter table events drop amount",
    "renamed": "alter table events rename amount to number",
    "widened": "alter table events alter amount type bigint",
    "to numeric": "alter table events alter amount type numeric(12, 2)",
    "to text": "alter table events alter amount type text",
    "narrowed": "alter table events alter amount type smallint",
    "to unbounded numeric": "alter table events alter amount type numeric",
}
MARKS = dict.fromkeys(("added", "widened", "to unbounded numeric"), pytest.mark.at_night)


@pytest.mark.parametrize("change", [pytest.param(c, marks=MARKS.get(c, ())) for c in CHANGES])
def test_a_changed_column_does_not_double_the_rows_of_the_window(
    database: Database, events: Lake, change: str
) -> None:
    database.execute(CHANGES[change], "insert into events values ('new')")

    changed = only(events.load())
    database.execute("insert into events values ('newer')")
    later = only(events.load())

    assert changed.error is None
    assert later.rows_written == 1
    has_amount = change not in ("dropped", "renamed")
    columns = f'who, {"amount::text, " if has_amount else ""} "at"'
    assert kept(events, columns) == in_source(database, columns)


def test_several_changes_of_columns_between_two_loads_do_not_double_rows_either(
    database: Database, events: Lake
) -> None:
    for number, change in enumerate(("add a int", "drop amount", "add b real", "drop a")):
        database.execute(
            f"alter table events {change}",
            f"insert into events (who) values ('{number}'), ('{number}')",
        )
        assert only(events.load()).rows_written == 2

    assert kept(events, 'who, "at"') == in_source(database, 'who, "at"')


def test_the_rows_of_a_load_without_a_column_keep_null_in_it_until_a_full_refresh(
    database: Database, events: Lake
) -> None:
    database.execute("alter table events add note text", "update events set note = 'later'")

    loaded = only(events.load())
    assert loaded.rows_written == 0
    assert loaded.notes == (
        "`note` is new: rows loaded before keep null in it, though they have values in the source; "
        "to load these: lakefeed run --select shop.events --full-refresh",
    )
    database.execute("insert into events values ('new', 5, default, 'now')")
    events.load()

    assert kept(events, "who, note") == [
        ("ann", None), ("ann", None), ("bob", None), ("new", "now")
    ]  # fmt: skip
    events.load(full_refresh=True)
    assert kept(events, "who, note") == in_source(database, "who, note")


def test_of_equal_rows_the_one_with_a_value_in_a_new_column_is_the_new_one(
    database: Database, events: Lake
) -> None:
    database.execute(
        "alter table events add note text",
        "insert into events select who, amount, at, 'new' from events where who = 'bob'",
    )

    events.load()

    assert kept(events, "note") == [("new",), *[(None,)] * 3]


def test_loads_with_a_column_are_compared_before_those_without_it(
    database: Database, events: Lake
) -> None:
    database.execute(
        "alter table events add note int",
        "insert into events select who, amount, at, 1 from events where who = 'bob'",
    )
    assert only(events.load()).rows_written == 1
    database.execute("update events set note = 2 where note is null")

    # Of bob's two rows, raw has one with the note 1, and one from before there were notes.
    assert only(events.load()).rows_written == 0


def test_equal_values_are_recognized_in_every_type(database: Database, lake: Lake) -> None:
    values = {
        "real": ["0", "-0", "NaN", "infinity", "0.1"],
        "double precision": ["0", "-0", "NaN", "-infinity", "0.1"],
        "numeric": ["1", "1.00", "NaN", "1e30"],
        "jsonb": ['{"a": 1.0}', "null", "{}"],
        "text": ["", "null", "a\nb", "'"],
        "bytea": ["", "\\x00ff"],
    }
    rows = [
        f"insert into events (c{number}) values ($v${value}$v$), ($v${value}$v$)"
        for number, listed in enumerate(values.values())
        for value in listed
    ]
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(values))
    database.execute(f"create table events ({columns}, at timestamptz default now())", *rows)
    lake.declare(EVENTS)
    first = only(lake.load())
    database.execute("insert into events default values", "insert into events default values")

    second = only(lake.load())

    assert (first.rows_written, second.rows_written) == (len(rows) * 2, 2)
    assert only(lake.load()).status == "unchanged"


def test_rows_without_a_cursor_are_kept_once_over_many_loads(
    database: Database, events: Lake
) -> None:
    for number in range(3):
        database.execute(
            "insert into events values ('nobody', 0, null), ('nobody', 0, null)",
            f"insert into events values ('someone', {number})",
        )
        assert only(events.load()).rows_written == 3

    assert only(events.load()).null_cursors == 6
    assert kept(events) == in_source(database)


def test_a_row_from_the_future_is_kept_once(database: Database, events: Lake) -> None:
    database.execute("insert into events values ('late', 0, 'infinity')")
    for number in range(3):
        database.execute(f"insert into events values ('someone', {number})")
        events.load()

    assert kept(events, "who, amount") == in_source(database, "who, amount")


def test_a_row_that_was_committed_late_is_found_and_no_other_is_doubled(
    database: Database, events: Lake
) -> None:
    late = database.connect()
    with late.cursor() as cursor:
        cursor.execute("insert into events values ('late', 0, now()), ('late', 0, now())")
        database.execute("insert into events values ('soon', 9)")
        assert only(events.load()).rows_written == 1
        late.commit()
    late.close()
    clock = "insert into events values ('clock', 0, now() - interval '59 minutes')"
    database.execute(clock, clock)

    assert only(events.load()).rows_written == 4
    assert kept(events) == in_source(database)


def test_a_range_that_is_loaded_again_is_compared_too(database: Database, events: Lake) -> None:
    database.execute("insert into events values ('old', 7, '2020-01-01 12:00Z')")
    assert only(events.load()).rows_written == 0

    found = only(events.load(since="2020-01-01", until="2020-01-02"))
    again = only(events.load(since="2019-01-01"))

    assert (found.rows_written, again.rows_written) == (1, 0)
    assert again.rows_read == 4
    assert kept(events) == in_source(database)


def test_a_full_refresh_replaces_what_was_kept(database: Database, events: Lake) -> None:
    database.execute("delete from events where who = 'bob'")
    assert only(events.load()).rows_written == 0
    assert ("bob", 2) in kept(events, "who, amount")

    events.load(full_refresh=True)

    assert kept(events) == in_source(database)


@pytest.mark.parametrize("before", ["mode: full_refresh", "cursor: id, primary_key: id"])
def test_a_table_that_was_loaded_otherwise_goes_on_without_doubling(
    database: Database, lake: Lake, before: str
) -> None:
    database.execute(
        "create table events (id int, who text, at timestamptz default now())",
        "insert into events values (1, 'ann'), (2, 'bob')",
    )
    lake.declare(f"events: {{{before}}}").load()
    lake.declare(EVENTS)
    database.execute("insert into events values (3, 'cat')")

    lake.load()
    lake.load()

    assert kept(lake, "id") == in_source(database, "id")


def test_partitions_and_queries_are_appended_too(database: Database, lake: Lake) -> None:
    database.execute(
        "create table events (who text, at timestamptz) partition by list (who)",
        "create table ann partition of events for values in ('ann')",
        "insert into events values ('ann', now()), ('ann', now())",
    )
    lake.declare(
        f"{EVENTS}\nsaid: {{query: 'select who, at from events', mode: append, cursor: at}}"
    )
    lake.load()
    database.execute(
        "create table bob (who text, at timestamptz)",
        "insert into bob values ('bob', '2020-01-01Z'), ('bob', '2020-01-01Z')",
        "alter table events attach partition bob for values in ('bob')",
    )
    attached = {table.name: table.rows_written for table in lake.load().tables}
    database.execute(
        "alter table events detach partition bob",
        "alter table events attach partition bob for values in ('bob')",
    )

    assert attached == {"shop.events": 2, "shop.said": 0}
    assert {table.status for table in lake.load().tables} == {"unchanged"}
    assert kept(lake, 'who, "at"') == in_source(database, 'who, "at"')
