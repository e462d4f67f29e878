"""The messages about anomalies, word by word, from plain data."""

from __future__ import annotations

import datetime as dt

import pytest

from lakefeed.orchestration.checks.anomalies import (
    Arrival,
    age_anomalies,
    new_values,
    null_anomalies,
    size_anomalies,
    value_anomalies,
    volume_anomalies,
)

# A Tuesday, after nine weeks.
NOW = dt.datetime(2026, 5, 5, 10, tzinfo=dt.UTC)
START = dt.datetime(2026, 3, 2, 6, tzinfo=dt.UTC)
TODAY = NOW.date()


def arrivals(**odd: int) -> list[Arrival]:
    """About 1,300 rows a day at six, with other numbers on the named days, such as `on_05_04`."""
    days = [START + dt.timedelta(n) for n in range((NOW - START).days + 1)]
    rows = {f"on_{day:%m_%d}": 1280 + 20 * (day.day % 3) for day in days} | odd
    return [Arrival(day, rows[f"on_{day:%m_%d}"]) for day in days if rows[f"on_{day:%m_%d}"]]


def messages(**odd: int) -> list[str]:
    return list(map(str, volume_anomalies("shop.orders", arrivals(**odd), START, NOW)))


def test_does_not_report_a_regular_day() -> None:
    assert messages() == []


def test_reports_a_day_with_too_few_rows_and_the_usual_range() -> None:
    assert messages(on_05_04=3) == [
        "shop.orders: 3 rows arrived on 2026-05-04, a Monday; usually 980 to 1,600 (8 Mondays)"
    ]


def test_reports_a_day_without_rows() -> None:
    (message,) = messages(on_05_04=0)

    assert message.startswith("shop.orders: 0 rows arrived on 2026-05-04, a Monday; usually ")


def test_reports_today_for_too_many_rows_but_not_for_too_few() -> None:
    (message,) = messages(on_05_05=50_000)

    assert message.startswith("shop.orders: 50,000 rows arrived today, a Tuesday; usually ")
    assert messages(on_05_05=1) == []


def test_reports_a_column_with_more_nulls_than_usual() -> None:
    past = {TODAY - dt.timedelta(n): (n % 3, 100) for n in range(1, 31)}

    found = list(null_anomalies("shop.customers", "email", TODAY, {**past, TODAY: (41, 100)}))

    assert list(map(str, found)) == [
        "shop.customers.email: 41% of the rows loaded on 2026-05-05 are null; usually 0% to 10% "
        "(30 days)"
    ]
    assert list(null_anomalies("shop.customers", "email", TODAY, {**past, TODAY: (3, 100)})) == []


def test_does_not_judge_the_share_of_nulls_among_few_rows() -> None:
    past = {TODAY - dt.timedelta(n): (1, 100) for n in range(1, 31)}

    assert list(null_anomalies("shop.t", "c", TODAY, {**past, TODAY: (20, 20)})) == []
    assert list(null_anomalies("shop.t", "c", TODAY, past)) == []


def test_reports_a_refresh_that_loses_many_rows() -> None:
    sizes = [240, 241, 241, 242, 244, 244, 245, 246, 12]

    (found,) = size_anomalies("shop.countries", sizes)

    assert str(found) == (
        "shop.countries: 12 rows now, 246 at the previous refresh (-234); usually -93 to +95 "
        "(7 refreshes)"
    )
    assert list(size_anomalies("shop.countries", sizes[:-1])) == []
    assert list(size_anomalies("shop.countries", [])) == []


def test_reports_rows_that_stopped_arriving() -> None:
    hours = [NOW - dt.timedelta(hours=9 + n) for n in range(24 * 40)][::-1]

    (found,) = age_anomalies("shop.orders", hours, NOW)

    assert str(found) == (
        "shop.orders: no rows have arrived for 9 h; usually new rows arrive within 60 min "
        "(960 loads)"
    )
    assert list(age_anomalies("shop.orders", hours, hours[-1] + dt.timedelta(hours=1))) == []


def test_still_reports_a_table_that_stopped_long_ago() -> None:
    hours = [NOW - dt.timedelta(100, hours=n) for n in range(24 * 40)][::-1]

    (found,) = age_anomalies("shop.orders", hours, NOW)

    assert "no rows have arrived for 100 days" in str(found)


SEEN = frozenset({"placed", "paid", "shipped"})


@pytest.mark.parametrize(
    ("first", "then", "newest", "rows", "found"),
    [
        (SEEN, SEEN, SEEN | {"returned"}, 1000, ["returned"]),
        (SEEN, SEEN, SEEN, 1000, []),
        (SEEN, {"paid"}, {"lost", "returned"}, 1000, ["lost", "returned"]),
        # A column that keeps getting new values, such as a city.
        ({"placed"}, SEEN, SEEN | {"returned"}, 1000, []),
        # Too few rows to have seen every value; no past at all.
        (SEEN, SEEN, SEEN | {"returned"}, 59, []),
        (set(), set(), {"returned"}, 1000, []),
        # Too many values for a categorical column.
        ({str(n) for n in range(51)}, {"1"}, {"52"}, 100_000, []),
    ],
)
def test_a_value_is_new_if_a_stable_column_never_had_it(
    first: set[str], then: set[str], newest: set[str], rows: int, found: list[str]
) -> None:
    assert new_values(first, then, newest, rows) == found


def test_reports_new_values_by_name() -> None:
    (found,) = value_anomalies("shop.orders", "status", ["lost", "returned"])

    assert str(found) == "shop.orders.status: no earlier load had the values `lost`, `returned`"
    assert list(value_anomalies("shop.orders", "status", [])) == []
