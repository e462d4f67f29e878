"""`lakefeed audit`: rows that are missing from staging, extra there, or differ from the source."""

from __future__ import annotations

import json

import duckdb
import pytest

from lakefeed.orchestration.checks.audit import TableAudit, audit
from tests.conftest import Database, Lake

pytestmark = pytest.mark.builds

T = (
    "create table t (id int primary key, word text, at timestamptz not null)",
    "insert into t select i, 'w' || i, '2026-01-01Z'::timestamptz + i * interval '6 hours'"
    " from generate_series(1, 100) i",
)


def audited(lake: Lake) -> TableAudit:
    return audit(lake.project, ()).tables[0]


def found(audited: TableAudit) -> dict[str, int]:
    assert audited.error is None, audited.error
    return {finding.kind: finding.rows for finding in audited.findings}


def test_a_correctly_loaded_table_has_no_findings(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()

    told = lake.command("audit")

    assert told.returncode == 0, told.stdout
    assert "✓ shop.t                       100 rows equal" in told.stdout


def test_pending_rows_are_not_a_finding(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    database.execute(
        "insert into t values (101, 'new', '2026-05-01Z')",
        "update t set word = 'changed', at = '2026-05-01Z' where id = 5",
    )

    result = audited(lake)

    assert (result.is_clean, result.pending, result.rows) == (True, 2, 101)


def test_reports_rows_that_no_load_can_see_with_their_likely_cause(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    database.execute(
        "insert into t values (201, 'backdated', '2026-01-03 01:00Z')",
        "update t set word = 'silently' where id in (50, 51)",
        "delete from t where id = 7",
    )

    told = lake.command("audit")

    assert found(audited(lake)) == {"missing": 1, "extra": 1, "differing": 2}
    assert told.returncode == 1
    assert (
        "1 missing, for example (201), at 2026-01-03 01:00:00 to 2026-01-03 01:00:00" in told.stdout
    )
    assert "likely cause: committed after the lookback had passed" in told.stdout
    assert "✗ shop.t                       100 rows compared, 4 differ" in told.stdout
    assert "2 differing, for example (50)" in told.stdout
    assert "likely cause: updated without a new `at`" in told.stdout
    assert "1 extra, for example (7)" in told.stdout
    assert "`deletes: remove` removes such rows from staging" in told.stdout
    assert "lakefeed audit --select shop.t --repair" in told.stdout


@pytest.mark.on_store
def test_repair_reads_only_the_ranges_that_differ(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    database.execute(
        "insert into t values (201, 'backdated', '2026-01-03 01:00Z')",
        "update t set word = 'silently' where id in (50, 51)",
    )

    told = lake.command("audit", "--repair")

    assert told.returncode == 0, told.stdout
    assert "    reloading …" in told.stdout
    assert "101 rows equal, repaired" in told.stdout
    # Two days of four rows each, and the row that was missing.
    assert len(lake.raw("shop__t")) - 100 in (9, 13)
    assert len(lake.query("from staging.stg_shop__t")) == 101


@pytest.mark.by_day(1)
@pytest.mark.on_store(at_night=True)
@pytest.mark.parametrize(
    ("column", "cursor"),
    [
        ("at timestamp not null default '2026-01-05'", "{column: at, timezone: Europe/Paris}"),
        ("at date not null default '2026-01-05'", "at"),
        ("at bigint not null default 5", "at"),
    ],
)
def test_all_kinds_of_cursors_are_compared_and_repaired(
    database: Database, lake: Lake, column: str, cursor: str
) -> None:
    database.execute(
        f"create table t (id int primary key, word text, {column})",
        "insert into t select i, 'w' || i from generate_series(1, 10) i",
        "insert into t values (11, 'last', '2026-02-01')"
        if "big" not in column
        else "insert into t values (11, 'last', 250000)",
    )
    lake.declare(f"t: {{cursor: {cursor}}}").run()
    assert found(audited(lake)) == {}
    database.execute("update t set word = 'silently' where id = 3", "delete from t where id = 4")

    assert found(audited(lake)) == {"differing": 1, "extra": 1}
    lake.command("audit", "--repair")
    assert found(audited(lake)) == {"extra": 1}


def test_every_type_equals_itself(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, f float8, r real, n numeric, d numeric(9, 2), j jsonb,"
        " b bytea, u uuid, a int[], ts timestamp, at timestamptz)",
        "insert into t values (1, '-0', 'NaN', 'NaN', 1.10, '{\"a\": 1.10}', '\\x00ff',"
        " gen_random_uuid(), '{1,null}', 'infinity', '2026-01-01Z'),"
        " (2, 'Infinity', 1.1, 1e50, null, null, '', null, '{}', '0044-03-15 BC', null)",
    )
    lake.declare("t: {cursor: at}").run()

    assert found(audited(lake)) == {}


def test_a_marked_row_is_not_extra(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at, deletes: mark}").run()
    database.execute("delete from t where id = 7")
    lake.run()

    assert found(audited(lake)) == {}


def test_rows_excluded_by_the_declaration_are_not_missing(database: Database, lake: Lake) -> None:
    database.execute(*T, "alter table t alter at drop not null", "insert into t values (0, 'null')")
    declared = (
        "t: {cursor: {column: at, initial_value: 2026-01-10}, where: id <> 60, "
        "on_null_cursor: exclude}"
    )
    lake.declare(declared).run()

    assert found(audited(lake)) == {}


def test_differences_in_a_full_refresh_table_are_pending(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {mode: full_refresh}").run()
    database.execute("update t set word = 'x' where id = 1")

    assert (audited(lake).is_clean, audited(lake).pending) == (True, 1)


def test_says_how_to_build_a_table_that_was_never_built(database: Database, lake: Lake) -> None:
    database.execute(*T)

    told = lake.declare("t: {cursor: at}").command("audit")

    assert told.returncode == 1
    assert "no generated staging model in the warehouse" in told.stdout
    assert "lakefeed run --select shop.t" in told.stdout


def test_names_columns_that_no_load_has_seen(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    database.execute("alter table t add column note text")

    error = str(audited(lake).error)

    assert "shop.t: no load has brought `note` to staging yet" in error
    assert "lakefeed run --select shop.t" in error


def test_the_json_report_contains_the_findings(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    database.execute("delete from t where id = 7")

    told = json.loads(lake.command("audit", "--json").stdout)

    assert told[0]["name"] == "shop.t"
    assert told[0]["findings"][0]["kind"] == "extra"


def test_a_table_without_a_key_is_compared_as_a_whole(database: Database, lake: Lake) -> None:
    database.execute("create table t (word text)", "insert into t values ('a'), ('a'), ('b')")
    lake.declare("t: {mode: full_refresh}").run()
    assert (audited(lake).is_clean, audited(lake).pending) == (True, 0)
    database.execute("insert into t values ('c')")

    assert (audited(lake).is_clean, audited(lake).pending) == (True, 4)


@pytest.mark.on_store(at_night=True)
def test_row_versions_distinguish_pending_rows_from_unseen_ones(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: xmin}").run()
    with duckdb.connect(str(lake.project.warehouse)) as warehouse:
        warehouse.execute("update staging.stg_shop__t set word = 'spoilt' where id = 3")
    database.execute("update t set word = 'changed' where id = 4")

    result = audited(lake)

    assert (found(result), result.pending) == ({"differing": 1}, 1)
    assert "run --full-refresh --select shop.t" in lake.command("audit").stdout
