"""`lakefeed check` finds, without a connection, what would stop a run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lakefeed.orchestration.checks.check import check, check_connected
from lakefeed.orchestration.project.sync import sync
from tests.conftest import CONNECTION_VARIABLE, Database, Lake

TABLES = (
    "create table a (id int primary key, at timestamptz, bare timestamp)",
    "create table b (id int primary key, at timestamptz)",
)


@pytest.fixture
def synced(database: Database, lake: Lake) -> Lake:
    database.execute(*TABLES)
    sync(lake.declare("a: {cursor: at}\nb: {cursor: at}").project)
    return lake


def found(lake: Lake) -> list[str]:
    return [str(error) for error in check(lake.project).errors]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            "a: {cursor: at, lookback: 30}",
            "`lookback` of shop.a doesn't match the type of its cursor",
        ),
        ("a: {cursor: bare}", "`bare` of shop.a is a timestamp without time zone"),
        ("a: {cursor: att}", "shop.a has no column `att` to use as its cursor"),
        ("a: {cursor: at, primary_key: [c]}", "`primary_key` of shop.a names `c`"),
        ("a: {cursor: at, columns: {exclude: [x]}}", "`columns` of shop.a names `x`"),
        ("aa: {cursor: at}", "`public.aa` (shop.aa) isn't in sources.lock.yaml"),
        ("'audit.*': {cursor: at}", "`audit.*` matches no table in sources.lock.yaml"),
    ],
)
def test_a_mistake_that_contradicts_the_catalogue_is_an_error(
    synced: Lake, declared: str, message: str
) -> None:
    errors = found(synced.declare(declared))

    assert [message in error for error in errors] == [True], errors
    assert check(synced.project).exit_code == 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u@localhost/x", "the connection of `shop` isn't a PostgreSQL URL"),
        ("localhost:5432", "the connection of `shop` isn't a PostgreSQL URL"),
    ],
)
def test_a_variable_without_a_postgresql_url_is_an_error(
    synced: Lake, url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION_VARIABLE, url)

    (error,) = found(synced)

    assert message in error


def test_an_unset_variable_is_a_warning(synced: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONNECTION_VARIABLE)

    ended = synced.command("check")

    assert ended.returncode == 0
    assert (
        f"sources.yaml:4: the environment variable {CONNECTION_VARIABLE} isn't set" in ended.stdout
    )
    assert "2 tables checked: 1 warning" in ended.stdout


def test_a_mistake_is_reported_rather_than_the_files_that_it_makes_stale(synced: Lake) -> None:
    errors = found(synced.declare("a: {cursor: at}\nbb: {cursor: at}"))

    assert not [error for error in errors if "out of date" in error]


def test_a_warning_about_many_tables_is_printed_once(database: Database, lake: Lake) -> None:
    database.execute(*(f"create table t{n} (id int primary key, at timestamptz)" for n in range(9)))
    lake.declare('"*": {cursor: at}').load()

    told = lake.command("check", "--connect").stdout

    assert told.count("has no index, so every load scans the table") == 1
    assert (
        "warning: 9 tables: the cursor `at` has no index, so every load scans the table\n" in told
    )
    assert "\n  shop.t0, shop.t1, shop.t2, shop.t3, shop.t4 and 4 more\n" in told
    assert "no problems" not in told


DELETES = (
    "create table plain (id int primary key, at timestamptz, wide text)",
    "insert into plain select g, now(), repeat('x', 500) from generate_series(1, 5000) as g",
    "create table covered (id int primary key, at timestamptz, wide text)",
    "insert into covered select * from plain",
    "create index on covered (id) include (at)",
    "create table parts (id int primary key, at timestamptz, wide text) partition by hash (id)",
    "create table parts_0 partition of parts for values with (modulus 2, remainder 0)",
    "create table parts_1 partition of parts for values with (modulus 2, remainder 1)",
    "insert into parts select * from plain",
    "create table whole (id int primary key)",
    "create table watched (id int primary key, at timestamptz)",
    "analyze plain, covered, parts",
)


def test_check_estimates_what_finding_deleted_rows_would_scan_where_they_are_ignored(
    database: Database, lake: Lake
) -> None:
    database.execute(*DELETES)
    lake.declare(
        "plain: {cursor: at}\ncovered: {cursor: at}\nparts: {cursor: xmin}\n"
        "whole: {mode: full_refresh}\nwatched: {cursor: at, deletes: remove}"
    )
    sync(lake.project)
    sizes = database.rows(
        "select pg_relation_size('plain'), pg_relation_size('covered_id_at_idx'),"
        " pg_relation_size('parts_0') + pg_relation_size('parts_1')"
    )[0]

    costs = {cost.table: cost for cost in check_connected(lake.project).deletes}
    told = lake.command("check", "--connect").stdout

    assert set(costs) == {"shop.plain", "shop.covered", "shop.parts"}
    assert (costs["shop.plain"].size, costs["shop.plain"].in_index) == (sizes[0], False)
    assert (costs["shop.covered"].size, costs["shop.covered"].in_index) == (sizes[1], True)
    assert (costs["shop.parts"].size, costs["shop.parts"].in_index) == (sizes[2], False)
    assert {cost.keys for cost in costs.values()} == {5000}
    assert "deletes: rows deleted in the source stay in staging of 3 tables; to find them" in told
    assert re.search(r"\n  shop.plain: 2.\d MB, the whole table, for about 5,000 keys\n", told)
    assert re.search(r"\n  shop.covered: \d+.\d kB, in an index, for about 5,000 keys\n", told)


def test_the_estimate_leaves_out_a_table_that_is_locked_and_has_no_number_without_statistics(
    database: Database, lake: Lake
) -> None:
    database.execute(*TABLES)
    lake.declare("a: {cursor: at}\nb: {cursor: at}")
    holder = database.connect()
    with holder.cursor() as cursor:
        cursor.execute("lock table a in access exclusive mode")
        try:
            (cost,) = check_connected(lake.project).deletes
        finally:
            holder.close()

    assert (cost.table, cost.keys, cost.size) == ("shop.b", None, 0)


@pytest.mark.parametrize("declared", ["a: {cursor: at}\nb: {cursor: at}", '"*": {cursor: at}'])
def test_a_mistake_in_the_schema_fails_without_changing_the_catalogue(
    synced: Lake, declared: str
) -> None:
    synced.declare(declared).load()
    known = generated(synced)

    for head in ("    schema: pblic\n", "    schema: pg_catalogue\n"):
        synced.declare(declared, head=head)
        assert check_connected(synced.project).exit_code != 0
        ended = synced.command("run")
        assert ended.returncode != 0, ended.stdout
        assert names(known) == names(generated(synced))
        assert (synced.root / "sources.lock.yaml").read_text() == known["sources.lock.yaml"]

    synced.declare(declared)
    assert synced.command("load").returncode == 0
    assert generated(synced) == known


def test_a_removed_table_leaves_the_catalogue_and_the_models(synced: Lake) -> None:
    synced.declare("a: {cursor: at}").load()

    assert "public.b" not in (synced.root / "sources.lock.yaml").read_text()
    assert "stg_shop__b.sql" not in names(generated(synced))


def generated(lake: Lake) -> dict[str, str]:
    paths = [lake.root / "sources.lock.yaml", *(lake.root / "dbt/models/staging").rglob("*")]
    return {path.name: path.read_text() for path in paths if path.is_file()}


def names(files: dict[str, str]) -> list[str]:
    return sorted(Path(name).name for name in files)
