"""What is told of a table that is unlike its past, word by word, from plain data."""

from __future__ import annotations

import datetime as dt

import pytest

from lakefeed.orchestration.checks.anomalies import (
    Arrival,
    new_values,
    unlike_age,
    unlike_nulls,
    unlike_size,
    unlike_values,
    unlike_volumes,
)

# A Tuesday, after nine weeks.
NOW = dt.datetime(2026, 5, 5, 10, tzinfo=dt.UTC)
START = dt.datetime(2026, 3, 2, 6, tzinfo=dt.UTC)
TODAY = NOW.date()


def arrivals(**odd: int) -> list[Arrival]:
    """About 1,300 rows a day at six; other numbers on the days that are named, as `on_05_04`."""
    days = [START + dt.timedelta(n) for n in range((NOW - START).days + 1)]
    rows = {f"on_{day:%m_%d}": 1280 + 20 * (day.day % 3) for day in days} | odd
    return [Arrival(day, rows[f"on_{day:%m_%d}"]) for day in days if rows[f"on_{day:%m_%d}"]]


def told(**odd: int) -> list[str]:
    return [str(one) for one in unlike_volumes("shop.orders", arrivals(**odd), START, NOW)]


def test_a_regular_day_is_not_mentioned() -> None:
    assert told() == []


def test_a_day_that_brought_next_to_nothing_is_told_with_what_is_usual() -> None:
    assert told(on_05_04=3) == [
        "shop.orders: 3 rows arrived on 2026-05-04, a Monday; usually 980 to 1,600 do (8 Mondays)"
    ]


def test_a_day_that_brought_nothing_at_all_is_told() -> None:
    (words,) = told(on_05_04=0)

    assert words.startswith("shop.orders: 0 rows arrived on 2026-05-04, a Monday; usually ")


def test_today_is_told_once_it_has_too_many_rows_and_not_while_it_has_few() -> None:
    (words,) = told(on_05_05=50_000)

    assert words.startswith("shop.orders: 50,000 rows arrived today, a Tuesday; usually ")
    assert told(on_05_05=1) == []


def test_a_column_that_is_null_more_often_is_told() -> None:
    past = {TODAY - dt.timedelta(n): (n % 3, 100) for n in range(1, 31)}

    found = list(unlike_nulls("shop.customers", "email", TODAY, {**past, TODAY: (41, 100)}))

    assert [str(one) for one in found] == [
        "shop.customers.email: 41% of the rows of 2026-05-05 are null; usually 0% to 10% are "
        "(30 days)"
    ]
    assert list(unlike_nulls("shop.customers", "email", TODAY, {**past, TODAY: (3, 100)})) == []


def test_of_a_few_rows_no_share_is_told() -> None:
    past = {TODAY - dt.timedelta(n): (1, 100) for n in range(1, 31)}

    assert list(unlike_nulls("shop.t", "c", TODAY, {**past, TODAY: (20, 20)})) == []
    assert list(unlike_nulls("shop.t", "c", TODAY, past)) == []


def test_a_refresh_that_loses_many_rows_is_told() -> None:
    sizes = [240, 241, 241, 242, 244, 244, 245, 246, 12]

    (found,) = unlike_size("shop.countries", sizes)

    assert str(found) == (
        "shop.countries: 12 rows now, 246 at the refresh before: -234; usually -93 to +95 "
        "(7 refreshes)"
    )
    assert list(unlike_size("shop.countries", sizes[:-1])) == []
    assert list(unlike_size("shop.countries", [])) == []


def test_rows_that_stopped_arriving_are_told() -> None:
    hours = [NOW - dt.timedelta(hours=9 + n) for n in range(24 * 40)][::-1]

    (found,) = unlike_age("shop.orders", hours, NOW)

    assert str(found) == (
        "shop.orders: no row has arrived for 9 h; usually the next ones come within 60 min "
        "(960 loads)"
    )
    assert list(unlike_age("shop.orders", hours, hours[-1] + dt.timedelta(hours=1))) == []


def test_a_table_that_stopped_long_ago_is_still_told() -> None:
    hours = [NOW - dt.timedelta(100, hours=n) for n in range(24 * 40)][::-1]

    (found,) = unlike_age("shop.orders", hours, NOW)

    assert "no row has arrived for 100 days" in str(found)


SEEN = frozenset({"placed", "paid", "shipped"})


@pytest.mark.parametrize(
    ("first", "then", "newest", "rows", "found"),
    [
        (SEEN, SEEN, SEEN | {"returned"}, 1000, ["returned"]),
        (SEEN, SEEN, SEEN, 1000, []),
        (SEEN, {"paid"}, {"lost", "returned"}, 1000, ["lost", "returned"]),
        # It goes on getting new ones, as a column of towns does.
        ({"placed"}, SEEN, SEEN | {"returned"}, 1000, []),
        # Too few rows to have seen every value; no past at all.
        (SEEN, SEEN, SEEN | {"returned"}, 59, []),
        (set(), set(), {"returned"}, 1000, []),
        # Not a column of categories.
        ({str(n) for n in range(51)}, {"1"}, {"52"}, 100_000, []),
    ],
)
def test_a_value_is_new_where_a_settled_column_never_had_it(
    first: set[str], then: set[str], newest: set[str], rows: int, found: list[str]
) -> None:
    assert new_values(first, then, newest, rows) == found


def test_new_values_are_named() -> None:
    (found,) = unlike_values("shop.orders", "status", ["lost", "returned"])

    assert str(found) == "shop.orders.status: no load before had the values `lost`, `returned`"
    assert list(unlike_values("shop.orders", "status", [])) == []
