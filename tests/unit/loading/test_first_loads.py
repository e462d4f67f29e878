"""Which first loads are committed in ranges, and which of them may go on: pure decisions."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from lakefeed.declaration.catalogue import CatalogueTable, Column, Part
from lakefeed.declaration.project import open_project
from lakefeed.loading.plan.table_plan import TablePlan, plan_table
from lakefeed.loading.ranges.first_loads import (
    count_of_ranges,
    may_begin,
    notes_of_resume_above,
)
from lakefeed.source.snapshot import Horizon, Snapshot

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SNAPSHOT = Snapshot("1", NOON, "10:10:", horizon=Horizon(NOON, (), True, ()), history="7/1")
GB = 10**9

LIVE = CatalogueTable(
    schema="public",
    name="t",
    kind="table",
    columns=(
        Column("id", "integer", nullable=False),
        Column("other", "integer", nullable=True),
        Column("at", "timestamp with time zone", nullable=True),
    ),
    primary_key=("id",),
    identity=1,
    unique=(("id",),),
    parts=(Part(1, 10, "public", "t", is_readable=True),),
)


def plan_of(folder: Path, declared: str = "{cursor: at}", live: CatalogueTable = LIVE) -> TablePlan:
    (folder / "sources.yaml").write_text(
        "version: 1\nsources:\n  shop:\n    connection: postgresql://localhost/shop\n"
        f"    tables:\n      t: {declared}\n"
    )
    table = replace(open_project(folder).tables[0], catalogue=live)
    return plan_table(table, live)


def test_a_table_above_the_limit_is_read_in_ranges_of_about_that_size(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)

    assert not may_begin(plan, SNAPSHOT, 10 * GB)
    assert may_begin(plan, SNAPSHOT, 10 * GB + 1)
    assert count_of_ranges(plan, 25 * GB) == 3
    assert may_begin(plan_of(tmp_path, "{cursor: xmin, resume_above: 1.5 MB}"), SNAPSHOT, 1_600_000)


@pytest.mark.parametrize(
    "live",
    [
        replace(LIVE, kind="view", parts=()),
        replace(LIVE, unique=()),
        replace(LIVE, unique=(("other",),)),
        replace(LIVE, heirs=("child",)),
        replace(LIVE, parts=(Part(1, 0, "public", "t", is_readable=True),)),
    ],
    ids=["a view", "no index", "not of the key", "child tables", "foreign partitions"],
)
def test_not_so_without_an_index_over_all_of_its_keys(tmp_path: Path, live: CatalogueTable) -> None:
    assert not may_begin(plan_of(tmp_path, live=live), SNAPSHOT, 100 * GB)


def test_not_so_without_a_horizon(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    prepared = replace(SNAPSHOT, horizon=Horizon(NOON, ("gid",), True, ()))

    assert not may_begin(plan, prepared, 100 * GB)
    assert not may_begin(plan, replace(SNAPSHOT, conflicts=0), 100 * GB)
    assert not may_begin(plan_of(tmp_path, "{cursor: other}"), SNAPSHOT, 100 * GB)


def test_a_table_is_told_that_its_setting_has_no_effect_on_a_standby(tmp_path: Path) -> None:
    declared = "{cursor: at, resume_above: 1 GB}"
    plan, standby = plan_of(tmp_path, declared), replace(SNAPSHOT, conflicts=0)

    (told,) = notes_of_resume_above(plan, standby)

    assert "has no effect: a standby doesn't tell which transactions" in told
    assert notes_of_resume_above(plan, SNAPSHOT) == ()
    assert notes_of_resume_above(plan_of(tmp_path), standby) == ()
