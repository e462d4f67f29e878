"""Loads, probes and audits read the same window, and dlt's state shows its checkpoint."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dlt
import pytest

from lakefeed.loading.dlt_settings.environment import prepare_dlt
from lakefeed.loading.extract.completeness import pending_condition
from lakefeed.loading.load import load_table
from lakefeed.loading.load_result import LoadOptions
from lakefeed.loading.plan.cursors import as_cursor_value
from lakefeed.loading.plan.queries import counting_query
from lakefeed.loading.plan.table_plan import TablePlan, plan_table
from lakefeed.loading.probe import probe_table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import checkpoint_after
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.orchestration.checks.audit import at_one_snapshot, audit
from tests.conftest import Database, Lake, only

pytestmark = pytest.mark.builds

HOURLY = "timestamptz '2026-01-01Z' + i * interval '1 hour'"
WITH_LOOKBACK = "cursor: at, lookback: 10h"
KINDS = {
    "number": ("bigint", "i", "cursor: at"),
    "number with a lookback": ("bigint", "i", "cursor: at, lookback: 30"),
    "date": ("date", "date '2026-01-01' + i", "cursor: at, lookback: 5d"),
    "timestamp": (
        "timestamp",
        "timestamp '2026-01-01' + i * interval '1 hour'",
        "cursor: {column: at, timezone: Europe/Paris}, lookback: 10h",
    ),
    "timestamptz": ("timestamptz", HOURLY, WITH_LOOKBACK),
    "initial value": (
        "timestamptz",
        HOURLY,
        "cursor: {column: at, initial_value: 2026-01-05}, lookback: 10d",
    ),
    "xmin": ("bigint", "i", "cursor: xmin"),
}


@dataclass(frozen=True)
class Table:
    """The lake's only table at one snapshot."""

    lake: Lake
    plan: TablePlan
    source: SourceAtSnapshot

    def rows_probed(self) -> int:
        with TableSession(self.source, self.plan) as opened:
            found = probe_table(self.lake.project, opened, LoadOptions())
        assert found is not None
        return found.rows_read

    def rows_loaded(self) -> int:
        with TableSession(self.source, self.plan) as opened:
            return load_table(self.lake.project, opened, LoadOptions()).rows_read

    def rows_pending(self) -> int:
        """The rows that an audit takes for pending."""
        effective = CommitLog(self.lake.project.raw, "shop__t").effective_loads()
        with self.source.session(self.plan) as session:
            pending = pending_condition(session, self.plan, effective, self.source.snapshot)
            query = counting_query(self.plan, "count(*)", pending or "true")
            return int(session.fetch(query)[0][0])


@contextmanager
def at_snapshot(lake: Lake) -> Iterator[Table]:
    project = lake.project
    prepare_dlt(project.root)
    with at_one_snapshot(project, "shop") as (source, live):
        plan = plan_table(project.tables[0], live.tables["public.t"])
        yield Table(lake, plan, source)


def counts_of(lake: Lake) -> list[int]:
    """How many rows a probe, an audit and a load find in the window, at one snapshot."""
    with at_snapshot(lake) as table:
        return [table.rows_probed(), table.rows_pending(), table.rows_loaded()]


def state_of(lake: Lake) -> Any:
    """The checkpoint in dlt's state, which `dlt pipeline` shows."""
    pipelines = lake.project.data / ".dlt" / "pipelines"
    pipeline = dlt.attach("shop__t", pipelines_dir=str(pipelines))
    (source,) = pipeline.state["sources"].values()
    (column,) = source["resources"]["t"]["incremental"].values()
    return column["last_value"]


def noted(lake: Lake) -> str | None:
    """The checkpoint in the load manifests."""
    return checkpoint_after(CommitLog(lake.project.raw, "shop__t").effective_loads())


def create(database: Database, kind: str, value: str) -> None:
    database.execute(
        f"create table t (id int primary key, at {kind}, word text)",
        f"insert into t select i, {value}, 'w' from generate_series(1, 200) i",
        "insert into t values (0, null, 'null')",
    )


@pytest.mark.on_store(at_night=True)
@pytest.mark.parametrize("kind", KINDS)
def test_loads_probes_and_audits_read_the_same_rows(
    database: Database, lake: Lake, kind: str
) -> None:
    column, value, declared = KINDS[kind]
    create(database, column, value)
    lake.declare(f"t: {{{declared}}}").load()
    database.execute(f"insert into t select i, {value}, 'x' from generate_series(201, 210) i")
    lake.load()

    counts = counts_of(lake)

    assert len(set(counts)) == 1
    # Row versions that are all loaded are not read again.
    assert 0 < counts[0] < 210 or (kind == "xmin" and counts[0] == 0)


def test_they_agree_while_a_transaction_holds_the_checkpoint_back(
    database: Database, lake: Lake
) -> None:
    create(database, "timestamptz", "now() - i * interval '1 day'")
    waiting = database.connect()
    waiting.cursor().execute("select now()")
    time.sleep(1.1)
    database.execute("insert into t select i, now(), 'x' from generate_series(201, 210) i")
    lake.declare("t: {cursor: at, lookback: 1h}").load()

    counts = counts_of(lake)
    waiting.close()

    assert counts == [11, 11, 11]


