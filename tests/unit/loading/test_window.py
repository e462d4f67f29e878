"""The window that a load reads, from plain data: where it starts, and why there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefeed.declaration.catalogue import CatalogueTable, Column, Part
from lakefeed.declaration.project import open_project
from lakefeed.loading.extract.window import Window, condition_of, window_of
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.read_contract import ContractChanges
from lakefeed.loading.plan.table_plan import Range, TablePlan, plan_table
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.transactions import OpenTransactions
from lakefeed.source.snapshot import Horizon, Snapshot

UTC = dt.UTC
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = dt.timedelta(hours=1)
PARTITION = Part(7, 70, "public", "t_2026", is_readable=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("window")


def plan_of(folder: Path, declared: str, kind: str = "timestamptz") -> TablePlan:
    """The plan of a table `t` with the columns `id` and `at`, the latter of this type."""
    (folder / "sources.yaml").write_text(
        "version: 1\nsources:\n  shop:\n    connection: postgresql://localhost/shop\n"
        f"    tables:\n      t: {declared}\n"
    )
    kind = {
        "timestamptz": "timestamp with time zone",
        "timestamp": "timestamp without time zone",
    }.get(kind, kind)
    columns = (Column("id", "integer", nullable=False), Column("at", kind, nullable=True))
    live = CatalogueTable(
        schema="public",
        name="t",
        kind="table",
        columns=columns,
        primary_key=("id",),
        identity=1,
        parts=(PARTITION,),
    )
    return plan_table(open_project(folder).tables[0], live)


def snapshot(
    horizon: dt.datetime = NOON,
    *,
    prepared: tuple[str, ...] = (),
    transactions: str = "50:60:",
    history: str | None = "server/1",
) -> Snapshot:
    return Snapshot(
        id="s",
        taken_at=NOON,
        transactions=transactions,
        horizon=Horizon(horizon, prepared, True, ()),
        history=history,
    )


def load_at(
    plan: TablePlan, checkpoint: CursorValue | str | None, number: int = 1, **fields: Any
) -> Load:
    return Load(
        **{
            "load_id": f"{number}.0",
            "table": "shop__t",
            "supersedes": False,
            "snapshot_at": "2026-03-01T10:00:00+00:00",
            "rows_read": 1,
            "rows": 1,
            "null_cursors": 0,
            "cursor": plan.read_as.cursor,
            "cursor_min": None,
            "cursor_max": None,
            "checkpoint_before": None,
            "checkpoint": None if checkpoint is None else str(checkpoint),
            "read_as": plan.read_as,
            "in_flight": OpenTransactions(
                snapshot_at="2026-03-01T10:00:00+00:00",
                horizon="2026-03-01T10:00:00+00:00",
                prepared={},
                transactions="40:45:",
                history="server/1",
            ),
            **fields,
        }
    )


def test_the_first_load_reads_everything(folder: Path) -> None:
    window = window_of(plan_of(folder, "{cursor: at}"), [], snapshot())

    assert (window.start, window.reasons) == (None, ("first load",))


def test_the_first_load_starts_at_the_initial_value(folder: Path) -> None:
    plan = plan_of(folder, "{cursor: {column: at, initial_value: 2026-01-01}}")

    window = window_of(plan, [], snapshot())

    assert window.start == dt.datetime(2026, 1, 1, tzinfo=UTC)
    assert window.reasons == ("first load", "initial value")


@pytest.mark.parametrize(
    ("kind", "declared", "checkpoint", "start"),
    [
        ("bigint", "{cursor: at}", 100, 100),
        ("bigint", "{cursor: at, lookback: 10}", 100, 90),
        ("date", "{cursor: at}", dt.date(2026, 2, 27), dt.date(2026, 2, 27)),
        ("date", "{cursor: at, lookback: 1h}", dt.date(2026, 2, 27), dt.date(2026, 2, 26)),
        (
            "timestamp",
            "{cursor: {column: at, timezone: Europe/Paris}, lookback: 1h}",
            dt.datetime(2026, 3, 1, 9),
            dt.datetime(2026, 3, 1, 8),
        ),
        ("timestamptz", "{cursor: at}", NOON - HOUR, NOON - HOUR),
        ("timestamptz", "{cursor: at, lookback: 1h}", NOON - HOUR, NOON - 2 * HOUR),
    ],
)
def test_a_load_goes_on_from_the_checkpoint_less_the_lookback(
    folder: Path, kind: str, declared: str, checkpoint: CursorValue, start: CursorValue
) -> None:
    plan = plan_of(folder, declared, kind)

    window = window_of(plan, [load_at(plan, checkpoint)], snapshot())

    assert (window.start, window.checkpoint) == (start, checkpoint)
    assert window.reasons == (
        ("checkpoint", "lookback") if "lookback" in declared else ("checkpoint",)
    )


@pytest.mark.parametrize(
    ("kind", "cursor", "checkpoint", "start"),
    [
        ("timestamptz", "at", NOON, NOON - 5 * HOUR),
        # One hour ahead of UTC.
        (
            "timestamp",
            "{column: at, timezone: Europe/Paris}",
            dt.datetime(2026, 3, 1, 13),
            dt.datetime(2026, 3, 1, 8),
        ),
        # A day isn't safe until it is over.
        ("date", "at", dt.date(2026, 3, 1), dt.date(2026, 2, 28)),
    ],
)
def test_a_horizon_below_the_checkpoint_moves_the_start_back(
    folder: Path, kind: str, cursor: str, checkpoint: CursorValue, start: CursorValue
) -> None:
    plan = plan_of(folder, f"{{cursor: {cursor}}}", kind)

    window = window_of(plan, [load_at(plan, checkpoint)], snapshot(NOON - 5 * HOUR))

    assert (window.start, window.reasons) == (start, ("checkpoint", "safe horizon"))


def test_a_number_has_no_horizon(folder: Path) -> None:
    plan = plan_of(folder, "{cursor: at}", "bigint")

    window = window_of(plan, [load_at(plan, 100)], snapshot(NOON - 5 * HOUR))

    assert (window.start, window.horizon) == (100, None)


def test_a_prepared_transaction_moves_the_start_back_to_the_load_that_did_not_see_it(
    folder: Path,
) -> None:
    plan = plan_of(folder, "{cursor: at}")

    window = window_of(plan, [load_at(plan, NOON)], snapshot(prepared=("9@1",)))

    assert window.start == dt.datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert window.reasons == ("checkpoint", "safe horizon")


def test_the_start_is_never_below_the_initial_value(folder: Path) -> None:
    plan = plan_of(
        folder, "{cursor: {column: at, initial_value: 2026-03-01T11:30:00Z}, lookback: 1h}"
    )

    window = window_of(plan, [load_at(plan, NOON)], snapshot())

    assert window.start == NOON - HOUR / 2
    assert window.reasons == ("checkpoint", "lookback", "initial value")


def test_a_backfill_reads_its_range_and_leaves_the_checkpoint_alone(folder: Path) -> None:
    plan = plan_of(folder, "{cursor: at, lookback: 1h}")
    earlier = [load_at(plan, NOON - HOUR), load_at(plan, None, 2)]

    backfill = window_of(plan, earlier, snapshot(), backfill=Range(NOON - 9 * HOUR, NOON))
    following = window_of(plan, earlier, snapshot())

    assert (backfill.start, backfill.end) == (NOON - 9 * HOUR, NOON)
    assert (backfill.checkpoint, backfill.reasons) == (None, ("backfill",))
    assert following.start == NOON - 2 * HOUR


def test_a_full_refresh_reads_everything_and_keeps_the_checkpoint_in_view(folder: Path) -> None:
    plan = plan_of(folder, "{cursor: at}")

    window = window_of(plan, [load_at(plan, NOON - HOUR)], snapshot(), whole=True)

    assert (window.start, window.checkpoint) == (None, NOON - HOUR)
    assert (window.reasons, window.is_whole) == (("whole",), True)


def test_after_a_full_refresh_that_found_no_rows_a_load_reads_everything(folder: Path) -> None:
    plan = plan_of(folder, "{cursor: at}")

    window = window_of(plan, [load_at(plan, None, supersedes=True)], snapshot())

    assert (window.start, window.reasons) == (None, ("no checkpoint",))


@pytest.mark.parametrize("backfills", [0, 1])
def test_the_checkpoint_of_another_cursor_does_not_apply(folder: Path, backfills: int) -> None:
    plan = plan_of(folder, "{cursor: at}")
    earlier = [load_at(plan, NOON, cursor="changed_at")]
    earlier += [load_at(plan, None, 2)] * backfills

    assert window_of(plan, earlier, snapshot()).start is None


@pytest.mark.parametrize(("kind", "noted"), [("bigint", "2026-03-01 12:00"), ("date", "4711")])
def test_a_checkpoint_of_another_type_does_not_apply(folder: Path, kind: str, noted: str) -> None:
    plan = plan_of(folder, "{cursor: at}", kind)

    window = window_of(plan, [load_at(plan, noted)], snapshot())

    assert (window.start, window.checkpoint) == (None, None)


def test_a_table_that_another_replaced_is_read_from_the_beginning(folder: Path) -> None:
    plan = plan_of(folder, "{cursor: at}")
    changes = ContractChanges(is_another_table=True)

    window = window_of(plan, [load_at(plan, NOON)], snapshot(), changes)

    assert (window.start, window.reasons) == (None, ("another table",))


def test_rows_of_a_new_partition_are_read_besides(folder: Path) -> None:
    plan = plan_of(folder, "{cursor: at}")
    changes = ContractChanges(new_parts=(7,))

    window = window_of(plan, [load_at(plan, NOON)], snapshot(), changes)

    assert (window.start, window.parts) == (NOON, {PARTITION: "true"})


def test_of_a_rewritten_partition_what_was_written_since_is_read_besides(folder: Path) -> None:
    plan = plan_of(folder, "{cursor: at}")
    changes = ContractChanges(rewritten_parts=(7,))

    window = window_of(plan, [load_at(plan, NOON)], snapshot(), changes)

    assert ">= 40" in window.parts[PARTITION]


def test_a_full_refresh_table_is_read_whole(folder: Path) -> None:
    plan = plan_of(folder, "{mode: full_refresh}")

    window = window_of(plan, [load_at(plan, None, supersedes=True)], snapshot())

    assert (window.start, window.reasons) == (None, ("whole",))
    assert condition_of(plan, window) is None


def xmin_window(folder: Path, *, changes: ContractChanges | None = None, **at: Any) -> Window:
    plan = plan_of(folder, "{cursor: xmin}")
    return window_of(plan, [load_at(plan, 40)], snapshot(**at), changes)


def test_row_versions_are_read_from_the_oldest_transaction_that_was_unfinished(
    folder: Path,
) -> None:
    window = xmin_window(folder)

    assert (window.start, window.next_transaction) == (40, 60)
    assert window.reasons == ("checkpoint",)
    assert "> 60 then -1 else 0" in str(condition_of(plan_of(folder, "{cursor: xmin}"), window))


@pytest.mark.parametrize(
    ("at", "changes", "reason"),
    [
        ({"history": "server/2"}, None, "restored server"),
        ({"transactions": "20:30:"}, None, "restored server"),
        ({}, ContractChanges(added=("b",)), "added column"),
        ({}, ContractChanges(is_another_table=True), "another table"),
        ({}, ContractChanges(whole=True), "whole"),
    ],
)
def test_row_versions_that_cannot_be_compared_are_read_from_the_beginning(
    folder: Path, at: dict[str, Any], changes: ContractChanges | None, reason: str
) -> None:
    window = xmin_window(folder, changes=changes, **at)

    assert (window.start, window.checkpoint, window.reasons) == (None, None, (reason,))


@pytest.mark.parametrize(
    ("value", "start"), [(NOON - 3 * HOUR, NOON - 3 * HOUR), (NOON + HOUR, NOON), (None, NOON)]
)
def test_a_window_is_only_ever_extended(value: dt.datetime | None, start: dt.datetime) -> None:
    assert Window(start=NOON, reasons=()).reaching_back_to(value).start == start


MOMENTS = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2099, 1, 1), timezones=st.just(UTC))
KINDS = st.sampled_from(["bigint", "date", "timestamp", "timestamptz"])


def plan_with_lookback(folder: Path, kind: str, hours: int, zone: str) -> TablePlan:
    lookback = f"{hours}" if kind == "bigint" else f"{hours}h"
    cursor = f"{{column: at, timezone: {zone}}}" if kind == "timestamp" else "at"
    return plan_of(folder, f"{{cursor: {cursor}, lookback: {lookback}}}", kind)


def checkpoint_for(kind: str, moment: dt.datetime) -> CursorValue:
    if kind == "bigint":
        return int(moment.timestamp())
    if kind == "date":
        return moment.date()
    return moment if kind == "timestamptz" else moment.replace(tzinfo=None)


@given(kind=KINDS, at=MOMENTS, horizon=MOMENTS, hours=st.integers(0, 9999))
def test_no_window_starts_above_the_checkpoint_or_the_horizon_less_the_lookback(
    folder: Path, kind: str, at: dt.datetime, horizon: dt.datetime, hours: int
) -> None:
    plan, checkpoint = (
        plan_with_lookback(folder, kind, hours, "Europe/Paris"),
        checkpoint_for(kind, at),
    )

    window = window_of(plan, [load_at(plan, checkpoint)], snapshot(horizon))

    start: Any = window.start
    bound: Any = window.horizon
    if kind == "bigint":
        assert start == int(at.timestamp()) - hours
    else:
        assert start <= checkpoint - hours * HOUR  # type: ignore[operator]
        assert start <= bound - hours * HOUR


@given(kind=KINDS, at=MOMENTS, horizon=MOMENTS, later=MOMENTS)
def test_a_later_checkpoint_or_horizon_never_moves_the_start_back(
    folder: Path, kind: str, at: dt.datetime, horizon: dt.datetime, later: dt.datetime
) -> None:
    # Where clocks go back, a horizon in local time does, too.
    plan = plan_with_lookback(folder, kind, 1, "UTC")

    def start(checkpoint: dt.datetime, horizon: dt.datetime) -> Any:
        earlier = [load_at(plan, checkpoint_for(kind, checkpoint))]
        return window_of(plan, earlier, snapshot(horizon)).start

    assert start(at, horizon) <= start(max(at, later), horizon)
    assert start(at, horizon) <= start(at, max(horizon, later))


@given(kind=KINDS, at=MOMENTS, horizon=MOMENTS, hours=st.integers(1, 99))
def test_a_longer_lookback_never_reads_less(
    folder: Path, kind: str, at: dt.datetime, horizon: dt.datetime, hours: int
) -> None:
    starts: list[Any] = []
    for lookback in (hours, hours - 1):
        plan = plan_with_lookback(folder, kind, lookback, "Europe/Paris")
        earlier = [load_at(plan, checkpoint_for(kind, at))]
        starts.append(window_of(plan, earlier, snapshot(horizon)).start)

    assert starts[0] <= starts[1]
