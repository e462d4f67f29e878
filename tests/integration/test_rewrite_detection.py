"""Tables that are emptied, rewritten or swapped between a run's snapshot and their read.

PostgreSQL's snapshots don't keep what TRUNCATE and its like remove: they see the table as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.table import Table
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.reports.listener import Silence
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.source.connections.connection import Connection
from lakefeed.source.snapshot import Snapshot, open_snapshot
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure, new_lake, only

pytestmark = pytest.mark.builds

T = (
    "create table t (id int primary key, word text, at timestamptz default now())",
    "insert into t select i, 'w' || i from generate_series(1, 10) i",
)
PARTITIONED = (
    "create table t (id int primary key, word text, at timestamptz default now())"
    " partition by range (id)",
    "create table t1 partition of t for values from (0) to (6)",
    "create table t2 partition of t for values from (6) to (100)",
    "insert into t select i, 'w' || i from generate_series(1, 10) i",
)
PARENT = (
    "create table t (id int, word text, at timestamptz default now())",
    "create table t1 () inherits (t)",
    "create table t2 () inherits (t)",
    "insert into t1 select i, 'w' || i from generate_series(1, 5) i",
    "insert into t2 select i, 'w' || i from generate_series(6, 10) i",
)
VIEW = (
    "create table b (id int primary key, word text, at timestamptz default now())",
    "insert into b select i, 'w' || i from generate_series(1, 10) i",
    "create view t as select * from b where id > 0",
)
REFILLED = "insert into {} select i, 'again' from generate_series(6, 9) i"

# The state before the run, and what happens between its snapshot and the read.
REWRITES = {
    "emptied": (T, ["truncate t"]),
    "refilled": (T, ["begin; truncate t; " + REFILLED.format("t") + "; commit"]),
    "retyped": (T, ["alter table t alter id type bigint"]),
    "clustered": (T, ["cluster t using t_pkey"]),
    "vacuumed": (T, ["vacuum full t"]),
    "created_anew": (T, ["drop table t", *T]),
    "exchanged": (
        [*T, "create table new (like t including all)", REFILLED.format("new")],
        ["begin; alter table t rename to old; alter table new rename to t; commit"],
    ),
    "partition_emptied": (PARTITIONED, ["truncate t2", REFILLED.format("t")]),
    "partition_dropped": (PARTITIONED, ["drop table t2"]),
    "partition_detached": (PARTITIONED, ["alter table t detach partition t2"]),
    "child_emptied": (PARENT, ["truncate t2", REFILLED.format("t2")]),
    "child_taken_out": (PARENT, ["alter table t2 no inherit t"]),
    "columns_exchanged": (
        [*T, "alter table t add other text default 'other'"],
        [
            "begin; alter table t rename word to spare; alter table t rename other to word;"
            " alter table t rename spare to other; commit"
        ],
    ),
    "emptied_below_a_view": (VIEW, ["truncate b", REFILLED.format("b")]),
    "refreshed": (
        [*VIEW[:2], "create materialized view t as select * from b"],
        ["delete from b where id = 3", "refresh materialized view t"],
    ),
}
# Statements that keep rows and storage.
OTHERS = {
    "reindexed": (PARTITIONED, ["reindex table t1"]),
    "pruned": (PARTITIONED, ["insert into t values (50, 'too late')"]),
    "attached": (
        [*PARTITIONED, "create table t3 (like t including all)"],
        ["alter table t attach partition t3 for values from (100) to (110)"],
    ),
    "child_added": (PARENT, ["create table t3 () inherits (t)"]),
}


class Meanwhile(Silence):
    """Runs statements in the source after the snapshot, before a table is read."""

    def __init__(self, database: Database, statements: dict[str, list[str]]) -> None:
        self.database = database
        self.statements = statements

    def started(self, table: Table) -> None:
        within = f"set search_path = {table.schema}"
        self.database.execute(within, *self.statements.get(table.short_name, []))


@pytest.fixture(scope="module")
def loaded(
    source: Database, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lake, dict[str, TableReport], dict[str, TableReport]]:
    """A lake with a table for each case, and the reports of its first two loads."""
    os.environ[CONNECTION_VARIABLE] = source.url
    lake = new_lake(tmp_path_factory.mktemp("loaded"))
    cases = REWRITES | OTHERS
    for name, (before, _) in cases.items():
        source.execute(f"create schema {name}", f"set search_path = {name}", *before)
    lake.declare(
        "\n".join(
            f"{name}.t: {{mode: full_refresh, name: {name}"
            + (", where: id < 6}" if name == "pruned" else "}")
            for name in cases
        )
    )
    meanwhile = {name: statements for name, (_, statements) in cases.items()}
    first = lake.load(listener=Meanwhile(source, meanwhile))
    return lake, by_name(first), by_name(lake.load())


def by_name(report: RunReport) -> dict[str, TableReport]:
    return {table.name.removeprefix("shop."): table for table in report.tables}


Loaded = tuple[Lake, dict[str, TableReport], dict[str, TableReport]]


@pytest.mark.parametrize("name", REWRITES)
def test_a_table_rewritten_after_the_snapshot_is_read_again(
    source: Database, loaded: Loaded, name: str
) -> None:
    lake, first, _ = loaded

    assert first[name].error is None
    assert "read again at a later snapshot" in first[name].notes[0]
    there = source.rows(f"select id, word from {name}.t order by id")
    assert lake.raw(f"shop__{name}", "id, word") == there


@pytest.mark.parametrize("name", OTHERS)
def test_ddl_that_keeps_rows_and_storage_is_not_a_rewrite(loaded: Loaded, name: str) -> None:
    _, first, _ = loaded

    assert first[name].rows_written == (5 if name == "pruned" else 10)
    assert first[name].notes == ()


@pytest.mark.parametrize("name", REWRITES | OTHERS)
def test_the_next_load_finds_nothing_to_repair(loaded: Loaded, name: str) -> None:
    _, _, second = loaded

    assert (second[name].status, second[name].notes) == ("unchanged", ())


@pytest.mark.parametrize(
    "declared",
    ["cursor: at", "cursor: xmin", "cursor: at, deletes: remove", "mode: full_refresh"],
)
def test_a_rewrite_is_detected_for_every_way_of_reading_and_in_later_loads(
    database: Database, lake: Lake, declared: str
) -> None:
    database.execute(*T)
    lake.declare(f"t: {{{declared}, max_shrink: 100%}}").load()
    database.execute("update t set word = 'before', at = now() where id = 1")
    meanwhile = ["begin; truncate t; " + REFILLED.format("t") + "; commit"]

    report = only(lake.load(listener=Meanwhile(database, {"t": meanwhile})))

    assert report.rows_written == 4
    assert report.rows_deleted == (6 if "remove" in declared else 0)
    assert "read again at a later snapshot" in report.notes[-1]


def test_a_table_that_seems_to_have_shrunk_is_read_again_before_it_is_refused(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    lake.declare("t: {mode: full_refresh}").load()

    meanwhile = Meanwhile(database, {"t": ["alter table t alter id type bigint"]})
    report = only(lake.load(listener=meanwhile))

    assert (report.status, report.rows_read) == ("unchanged", 10)


def test_all_rewritten_tables_are_read_again_at_one_snapshot_and_no_others(
    database: Database, lake: Lake
) -> None:
    for name in ("t", "u", "v"):
        database.execute(f"create table {name} as select i from generate_series(1, 10) i")
    lake.declare("t: {mode: full_refresh}\nu: {mode: full_refresh}\nv: {mode: full_refresh}")

    report = lake.load(listener=Meanwhile(database, {"t": ["truncate t", "truncate u"]}))

    t, u, v = report.tables
    assert (t.rows_written, u.rows_written, v.rows_written) == (0, 0, 10)
    assert t.complete_through == u.complete_through
    assert t.complete_through and v.complete_through and t.complete_through > v.complete_through
    assert not v.notes


def test_a_table_that_is_rewritten_repeatedly_is_refused_by_name(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(*T, "create table u as select 1 as id")
    lake.declare("t: {cursor: at}\nu: {mode: full_refresh}")

    @contextmanager
    def then_emptied(
        connection: Connection, *_: object, **__: object
    ) -> Iterator[tuple[Snapshot, PgConnection]]:
        with open_snapshot(connection) as opened:
            database.execute("truncate t")
            yield opened

    monkeypatch.setattr("lakefeed.orchestration.ingest.source_run.open_snapshot", then_emptied)

    report = lake.load()

    message = failure(report)
    assert "sources.yaml:6: shop.t was truncated, rewritten or swapped" in message
    assert "run again once the change is complete" in message
    assert [table.status for table in report.tables] == ["failed", "loaded"]
    assert lake.files("shop__t") == []


def test_an_audit_does_not_compare_staging_with_a_table_emptied_after_the_snapshot(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()

    @contextmanager
    def then_rewritten(connection: Connection) -> Iterator[tuple[Snapshot, PgConnection]]:
        with open_snapshot(connection) as opened:
            database.execute("alter table t alter id type bigint")
            yield opened

    monkeypatch.setattr("lakefeed.orchestration.checks.audit.open_snapshot", then_rewritten)

    (found,) = audit(lake.project, []).tables

    assert "was truncated, rewritten or swapped" in str(found.error)
