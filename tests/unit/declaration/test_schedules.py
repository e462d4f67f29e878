"""What `schedule` takes, compared with the library that Airflow reads it with."""

from __future__ import annotations

import pytest

from lakefeed.declaration.models.schedules import parse_schedule

CRON = [
    *("0 * * * *", "*/10 * * * *", "5,35 8-18 * * mon-fri", "0 0 1 */3 *", "0 6 L * *"),
    *("0 0 * JAN,jul 7", "0 0 * * 5#2", "0 0 * * L5", "0 0 ? * 1-5/2", "0 0 * * * 30"),
]
NO_CRON = [
    *("60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *"),
    *("* * * foo *", "a b c d e", "1-2-3 * * * *", "* * * *", "every hour", "", ",1 * * * *"),
]


@pytest.mark.parametrize("schedule", [*CRON, *NO_CRON])
def test_takes_the_cron_expressions_that_airflow_takes(schedule: str) -> None:
    croniter = pytest.importorskip("croniter").croniter

    try:
        taken = parse_schedule(schedule) == schedule
    except ValueError:
        taken = False

    assert taken == croniter.is_valid(schedule) == (schedule in CRON)


@pytest.mark.parametrize("schedule", ["@daily", "@hourly", None])
def test_takes_presets_and_none(schedule: str | None) -> None:
    assert parse_schedule(schedule) == schedule


@pytest.mark.parametrize("schedule", ["@once", "@continuous", "@dayly"])
def test_refuses_presets_without_an_interval(schedule: str) -> None:
    with pytest.raises(ValueError, match="@hourly or @daily"):
        parse_schedule(schedule)