@pytest.mark.on_store(at_night=True)
def test_they_agree_after_a_backfill(database: Database, lake: Lake) -> None:
    create(database, "timestamptz", HOURLY)
    lake.declare(f"t: {{{WITH_LOOKBACK}}}").load()
    assert only(lake.load(since="2026-01-01", until="2026-01-02")).rows_read == 24

    assert counts_of(lake) == [12, 12, 12]


@pytest.mark.by_day(2)
@pytest.mark.on_store(at_night=True)
@pytest.mark.parametrize("kind", ["number", "date", "timestamp", "timestamptz", "initial value"])
def test_the_state_of_dlt_shows_the_checkpoint_that_raw_has(
    database: Database, lake: Lake, kind: str
) -> None:
    column, value, declared = KINDS[kind]
    create(database, column, value)
    lake.declare(f"t: {{{declared}}}")
    backfill = {"since": "1" if kind == "number" else "2026-01-01"}
    requests: tuple[dict[str, Any], ...] = ({}, {}, backfill, {"full_refresh": True})
    for number, options in enumerate(requests, start=300):
        database.execute(f"insert into t select i, {value}, 'x' from (select {number} as i) as n")
        only(lake.load(**options))
        with at_snapshot(lake) as table:
            cursor_kind = table.plan.cursor_kind
        assert cursor_kind is not None
        assert str(as_cursor_value(state_of(lake), cursor_kind)) == noted(lake)


@pytest.mark.parametrize(
    "moved", ["2099-01-01T00:00:00+00:00", "1999-01-01T00:00:00+00:00", "garbled", None]
)
def test_a_state_of_dlt_that_was_lost_or_moved_loses_nothing_and_is_repaired(
    database: Database, lake: Lake, moved: str | None
) -> None:
    create(database, "timestamptz", HOURLY)
    lake.declare(f"t: {{{WITH_LOOKBACK}}}").load()
    pipelines = lake.project.data / ".dlt" / "pipelines" / "shop__t"
    if moved is None:
        shutil.rmtree(pipelines)
    else:
        state = json.loads((pipelines / "state.json").read_text())
        (source,) = state["sources"].values()
        (column,) = source["resources"]["t"]["incremental"].values()
        column["last_value"] = moved
        state["_state_version"] += 1
        (pipelines / "state.json").write_text(json.dumps(state))
    database.execute("insert into t values (201, '2026-01-09 09:00Z', 'new')")

    loaded = only(lake.load())

    assert (loaded.rows_read, loaded.rows_written) == (13, 1)
    assert str(as_cursor_value(state_of(lake), "timestamptz")) == noted(lake)


def test_a_backfill_by_a_new_cursor_does_not_take_over_the_checkpoint_of_the_old_one(
    database: Database, lake: Lake
) -> None:
    create(database, "timestamptz", HOURLY)
    database.execute(
        "alter table t add column changed timestamptz default '2025-01-01Z'",
        # A row that every load reads, so that a probe finds the rows that it expects.
        "update t set changed = null where id = 1",
    )
    lake.declare("t: {cursor: at}").load()
    database.execute("update t set word = 'new', changed = '2025-06-01Z' where id = 9")
    lake.declare("t: {cursor: changed}").load(since="2024-01-01", until="2024-01-02")

    assert only(lake.load()).rows_written == 1


def test_rows_older_than_before_are_loaded_after_a_full_refresh_of_an_empty_table(
    database: Database, lake: Lake
) -> None:
    create(database, "timestamptz", HOURLY)
    lake.declare("t: {cursor: at}").load()
    database.execute("delete from t")
    lake.load(full_refresh=True, allow_shrink=True)
    database.execute("insert into t values (1, '2025-01-01Z', 'old'), (2, '2027-01-01Z', 'new')")

    assert only(lake.load()).rows_written == 2


def test_rows_without_a_cursor_leave_the_checkpoint_where_it_was(
    database: Database, lake: Lake
) -> None:
    create(database, "timestamptz", HOURLY)
    database.execute("update t set at = null")
    lake.declare("t: {cursor: at}").load()
    database.execute("update t set at = '2025-06-01Z', word = 'dated' where id = 9")

    assert only(lake.load()).rows_written == 1
    assert noted(lake) == "2025-06-01 00:00:00+00:00"


def test_rows_of_a_partition_that_was_attached_are_pending_in_an_audit(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table t (id int, at timestamptz, primary key (id, at)) partition by range (at)",
        "create table t26 partition of t for values from ('2026-01-01Z') to ('2027-01-01Z')",
        "insert into t values (1, '2026-06-01Z')",
    )
    lake.declare("t: {cursor: at}").run()
    database.execute(
        "create table t25 partition of t for values from ('2025-01-01Z') to ('2026-01-01Z')",
        "insert into t values (2, '2025-06-01Z')",
    )

    (table,) = audit(lake.project, ()).tables

    assert (table.findings, table.pending) == ((), 1)
