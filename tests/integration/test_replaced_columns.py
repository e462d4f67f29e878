"""Columns replaced under the same name without a row being written are found by their identity.

A table for each change, all of them loaded together, changed, and loaded again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.orchestration.reports.run_report import TableReport
from lakefeed.source.inspection.identity import identified
from lakefeed.source.inspection.tables import inspect_tables
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure, new_lake, only

pytestmark = pytest.mark.builds

ROWS = 5
WHOLE = ", so the table is read in full"


@dataclass(frozen=True)
class Case:
    """Columns of a table `{t}`, what is done to it, and the cause that the next run reports.

    `cause` is empty if nothing has to be read again.
    """

    columns: str
    values: str
    change: tuple[str, ...]
    cause: str
    before: tuple[str, ...] = ()
    setting: str = "cursor: at"
    relation: str = "table"


MOOD = "create type {t}_mood as enum ('sad', 'ok', 'glad')"
PAIR = "create type {t}_pair as (x int, y text)"

CASES = {
    "dropped_and_added": Case(
        "a int", "i", ("alter table {t} drop a, add a int default 7",), "column `a` was replaced"
    ),
    "dropped_and_added_empty": Case(
        "a int", "i", ("alter table {t} drop a, add a int",), "column `a` was replaced"
    ),
    "dropped_and_added_wider": Case(
        "a int",
        "i",
        ("alter table {t} drop a, add a bigint default 7",),
        "column `a` was replaced",
    ),
    "swapped": Case(
        "a int, b int",
        "i, i * 10",
        (
            "alter table {t} rename a to c",
            "alter table {t} rename b to a",
            "alter table {t} rename c to b",
        ),
        "column `a` was replaced (the old one is now `b`, the new one was `b`)",
    ),
    "renamed_over_a_dropped_one": Case(
        "a int, b int",
        "i, i * 10",
        ("alter table {t} drop a", "alter table {t} rename b to a"),
        "column `a` was replaced (the new one was `b`)",
    ),
    "in_the_place_of_the_renamed": Case(
        "a int",
        "i",
        ("alter table {t} rename a to b", "alter table {t} add a int default 3"),
        "column `a` was replaced (the old one is now `b`)",
    ),
    "key_swapped": Case(
        "other int unique",
        "100 - i",
        (
            "alter table {t} rename id to was_id",
            "alter table {t} rename other to id",
            "alter table {t} rename was_id to other",
        ),
        "column `id` was replaced",
        setting="cursor: at, primary_key: id",
    ),
    "label_renamed": Case(
        "a {t}_mood",
        "'ok'",
        ("alter type {t}_mood rename value 'ok' to 'fine'",),
        "labels or attributes in the type of column `a` were renamed: `ok` is now `fine`",
        before=(MOOD,),
    ),
    "labels_swapped": Case(
        "a {t}_mood",
        "'ok'",
        (
            "alter type {t}_mood rename value 'ok' to 'x'",
            "alter type {t}_mood rename value 'sad' to 'ok'",
            "alter type {t}_mood rename value 'x' to 'sad'",
        ),
        "were renamed: `sad` is now `ok`, `ok` is now `sad`",
        before=(MOOD,),
    ),
    "label_renamed_and_its_name_added": Case(
        "a {t}_mood",
        "'ok'",
        (
            "alter type {t}_mood rename value 'ok' to 'fine'",
            "alter type {t}_mood add value 'ok' before 'sad'",
        ),
        "`ok` is now `fine`",
        before=(MOOD,),
    ),
    "label_added": Case(
        "a {t}_mood",
        "'ok'",
        ("alter type {t}_mood add value 'so-so' before 'ok'",),
        "",
        before=(MOOD,),
    ),
    "type_renamed": Case(
        "a {t}_mood", "'ok'", ("alter type {t}_mood rename to {t}_feeling",), "", before=(MOOD,)
    ),
    "label_of_an_array": Case(
        "a {t}_mood[]",
        "'{ok,sad}'",
        ("alter type {t}_mood rename value 'ok' to 'fine'",),
        "`ok` is now `fine`",
        before=(MOOD,),
    ),
    "label_of_a_domain": Case(
        "a {t}_mild",
        "'ok'",
        ("alter type {t}_mood rename value 'ok' to 'fine'",),
        "`ok` is now `fine`",
        before=(MOOD, "create domain {t}_mild as {t}_mood"),
    ),
    "label_deep_in_a_composite": Case(
        "a {t}_nest",
        "row(array[row('ok', i)::{t}_item])::{t}_nest",
        ("alter type {t}_mood rename value 'ok' to 'fine'",),
        "`ok` is now `fine`",
        before=(
            MOOD,
            "create type {t}_item as (mood {t}_mood, n int)",
            "create type {t}_nest as (items {t}_item[])",
        ),
    ),
    "another_type_with_the_labels": Case(
        "a {t}_mood",
        "'ok'",
        (
            "create type {t}_other as enum ('glad', 'ok', 'sad')",
            "alter table {t} alter a type {t}_other using (case a when 'ok' then 'sad' else 'ok' "
            "end)::{t}_other",
        ),
        "labels or attributes in the type of column `a` changed",
        before=(MOOD,),
    ),
    "number_to_a_label": Case(
        "a int",
        "i",
        (
            MOOD,
            "alter table {t} alter a type {t}_mood using (case a when 1 then 'ok' else 'sad' end)"
            "::{t}_mood",
        ),
        "the type of column `a` was integer and is enum",
    ),
    "attribute_added": Case(
        "a {t}_pair",
        "row(i, 'y')::{t}_pair",
        ("alter type {t}_pair add attribute z int cascade",),
        "the type of column `a` was (x integer, y text) and is (x integer, y text, z integer)",
        before=(PAIR,),
    ),
    "attribute_dropped": Case(
        "a {t}_pair",
        "row(i, 'y')::{t}_pair",
        ("alter type {t}_pair drop attribute x cascade",),
        "the type of column `a` was (x integer, y text) and is (y text)",
        before=(PAIR,),
    ),
    "attribute_dropped_and_added": Case(
        "a {t}_pair",
        "row(i, 'y')::{t}_pair",
        (
            "alter type {t}_pair drop attribute y cascade",
            "alter type {t}_pair add attribute y text cascade",
        ),
        "labels or attributes in the type of column `a` changed",
        before=(PAIR,),
    ),
    "attribute_renamed_in_an_array_of_a_domain": Case(
        "a {t}_pairs",
        "array[row(i, 'y')::{t}_pair]",
        ("alter type {t}_pair rename attribute x to z cascade",),
        "the type of column `a` was (x integer, y text)[] and is (z integer, y text)[]",
        before=(PAIR, "create domain {t}_pairs as {t}_pair[]"),
    ),
    "generated_stored": Case(
        "a int generated always as (id * 2) stored",
        "",
        ("alter table {t} alter a set expression as (id * 3)",),
        "the expression of generated column `a` changed",
    ),
    "generated_virtual": Case(
        "a int generated always as (id * 2) virtual",
        "",
        ("alter table {t} alter a set expression as (id * 3)",),
        "the expression of generated column `a` changed",
    ),
    "generated_no_longer": Case(
        "a int generated always as (id * 2) stored",
        "",
        ("alter table {t} alter a drop expression",),
        "",
    ),
    "domain_over_another_base": Case(
        "a {t}_d",
        "i::text",
        (
            "alter table {t} alter a type text",
            "drop domain {t}_d",
            "create domain {t}_d as numeric",
            "alter table {t} alter a type {t}_d using (a::numeric / 3)",
        ),
        "column `a` was text and is numeric",
        before=("create domain {t}_d as text",),
    ),
    "json_to_jsonb": Case(
        "a json",
        "json_build_object('b', 1)",
        ("alter table {t} alter a type jsonb",),
        "column `a` was json and is jsonb",
    ),
    "precision_lost": Case(
        "a timestamptz",
        "'2026-01-01 12:00:00.123456Z'",
        ("alter table {t} alter a type timestamptz(0)",),
        "column `a` was timestamp with time zone and is timestamp(0) with time zone",
    ),
    "length_won": Case("a varchar(10)", "'a'", ("alter table {t} alter a type varchar(20)",), ""),
    "default_changed": Case("a int default 7", "i", ("alter table {t} alter a set default 8",), ""),
    "read_by_row_versions": Case(
        "a {t}_mood",
        "'ok'",
        ("alter type {t}_mood rename value 'ok' to 'fine'",),
        "`ok` is now `fine`",
        before=(MOOD,),
        setting="cursor: xmin",
    ),
    "read_whole_and_found_the_same": Case(
        "a int",
        "null",
        ("alter table {t} drop a, add a int",),
        "column `a` was replaced",
        setting="cursor: xmin",
    ),
    "deletes_removed": Case(
        "a int, b int",
        "i, i * 10",
        (
            "alter table {t} rename a to c",
            "alter table {t} rename b to a",
            "alter table {t} rename c to b",
        ),
        "column `a` was replaced",
        setting="cursor: at, deletes: remove",
    ),
    "replaced_view": Case(
        "a int",
        "i",
        ("create or replace view {t} as select id, a + 1 as a, at from {t}_base",),
        "the definition changed",
        setting="cursor: at, primary_key: id",
        relation="view",
    ),
    "view_over_a_replaced_one": Case(
        "a int",
        "i",
        ("create or replace view {t}_below as select id, a + 1 as a, at from {t}_base",),
        "the definition changed",
        setting="cursor: at, primary_key: id",
        relation="view over a view",
    ),
    "view_made_again": Case(
        "a int",
        "i",
        ("drop view {t}", "create view {t} as select id, a, at from {t}_base"),
        "",
        setting="cursor: at, primary_key: id",
        relation="view",
    ),
    "view_of_a_label_as_text": Case(
        "a {t}_mood",
        "'ok'",
        ("alter type {t}_mood rename value 'ok' to 'fine'",),
        "the definition changed",
        before=(MOOD,),
        setting="cursor: at, primary_key: id",
        relation="view of texts",
    ),
    "partitioned": Case(
        "a int",
        "i",
        ("alter table {t} drop a, add a int default 9",),
        "column `a` was replaced",
        relation="partitioned",
    ),
    "expression_of_one_partition": Case(
        "a int generated always as (id * 2) stored",
        "",
        ("alter table {t}_low alter a set expression as (id * 5)",),
        "the expression of generated column `a` changed",
        relation="partitioned",
    ),
    "partition_with_its_columns_elsewhere": Case(
        "a int",
        "i",
        (
            "create table {t}_high (a int, at timestamptz not null, gone int, id int not null)",
            "alter table {t}_high drop gone",
            "alter table {t} attach partition {t}_high for values from (1000) to (2000)",
        ),
        "",
        relation="partitioned",
    ),
}

RELATIONS = {
    "table": ("create table {t} (id int primary key, at timestamptz not null, {columns})",),
    "partitioned": (
        "create table {t} (id int primary key, at timestamptz not null, {columns}) "
        "partition by range (id)",
        "create table {t}_low partition of {t} for values from (0) to (1000)",
    ),
    "view": (
        "create table {t}_base (id int primary key, at timestamptz not null, {columns})",
        "create view {t} as select id, a, at from {t}_base",
    ),
    "view over a view": (
        "create table {t}_base (id int primary key, at timestamptz not null, {columns})",
        "create view {t}_below as select id, a, at from {t}_base",
        "create view {t} as select id, a, at from {t}_below",
    ),
    "view of texts": (
        "create table {t}_base (id int primary key, at timestamptz not null, {columns})",
        "create view {t} as select id, a::text as a, at from {t}_base",
    ),
}


def create(source: Database, name: str, case: Case) -> None:
    made = RELATIONS[case.relation]
    filled = f"{name}_base" if case.relation.startswith("view") else name
    generated = "generated" in case.columns
    columns = ["id", "at"] + ([] if generated else [c.split()[0] for c in case.columns.split(", ")])
    values = "i, timestamptz '2026-01-01Z' + i * interval '1 hour'"
    values += "" if generated else f", {case.values}"
    rows = f"insert into {filled} ({', '.join(columns)}) select {values} "
    rows += f"from generate_series(1, {ROWS}) as i"
    for statement in (*case.before, *made, rows):
        source.execute(statement.replace("{columns}", case.columns).replace("{t}", name))


@pytest.fixture(scope="module")
def lake(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with all tables, loaded once."""
    made = new_lake(tmp_path_factory.mktemp("shared"))
    for name, case in CASES.items():
        create(source, name, case)
    made.declare("\n".join(f"{name}: {{{case.setting}}}" for name, case in CASES.items()))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        assert made.load().exit_code == 0
    return made


