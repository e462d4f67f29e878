"""A table read in steps along its cursor has the same rows as one read at once."""

from __future__ import annotations

import pytest

from lakefeed.loading.dlt_settings.environment import prepare_dlt
from lakefeed.loading.load import load_table
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.loading.standby import Standby, load_beside_recovery
from lakefeed.orchestration.checks.audit import at_one_snapshot
from lakefeed.source.connections.connection import connection_of
from tests.conftest import Database, Lake, only

ROWS = (
    "insert into t select i, '2026-01-01Z'::timestamptz + i * interval '1 minute'"
    " from generate_series(1, 3000) as i",
    # More rows than in one step.
    "update t set at = '2026-01-02Z' where id between 1000 and 1900",
    "insert into t values (-1, null), (-2, 'infinity'), (-3, '-infinity'), (-4, '2999-01-01Z')",
)
TABLE = "create table t (id int primary key, at timestamptz)"


class Ends(Standby):
    """A standby that cancels the first read of each step."""

    def has_ended(self, error: BaseException) -> bool:
        return isinstance(error, ConnectionError)


def in_steps(lake: Lake, *, ended: int = 0) -> LoadResult:
    """Loads the table in steps, after this many cancelled reads."""
    project = lake.project
    prepare_dlt(project.root)
    left = ended
    with at_one_snapshot(project, "shop") as (source, live):
        plan = plan_table(project.tables[0], live.tables["public.t"])

        def load(options: LoadOptions) -> LoadResult:
            nonlocal left
            if left:
                left -= 1
                raise ConnectionError
            with TableSession(source, plan) as opened:
                return load_table(project, opened, options)

        standby = Ends(connection_of(project, "shop"), 0)
        return load_beside_recovery(plan.table, LoadOptions(), load, standby)


@pytest.mark.parametrize("settings", [", lookback: 1h", ", deletes: remove"])
def test_steps_load_the_same_rows_as_one_load(
    database: Database, lake: Lake, settings: str
) -> None:
    database.execute(TABLE)
    lake.declare(f"t: {{cursor: at{settings}}}").load()
    database.execute(*ROWS)

    loaded = in_steps(lake)

    assert "the table was read in 6 steps, one load each" in loaded.notes
    assert len(loaded.committed) == 6
    assert lake.raw("shop__t", "count(*), count(distinct id)") == [(3004, 3004)]
    assert only(lake.load()).status == "unchanged"
    assert in_steps(lake).committed == ()


def test_steps_get_smaller_while_the_standby_keeps_cancelling_them(
    database: Database, lake: Lake
) -> None:
    database.execute(TABLE)
    lake.declare("t: {cursor: at}").load()
    database.execute(*ROWS)

    loaded = in_steps(lake, ended=2)

    assert len(loaded.committed) > 10
    assert lake.raw("shop__t", "count(*), count(distinct id)") == [(3004, 3004)]


def test_a_table_without_a_cursor_is_not_read_in_steps(database: Database, lake: Lake) -> None:
    database.execute(TABLE)
    lake.declare("t: {mode: full_refresh}").load()
    database.execute(*ROWS)

    assert len(in_steps(lake, ended=1).committed) == 1
    assert lake.raw("shop__t", "count(*)") == [(3004,)]
