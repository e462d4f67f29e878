"""`lakefeed check --warehouse` on the emulator."""

from __future__ import annotations

import pytest

from lakefeed.transformation.targets.snowflake import Snowflake
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import Lake
from tests.snowflake.conftest import Sql

pytestmark = [pytest.mark.clouds, pytest.mark.timeout(600)]


@pytest.fixture
def declared_lake(lake: Lake) -> Lake:
    return lake.declare("orders: {cursor: at}")


def test_a_warehouse_that_has_what_builds_need_lacks_nothing(declared_lake: Lake) -> None:
    found = warehouse_of(declared_lake.project).inspect()

    assert found.lacks == ()
    assert found.engine == "Snowflake"
    assert "not yet run on an account" in found.note
    assert "secret" not in found.place


def test_a_stage_that_does_not_have_raw_is_named(declared_lake: Lake, sql: Sql) -> None:
    sql("create or replace stage landing.raw url = 's3://elsewhere/'")

    (lacking,) = warehouse_of(declared_lake.project).inspect().lacks

    assert "the stage LANDING.RAW doesn't have raw" in lacking.what
    assert lacking.where.startswith("sources.yaml:")


def test_a_table_of_others_in_public_is_named(
    declared_lake: Lake, account: Snowflake, sql: Sql
) -> None:
    sql("create schema if not exists public")
    sql("create table public.theirs as select 1 as a")

    (lacking,) = warehouse_of(declared_lake.project).inspect().lacks

    assert f"PUBLIC of snowflake://emulated/{account.database} has theirs" in lacking.what
