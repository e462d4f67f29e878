"""`lakefeed cdc`: the slot and the publication of a source, and what is said of them elsewhere."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lakefeed.orchestration.inspect.overview import overview
from lakefeed.site.page import render
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.source.log.slots import Slot, slot_of
from lakefeed.source.replication.publications import publication_of
from lakefeed.transformation.lineage.project_lineage import read_lineage
from tests.conftest import Database, Lake, logical_server, new_database

pytestmark = pytest.mark.builds

SLOT = "lakefeed_shop"
ORDERS = (
    "create table orders (id int primary key, total numeric)",
    "create table lines (id int primary key, note text)",
)
both_versions = pytest.mark.parametrize("logical_database", [18, 16], indirect=True)


def setup(lake: Lake, *options: str, code: int = 0) -> str:
    """What `cdc setup` prints."""
    return cdc(lake, "setup", *options, code=code)


def cdc(lake: Lake, *arguments: str, code: int = 0) -> str:
    ended = lake.command("cdc", *arguments)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


def sql_of(text: str) -> list[str]:
    """The statements of what was printed, without comments."""
    return [line for line in text.splitlines() if line and not line.startswith("--")]


def flat(text: str) -> str:
    """What was printed in one line, without the marks of comments."""
    return " ".join(text.replace("-- ", " ").split())


def published(database: Database) -> set[str]:
    query = f"select tablename from pg_publication_tables where pubname = '{SLOT}'"
    return {name for (name,) in database.rows(query)}


def slots(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(
        "select slot_name from pg_replication_slots where database = current_database()"
    )


@pytest.fixture
def orders(logical_database: Database, lake: Lake) -> Lake:
    logical_database.execute(*ORDERS)
    return lake.declare("orders: {cursor: wal}")


@both_versions
def test_prints_the_statements_and_runs_none(orders: Lake, logical_database: Database) -> None:
    printed = setup(orders)

    publish, keep = sql_of(printed)
    assert publish.startswith('create publication "lakefeed_shop" for table "public"."orders" with')
    # Standbys take over those that say so, from 17 on.
    further = ", twophase => false, failover => true" if "failover" in keep else ""
    ((version,),) = logical_database.rows("select current_setting('server_version_num')::int")
    assert ("failover" in keep) == (version >= 170_000)
    created = f"select pg_create_logical_replication_slot('lakefeed_shop', 'pgoutput'{further});"
    assert keep == created
    assert "lakefeed cdc setup --source shop --apply" in printed
    assert (published(logical_database), slots(logical_database)) == (set(), [])


@both_versions
def test_runs_them_if_asked_and_has_nothing_to_do_then(
    orders: Lake, logical_database: Database
) -> None:
    applied = setup(orders, "--apply")

    assert "-- shop: done" in applied
    assert (published(logical_database), slots(logical_database)) == ({"orders"}, [(SLOT,)])
    assert setup(orders) == setup(orders, "--apply") == "-- shop: nothing to do\n"


def test_what_is_printed_is_sql_that_does_the_same_by_hand(
    orders: Lake, logical_database: Database
) -> None:
    logical_database.execute(*sql_of(setup(orders)))

    assert setup(orders) == "-- shop: nothing to do\n"


def test_stored_generated_columns_are_published_where_the_server_can(
    orders: Lake, logical_database: Database
) -> None:
    logical_database.execute(
        "alter table orders add twice numeric generated always as (2 * total) stored"
    )

    setup(orders, "--apply")

    columns = "select attnames from pg_publication_tables"
    assert logical_database.rows(columns) == [(["id", "total", "twice"],)]


@both_versions
def test_adds_and_removes_tables_as_the_declaration_changes(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")
    orders.declare("orders: {cursor: wal}\nlines: {cursor: wal}")
    assert sql_of(setup(orders)) == [
        "begin;",
        "set local lock_timeout = '10s';",
        'lock table "public"."lines" in share row exclusive mode;',
        'alter publication "lakefeed_shop" add table "public"."lines";',
        "commit;",
    ]
    setup(orders, "--apply")
    added = published(logical_database)

    orders.declare("lines: {cursor: wal}")
    setup(orders, "--apply")

    assert (added, published(logical_database)) == ({"orders", "lines"}, {"lines"})
    assert setup(orders) == "-- shop: nothing to do\n"


def test_a_table_that_is_added_waits_for_transactions_that_write_to_it(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")
    orders.declare("orders: {cursor: wal}\nlines: {cursor: wal}")

    with closing(logical_database.connect()) as writer, writer.cursor() as cursor:
        cursor.execute("insert into lines values (1)")
        refused = setup(orders, "--apply", code=1)

    assert "another session has been writing to a table" in refused
    assert published(logical_database) == {"orders"}
    setup(orders, "--apply")
    assert published(logical_database) == {"orders", "lines"}


def test_a_table_that_lost_columns_or_rows_to_a_filter_is_published_whole_again(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")
    logical_database.execute(
        f"alter publication {SLOT} set table orders (id) where (id > 10)",
        f"alter publication {SLOT} set (publish = 'insert', publish_generated_columns = none)",
    )

    setup(orders, "--apply")

    whole = (
        "select attnames, rowfilter, pubdelete, pubtruncate, pubgencols from pg_publication_tables "
        "join pg_publication using (pubname)"
    )
    assert logical_database.rows(whole) == [(["id", "total"], None, True, True, "s")]


def test_partitions_are_published_as_their_root(lake: Lake, logical_database: Database) -> None:
    logical_database.execute(
        "create table days (id int, day date, primary key (id, day)) partition by range (day)",
        "create table days_2026 partition of days for values from ('2026-01-01') to ('2027-01-01')",
        f"create publication {SLOT}",
    )

    setup(lake.declare("days: {cursor: wal}"), "--apply")

    assert published(logical_database) == {"days"}


@pytest.mark.parametrize(
    ("statements", "told", "remedy"),
    [
        (
            ("create table events (id int not null)", "create unique index by_id on events (id)"),
            "neither a primary key nor another replica identity",
            "alter table public.events replica identity using index by_id;",
        ),
        (
            ("create table events (id int)",),
            "neither a primary key nor another replica identity",
            "alter table public.events replica identity full;",
        ),
        (
            (
                "create table events (id int primary key)",
                "alter table events replica identity nothing",
            ),
            "`replica identity nothing`",
            "alter table public.events replica identity using index events_pkey;",
        ),
        (
            ("create table events (id int primary key deferrable)",),
            "neither a primary key nor another replica identity",
            "alter table public.events replica identity full;",
        ),
        (
            (
                "create table events (id int) partition by range (id)",
                "create table low partition of events for values from (0) to (9)",
            ),
            "public.low has neither a primary key",
            "alter table public.low replica identity full;",
        ),
        (
            ("create unlogged table events (id int primary key)",),
            "is unlogged",
            "alter table public.events set logged;",
        ),
        (("create view events as select 1 as id",), "is no table", "use another cursor"),
    ],
    ids=["index", "none", "nothing", "deferrable", "partition", "unlogged", "view"],
)
def test_a_table_is_not_published_whose_updates_would_fail_or_be_missed(
    statements: tuple[str, ...],
    told: str,
    remedy: str,
    orders: Lake,
    logical_database: Database,
) -> None:
    logical_database.execute(*statements)
    orders.declare("orders: {cursor: wal}\nevents: {cursor: wal, primary_key: [id]}")

    printed = setup(orders, "--apply", code=1)

    assert told in flat(printed) and remedy in flat(printed)
    assert published(logical_database) == {"orders"}


def test_a_published_table_that_lost_its_identity_is_taken_out(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")
    logical_database.execute("alter table orders drop constraint orders_pkey")

    setup(orders.declare("orders: {cursor: wal, primary_key: [id]}"), "--apply", code=1)

    assert published(logical_database) == set()
    logical_database.execute("insert into orders values (1, 1)", "update orders set total = 2")


def test_a_publication_for_all_tables_is_refused(orders: Lake, logical_database: Database) -> None:
    logical_database.execute(f"create publication {SLOT} for all tables")

    refused = setup(orders, "--apply", code=1)

    assert "is one for all tables" in refused
    assert slots(logical_database) == []


def test_slot_and_publication_have_the_declared_names(
    orders: Lake, logical_database: Database
) -> None:
    text = (orders.root / "sources.yaml").read_text(encoding="utf-8")
    named = text.replace(
        "    tables:", "    wal: {slot: mine, publication: Our tables}\n    tables:"
    )
    (orders.root / "sources.yaml").write_text(named, encoding="utf-8")

    setup(orders, "--apply")

    assert slots(logical_database) == [("mine",)]
    assert logical_database.rows("select pubname from pg_publication") == [("Our tables",)]


def test_a_slot_of_another_database_or_kind_is_refused(
    orders: Lake, logical_database: Database
) -> None:
    logical_database.execute(f"select pg_create_physical_replication_slot('{SLOT}')")
    try:
        refused = setup(orders, code=1)
    finally:
        logical_database.execute(f"select pg_drop_replication_slot('{SLOT}')")

    assert "is a physical one" in refused


def test_a_slot_without_its_publication_is_created_anew(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")
    logical_database.execute(f"drop publication {SLOT}")

    printed = setup(orders)

    assert [line.split("(")[0] for line in sql_of(printed)[1:]] == [
        "select pg_drop_replication_slot",
        "select pg_create_logical_replication_slot",
    ]
    assert "must be read in full" in flat(printed)


@both_versions
def test_drop_removes_both_and_says_what_becomes_of_the_tables(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")

    printed, kept = cdc(orders, "drop"), slots(logical_database)
    applied = cdc(orders, "drop", "--apply")

    assert kept == [(SLOT,)]
    assert sql_of(printed) == sql_of(applied)
    assert "`shop.orders` can't be loaded" in flat(printed)
    assert (published(logical_database), slots(logical_database)) == (set(), [])
    assert cdc(orders, "drop") == "-- shop: nothing to do\n"


def test_prune_reminds_of_what_a_source_no_longer_needs(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")
    orders.declare("orders: {mode: full_refresh}").command("sync")

    pruned = orders.command("prune", "--undeclared")

    assert "lakefeed cdc drop --source shop --apply" in pruned.stdout, pruned.stderr
    assert "lakefeed cdc drop" in setup(orders)
    assert slots(logical_database) == [(SLOT,)]


def test_json_has_what_is_needed_and_what_would_be_run(orders: Lake) -> None:
    (found,) = json.loads(setup(orders, "--json"))

    assert (found["source"], found["applied"], found["needs"]) == ("shop", False, [])
    assert len(found["steps"]) == 2


def test_an_unknown_source_is_refused(orders: Lake) -> None:
    ended = orders.command("cdc", "setup", "--source", "shpo")

    assert (ended.returncode, "no source is named shpo" in ended.stderr) == (2, True)


def test_a_role_that_may_do_nothing_is_told_which_grants_and_owner_it_takes(
    orders: Lake, logical_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"reader_{logical_database.name}"
    logical_database.execute(
        f"create role {role} login", f"grant select on all tables in schema public to {role}"
    )
    try:
        as_role = f"{logical_database.url}&options=-c%20role%3D{role}"
        monkeypatch.setenv("LAKEFEED_TEST_URL", as_role)
        refused = setup(orders, "--apply", code=1)
    finally:
        logical_database.execute(f"drop owned by {role}", f"drop role {role}")

    assert f'alter role "{role}" replication;' in refused
    assert f'grant create on database "{logical_database.name}" to "{role}";' in refused
    assert f"the role `{role}` doesn't own public.orders" in flat(refused)
    assert (published(logical_database), slots(logical_database)) == (set(), [])


@contextmanager
def server_with(folder: Path, **settings: object) -> Iterator[Database]:
    with logical_server(folder / "other", **settings) as server:
        yield new_database(server.get_uri())


@pytest.mark.faults
def test_a_server_that_lacks_what_it_takes_is_told_so_and_nothing_is_run(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {"wal_level": "replica", "max_replication_slots": 0, "max_slot_wal_keep_size": -1}
    with server_with(tmp_path, **lacking) as database:
        monkeypatch.setenv("LAKEFEED_TEST_URL", database.url)
        database.execute(*ORDERS)
        lake.declare("orders: {cursor: wal}")

        refused = setup(lake, "--apply", code=1)

        assert "alter system set wal_level = 'logical';" in refused
        assert "alter system set max_replication_slots = '2';" in refused
        assert "alter system set max_slot_wal_keep_size = '20GB';" in refused
        assert published(database) == set()


@pytest.mark.faults
def test_nothing_that_bounds_a_slot_is_accepted_only_if_said(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_with(tmp_path, max_slot_wal_keep_size=-1) as database:
        monkeypatch.setenv("LAKEFEED_TEST_URL", database.url)
        database.execute(*ORDERS)
        lake.declare("orders: {cursor: wal}")

        refused, before = setup(lake, "--apply", code=1), slots(database)
        setup(lake, "--apply", "--allow-unbounded-wal")

        assert "until the disk is full" in flat(refused)
        assert (before, slots(database)) == ([], [(SLOT,)])
        assert "nothing bounds what the slot may hold back" in setup(lake)


def test_status_freshness_metrics_and_the_check_say_what_the_slot_holds_back(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")
    logical_database.execute("insert into orders select g, g from generate_series(1, 20000) as g")

    orders.command("sync")
    status = orders.command("status").stdout
    (row,) = json.loads(orders.command("status", "--json").stdout)
    metrics = orders.command("metrics").stdout

    assert f"the slot `{SLOT}` of `shop` holds back" in status
    assert row["log"]["retained"] > 1_000_000
    assert f'slot="{SLOT}"' in metrics and "lakefeed_slot_retained_bytes" in metrics
    assert "lakefeed_slot_last_read_timestamp_seconds" in metrics
    assert orders.command("check", "--connect").returncode == 0


def test_the_site_says_what_the_slot_holds_back(orders: Lake, logical_database: Database) -> None:
    setup(orders, "--apply")
    orders.command("sync")
    logical_database.execute("insert into orders select g, g from generate_series(1, 20000) as g")

    page = render(overview(orders.project, dt.datetime.now(dt.UTC)), read_lineage(orders.project))

    assert re.search(f"shop.orders; the slot `{SLOT}` of `shop` holds back [0-9.]+ MB", page)
    assert "shop.orders (the log, which never misses a row)" in page


def test_a_slot_that_is_missing_is_a_problem_everywhere(orders: Lake) -> None:
    orders.command("sync")
    status = orders.command("status")
    check = orders.command("check", "--connect")
    metrics = orders.command("metrics").stdout

    assert "it doesn't exist; create it: lakefeed cdc setup" in status.stdout
    assert check.returncode == 1 and "lakefeed cdc setup" in check.stdout + check.stderr
    assert 'lakefeed_slot_unreadable{project="' in metrics
    assert "lakefeed_slot_retained_bytes" not in metrics


def test_an_unreachable_source_leaves_status_as_it_is(
    orders: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEFEED_TEST_URL", "postgresql://nobody@localhost:1/none")

    status = orders.command("status")

    assert status.returncode == 0
    assert f"the slot `{SLOT}` of `shop`: not known: can't connect" in status.stdout
    assert orders.command("cdc", "setup").returncode == 3


def test_the_facts_of_a_slot_and_a_publication_are_read_as_set_up(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")

    with connect(connection_of(orders.project, "shop"), "lakefeed test") as session:
        slot, publication = slot_of(session, SLOT), publication_of(session, SLOT)

    assert isinstance(slot, Slot) and not slot.is_lost and not slot.two_phase
    assert publication is not None and publication.via_root


def test_the_plan_says_that_the_changes_since_the_last_load_are_read(
    orders: Lake, logical_database: Database
) -> None:
    setup(orders, "--apply")
    first = orders.command("plan").stdout
    loaded = orders.command("load")
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr

    then = orders.command("plan").stdout

    assert "all rows: first load" in first
    assert "changes in the log since" in then
