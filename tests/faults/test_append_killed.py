"""Loads with `mode: append` that are killed at any instruction and run again keep each row once."""

from __future__ import annotations

import pytest

from tests.conftest import Database, Lake, only
from tests.faults.die_at import die
from tests.faults.test_killed import LOADING
from tests.integration.test_append import EVENTS, TABLE, in_source, kept

# Of a single table, each function is called once; rows to be compared aren't copied directly.
POINTS = [
    pytest.param(
        target,
        moment.removesuffix(" 2"),
        marks=() if number % 4 == 0 else pytest.mark.at_night,
    )
    for number, (target, moment) in enumerate(LOADING)
    if not target.endswith(":copy_from_source")
]


@pytest.mark.faults
@pytest.mark.on_store(at_night=True)
@pytest.mark.parametrize(("target", "moment"), POINTS)
def test_a_killed_load_is_completed_without_doubling_a_row(
    database: Database, lake: Lake, target: str, moment: str
) -> None:
    database.execute(TABLE, "insert into events values ('ann', 1), ('ann', 1)")
    lake.declare(EVENTS).load()
    database.execute(
        "insert into events select who, amount, at from events",
        "insert into events values ('bob', 2)",
    )
    die(lake, target, moment)
    database.execute("insert into events select who, amount, at from events")

    assert only(lake.load()).error is None
    assert kept(lake) == in_source(database)
