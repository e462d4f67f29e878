"""What a load task reads of a table: new rows, all rows, or a range."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.project.sync import sync
from tests.conftest import Database, Lake

DECLARED = (
    "timed: {cursor: at}\ncounted: {cursor: id}\nwhole: {mode: full_refresh}\ndaily: {cursor: day}"
)


@pytest.fixture
def synced(database: Database, lake: Lake) -> Lake:
    database.execute(
        "create table timed (id int primary key, at timestamptz)",
        "create table counted (id int primary key)",
        "create table whole (id int primary key)",
        "create table daily (id int primary key, day date)",
    )
    sync(lake.declare(DECLARED).project)
    return lake


def request_of(lake: Lake, *tables: str, kind: str = "manual", **params: Any) -> LoadRequest:
    from lakefeed.dag import request

    context: dict[str, Any] = {
        "params": {"tables": None, "full_refresh": False, "start": None, "end": None, **params},
        "dag_run": SimpleNamespace(run_type=kind, dag_id="de_batch_pipeline"),
        "data_interval_start": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "data_interval_end": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    }
    return request.request_of(lake.project, [f"shop__{table}" for table in tables], context)


def form_of(lake: Lake) -> Any:
    from lakefeed.dag import request

    return request.form_of(lake.project, lake.project.tables, ())


@pytest.mark.parametrize("kind", ["manual", "scheduled", "asset_triggered"])
def test_scheduled_runs_continue_from_the_checkpoint_whatever_their_interval(
    synced: Lake, kind: str
) -> None:
    assert request_of(synced, "timed", kind=kind) == LoadRequest(select=("shop__timed",))


@pytest.mark.parametrize("table", ["timed", "daily"])
def test_a_backfill_loads_the_interval_of_its_run(synced: Lake, table: str) -> None:
    asked = request_of(synced, table, kind="backfill")

    assert (asked.since, asked.until) == ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00")


def test_params_give_a_range_with_either_end(synced: Lake) -> None:
    assert request_of(synced, "timed", start="2026-01-01").since == "2026-01-01"
    assert request_of(synced, "counted", start="1", end="9").until == "9"


@pytest.mark.parametrize("table", ["whole", "counted"])
def test_a_backfill_skips_tables_without_a_cursor_in_time(synced: Lake, table: str) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match=f"shop.{table}"):
        request_of(synced, table, kind="backfill")


def test_empty_parameters_are_ignored(synced: Lake) -> None:
    assert request_of(synced, "timed", start="", end="") == LoadRequest(select=("shop__timed",))


def test_an_end_without_a_start_is_refused(synced: Lake) -> None:
    with pytest.raises(DeclarationError, match="end requires start"):
        request_of(synced, "timed", end="2026-01-01")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"start": "2026-02-01", "end": "2026-01-01"}, "start 2026-02-01 isn't before end 2026"),
        ({"start": "2026-13-01"}, "start 2026-13-01: expected a time such as"),
        (
            {"start": "2026-01-01", "full_refresh": True},
            "a range can't be combined with a full refresh",
        ),
        ({"tables": ["tag:none"]}, "tables: tag:none: no such tag"),
    ],
    ids=str,
)
def test_wrong_parameters_fail_one_task_and_skip_the_others(
    synced: Lake, params: dict[str, Any], message: str
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(DeclarationError, match=message):
        request_of(synced, "timed", **params)
    with pytest.raises(AirflowSkipException, match="see the log of shop__timed"):
        request_of(synced, "daily", **params)


@pytest.mark.parametrize(
    "bound", ["2026-01-31", "2026-01-31T08:00:00.5+02:00", "2026-01-31 08:00", "20260131", "-7", ""]
)
def test_the_form_accepts_dates_timestamps_and_numbers(synced: Lake, bound: str) -> None:
    assert form_of(synced)["start"].resolve(bound) == bound


@pytest.mark.parametrize("bound", ["yesterday", "31.01.2026", "{{ ds }}", "1; drop table t"])
def test_the_form_refuses_other_bounds_before_any_task_runs(synced: Lake, bound: str) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        form_of(synced)["end"].resolve(bound)


def test_a_task_of_several_tables_leaves_out_those_that_the_range_does_not_apply_to(
    synced: Lake,
) -> None:
    asked = request_of(synced, "timed", "whole", "counted", "daily", kind="backfill")

    assert asked.select == ("shop__timed", "shop__daily")


def test_a_table_that_is_not_selected_is_skipped(synced: Lake) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    assert request_of(synced, "timed", "daily", tables=["shop.daily"]).select == ("shop__daily",)
    with pytest.raises(AirflowSkipException, match=r"shop\.timed isn't selected"):
        request_of(synced, "timed", tables=["shop.daily"])


def test_a_tag_selects_its_tables(synced: Lake) -> None:
    synced.declare(DECLARED.replace("counted: {", "counted: {tags: [core], "))

    assert request_of(synced, "timed", "counted", tables=["tag:core"]).select == ("shop__counted",)


def test_a_full_refresh_can_be_requested(synced: Lake) -> None:
    assert request_of(synced, "timed", full_refresh=True).full_refresh


def test_the_form_offers_each_table_and_tag_and_refuses_others(synced: Lake) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    tables = form_of(synced.declare(DECLARED.replace("id}", "id, tags: [core]}")))["tables"]

    names = ["shop.timed", "shop.counted", "shop.whole", "shop.daily", "tag:core"]
    assert tables.schema["examples"] == names
    assert tables.resolve(["shop.daily"]) == ["shop.daily"]
    with pytest.raises(ParamValidationError):
        tables.resolve(["shop.dayly"])