@pytest.fixture(scope="module")
def loads(source: Database, lake: Lake) -> list[dict[str, TableReport]]:
    """The reports of the two loads after the changes, by table."""
    for name, case in CASES.items():
        source.execute(*(statement.replace("{t}", name) for statement in case.change))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        reports = [lake.load(), lake.load()]
    return [{table.lake_name: table for table in report.tables} for report in reports]


@pytest.mark.by_day(12)
@pytest.mark.parametrize("name", CASES)
def test_a_replaced_column_is_reported_and_the_table_is_read_in_full(
    source: Database, lake: Lake, loads: list[dict[str, TableReport]], name: str
) -> None:
    table = loads[0][f"shop__{name}"]
    log = CommitLog(lake.project.raw, f"shop__{name}")

    assert table.error is None
    assert (CASES[name].cause in "; ".join(table.notes)) and bool(CASES[name].cause) == (
        WHOLE in "; ".join(table.notes)
    ), table.notes
    assert (table.rows_read == ROWS) == bool(CASES[name].cause)
    columns = [column for (column,) in source.rows(
        f"select attname from pg_attribute where attrelid = '{name}'::regclass and attnum > 0 "
        "and not attisdropped and attname <> 'at' order by 1"
    )]  # fmt: skip
    latest = LatestRows.of(log, log.effective_loads()).relation
    kept = duckdb.sql(
        f"select {', '.join(f'{column}::varchar' for column in columns)} from {latest} order by all"
    ).fetchall()
    texts = ", ".join(f"{column}::text" for column in columns)
    assert kept == sorted(source.rows(f"select {texts} from {name}"), key=str), table
    again = loads[1][f"shop__{name}"]
    assert again.error is None
    assert WHOLE not in "; ".join(again.notes)
    assert again.rows_read < ROWS


