"""`lakefeed.open`: the commands as methods, whose host process is left as it was."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

import lakefeed
from tests.conftest import Database, Lake, failure, only

ORDERS = "orders: {cursor: updated_at, lookback: 30m}"


@pytest.fixture
def shop(database: Database, lake: Lake) -> Lake:
    database.execute(
        "create table orders (id int primary key, updated_at timestamptz not null default now())",
        "insert into orders select one from generate_series(1, 3) as one",
    )
    return lake.declare(ORDERS)


def script(lake: Lake, text: str) -> subprocess.Popen[str]:
    """A program of a user's, without a guard, beside the project."""
    path = lake.root / "script.py"
    path.write_text(text, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, path], cwd=lake.root,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 - it calls nothing that takes a lock
    )  # fmt: skip


def _heed_ctrl_c() -> None:
    """Shells have what they start in the background ignore it, and tests inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# What is offered


def test_the_public_names_are_few() -> None:
    assert sorted(lakefeed.__all__) == ["LakefeedError", "Project", "__version__", "open"]
    methods = {name for name in vars(lakefeed.Project) if not name.startswith("_")}
    assert methods == {"load", "plan", "run", "status", "tables"}


def test_a_run_returns_what_it_did(shop: Lake) -> None:
    report = lakefeed.open(shop.root).run()

    assert (report.exit_code, only(report).status, only(report).rows_written) == (0, "loaded", 3)
    assert report.build is not None
    assert report.published_at is not None
    assert shop.query("select count(*) from staging.stg_shop__orders") == [(3,)]


def test_a_load_builds_nothing(shop: Lake) -> None:
    report = lakefeed.open(shop.root).load()

    assert (only(report).rows_written, report.build) == (3, None)
    assert not shop.project.warehouse.exists()


def test_the_status_says_where_each_table_stands(shop: Lake) -> None:
    project = lakefeed.open(shop.root)
    project.load()

    (orders,) = project.status()

    assert (orders.name, orders.loads, orders.raw_rows) == ("shop.orders", 1, 3)


def test_a_project_sees_changes_of_its_files(shop: Lake, database: Database) -> None:
    database.execute("create table lines (id int primary key)")
    project = lakefeed.open(shop.root)

    shop.declare(f"{ORDERS}\nlines: {{mode: full_refresh}}")

    assert project.tables == ("shop.orders", "shop.lines")


@pytest.mark.parametrize("select", ["shop.orders", ["shop.orders"], ("shop.o*",)])
def test_one_selector_may_stand_for_itself(shop: Lake, select: str | list[str]) -> None:
    assert [table.name for table in lakefeed.open(shop.root).status(select)] == ["shop.orders"]


@pytest.mark.parametrize("since", [dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), "2020-01-01"])
def test_a_backfill_takes_dates_as_well_as_texts(shop: Lake, since: dt.date | str) -> None:
    report = lakefeed.open(shop.root).load(since=since, until=dt.date(2021, 1, 1))

    assert (report.exit_code, only(report).rows_read) == (0, 0)


def test_without_a_path_it_is_the_nearest_project_around(
    shop: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.root / "dbt")

    assert lakefeed.open().root == shop.root.resolve()


# What fails


def test_a_folder_without_a_project_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(lakefeed.LakefeedError, match=r"sources\.yaml"):
        lakefeed.open(tmp_path)


def test_a_wrong_selector_is_an_error_that_names_the_nearest(shop: Lake) -> None:
    with pytest.raises(lakefeed.LakefeedError, match=r"shop\.orders"):
        lakefeed.open(shop.root).run(["shop.order"])


def test_a_table_that_fails_is_in_the_report(shop: Lake, database: Database) -> None:
    database.execute("drop table orders")

    report = lakefeed.open(shop.root).load()

    (failed,) = report.failures
    assert failed.name == "shop.orders"
    assert isinstance(failed.error, lakefeed.LakefeedError)


# What would be read


def test_a_plan_before_the_first_load_begins_at_the_beginning(shop: Lake) -> None:
    (orders,) = lakefeed.open(shop.root).plan()

    assert asdict(orders) == {
        "name": "shop.orders",
        "lake_name": "shop__orders",
        "mode": "incremental",
        "columns": ("id", "updated_at"),
        "primary_key": ("id",),
        "history": False,
        "cursor": "updated_at",
        "lookback": "30m",
        "checkpoint": None,
        "start": None,
        "end": None,
        "reads_whole": False,
        "supersedes": (),
        "reasons": ("first load",),
        "ranges": "",
        "finds_deleted": False,
        "estimate": None,
        "statements": 1,
        "keys": None,
        "shrinks": "",
        "drift": (),
        "notes": (),
        "models": 0,
        "tests": 0,
        "declared_at": "sources.yaml:6",
        "error": None,
    }


def test_a_plan_starts_a_lookback_before_the_checkpoint(shop: Lake, database: Database) -> None:
    database.execute("update orders set updated_at = '2026-01-01 12:00+00'")
    project = lakefeed.open(shop.root)
    project.load()

    (orders,) = project.plan()

    assert orders.checkpoint == "2026-01-01 12:00:00+00:00"
    assert orders.start == "2026-01-01 11:30:00+00:00"


def test_a_plan_of_a_full_refresh_names_the_loads_it_supersedes(shop: Lake) -> None:
    project = lakefeed.open(shop.root)
    loaded = only(project.load())

    (orders,) = project.plan(full_refresh=True)

    assert (orders.reads_whole, orders.start, orders.supersedes) == (True, None, (loaded.load_id,))


def test_a_plan_tells_why_a_table_will_be_read_whole(shop: Lake) -> None:
    project = lakefeed.open(shop.root)
    project.load()
    shop.declare("orders: {cursor: updated_at, primary_key: [id, updated_at]}")

    (orders,) = project.plan()

    assert orders.reads_whole
    assert any("read in full" in note for note in orders.notes)


def test_a_plan_of_a_backfill_has_its_range(shop: Lake) -> None:
    (orders,) = lakefeed.open(shop.root).plan(since="2026-01-01", until="2026-02-01")

    assert (orders.start, orders.end) == ("2026-01-01 00:00:00+00:00", "2026-02-01 00:00:00+00:00")


def test_a_plan_says_what_keeps_a_table_from_being_loaded(shop: Lake) -> None:
    shop.declare(f"{ORDERS}\ngone: {{mode: full_refresh}}")

    orders, gone = lakefeed.open(shop.root).plan()

    assert orders.error is None
    assert "doesn't exist in the database" in str(gone.error)


@pytest.mark.parametrize("select", [(), ("shop.orders",)], ids=["all", "selected"])
def test_a_plan_refuses_a_frozen_table_as_the_load_does(
    shop: Lake, database: Database, select: tuple[str, ...]
) -> None:
    shop.declare("orders: {cursor: updated_at, schema_changes: freeze}")
    project = lakefeed.open(shop.root)
    project.load()
    database.execute("alter table orders add note text")

    (orders,) = project.plan(select)

    assert str(orders.error) == failure(project.load(select))
    assert "shop.orders is frozen, but its columns changed" in str(orders.error)


def test_a_plan_refuses_a_frozen_table_whose_values_changed_their_meaning(
    shop: Lake, database: Database
) -> None:
    database.execute(
        "create type mood as enum ('ok', 'sad')",
        "alter table orders add mood mood default 'ok'",
    )
    shop.declare("orders: {cursor: updated_at, schema_changes: freeze}")
    project = lakefeed.open(shop.root)
    project.load()
    database.execute("alter type mood rename value 'ok' to 'fine'")

    (orders,) = project.plan()

    assert str(orders.error) == failure(project.load())
    assert "labels or attributes" in str(orders.error)


def test_a_plan_refuses_a_table_whose_tests_name_unknown_columns(shop: Lake) -> None:
    shop.declare("orders: {cursor: updated_at, tests: {columns: {nowhere: {unique: true}}}}")
    project = lakefeed.open(shop.root)

    (orders,) = project.plan()

    assert str(orders.error) == failure(project.load())
    assert "nowhere" in str(orders.error)


def test_a_plan_changes_nothing(shop: Lake) -> None:
    before = sorted(shop.root.rglob("*"))

    lakefeed.open(shop.root).plan()

    assert sorted(shop.root.rglob("*")) == before


# The host process


def test_nothing_is_printed(shop: Lake, capfd: pytest.CaptureFixture[str]) -> None:
    project = lakefeed.open(shop.root)
    project.run()
    project.status()
    project.plan()

    assert capfd.readouterr() == ("", "")


def test_the_process_is_left_as_it_was(shop: Lake) -> None:
    def state() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        return dict(os.environ), Path.cwd(), list(sys.argv), handlers, sys.stdout, sys.stderr

    before = state()

    lakefeed.open(shop.root).run()

    assert state() == before


def test_dlt_looks_for_settings_of_its_user_again(shop: Lake) -> None:
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

    plugged = Container()[PluggableRunContext]
    before = plugged.context, plugged.providers

    lakefeed.open(shop.root).load()

    assert (plugged.context, plugged.providers) == before


def test_dlt_makes_no_context_that_its_user_did_not_ask_for(shop: Lake) -> None:
    process = script(
        shop,
        "import lakefeed\n"
        "for _ in range(2):\n"
        "    lakefeed.open().load(full_refresh=True)\n"
        "from dlt.common.configuration.container import Container\n"
        "from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext\n"
        "print(PluggableRunContext in Container())\n",
    )

    assert process.communicate(timeout=120) == ("False\n", "")


def test_a_run_works_within_a_running_event_loop(shop: Lake) -> None:
    async def cell() -> int:
        return lakefeed.open(shop.root).run().exit_code

    assert asyncio.run(cell()) == 0


def test_runs_of_several_threads_follow_one_another(shop: Lake) -> None:
    project, codes = lakefeed.open(shop.root), []
    threads = [
        threading.Thread(target=lambda: codes.append(project.run().exit_code)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert codes == [0, 0]


def test_a_script_needs_no_guard(shop: Lake) -> None:
    process = script(
        shop,
        "import pathlib, lakefeed\n"
        "with pathlib.Path('begun').open('a') as begun:\n"
        "    begun.write('once')\n"
        "report = lakefeed.open().run()\n"
        "print(report.exit_code, report.tables[0].rows_written)\n",
    )

    assert process.communicate(timeout=120) == ("0 3\n", "")
    assert (shop.root / "begun").read_text() == "once"


def test_ctrl_c_is_the_scripts_own_to_handle(shop: Lake, database: Database) -> None:
    database.execute("create view slow as select 1 as id, pg_sleep(120)::text as nothing")
    shop.declare("slow: {mode: full_refresh}")
    process = script(
        shop,
        "import lakefeed\n"
        "project = lakefeed.open()\n"
        "print('begins', flush=True)\n"
        "try:\n"
        "    project.load()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
        "print([table.loads for table in project.status()])\n",
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begins\n"
    _wait_until_it_sleeps(database)

    process.send_signal(signal.SIGINT)

    told, errors = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "interrupted\n[0]\n"), errors


def _wait_until_it_sleeps(database: Database) -> None:
    sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    limit = dt.datetime.now() + dt.timedelta(seconds=60)
    while database.rows(sleeping) == [(0,)]:
        assert dt.datetime.now() < limit