MOODS = (
    "create type mood as enum ('sad', 'ok')",
    "create table t (id int primary key, m mood, at timestamptz not null default now())",
    "insert into t values (1, 'ok'), (2, 'sad')",
)
RENAME = "alter type mood rename value 'ok' to 'fine'"


@pytest.mark.parametrize("mode", ["cursor: at", "mode: full_refresh"])
def test_a_frozen_table_stops_until_a_full_refresh_is_requested(
    database: Database, tmp_path: Path, mode: str
) -> None:
    database.execute(*MOODS)
    frozen = new_lake(tmp_path).declare(f"t: {{{mode}, schema_changes: freeze}}")
    assert frozen.load().exit_code == 0
    database.execute(RENAME)

    message = failure(frozen.load())

    assert (
        "sources.yaml:6: shop.t is frozen, but its columns changed: labels or attributes" in message
    )
    assert "`ok` is now `fine`" in message
    assert "lakefeed run --select shop.t --full-refresh" in message
    assert frozen.load(full_refresh=True).exit_code == 0
    assert only(frozen.load()).status == "unchanged"


def test_a_column_that_was_dropped_and_added_again_is_empty(
    database: Database, tmp_path: Path
) -> None:
    database.execute(*MOODS)
    lake = new_lake(tmp_path).declare("t: {cursor: at}")
    lake.load()
    database.execute("alter table t drop m", "update t set at = clock_timestamp() where id = 1")
    lake.load()
    database.execute("alter table t add m mood")

    assert only(lake.load()).notes == (
        "column `m` is back, and its values may differ from those loaded before" + WHOLE,
    )
    assert lake.raw("shop__t", "id, m")[-2:] == [(2, "sad"), (2, None)]
    assert only(lake.load()).status == "unchanged"


def test_a_backfill_is_refused_until_the_table_was_read_in_full(
    database: Database, tmp_path: Path
) -> None:
    database.execute(*MOODS)
    lake = new_lake(tmp_path).declare("t: {cursor: at}")
    lake.load()
    database.execute(RENAME)

    assert "can't load a range: labels or" in failure(lake.load(since="2026-01-01"))


def test_reading_identities_does_not_wait_for_an_alter_table(database: Database) -> None:
    database.execute(
        *MOODS,
        "alter table t add twice int generated always as (id * 2) stored",
        "create view v as select * from t",
    )
    blocker, reader = database.connect(), database.connect()
    try:
        blocker.cursor().execute("lock table t in access exclusive mode")
        reader.cursor().execute("set lock_timeout = '1ms'")
        found = identified(reader, inspect_tables(reader, ["public"]))
    finally:
        blocker.close()
        reader.close()

    assert found["public.v"].definition is not None
    assert found["public.t"].columns[-1].identity.expression is not None  # type: ignore[union-attr]
