"""The compose files, run by a Docker engine: what they start, and what they survive.

A stack takes minutes to build and to start, so all tests of a set-up share one, in their order. The
commands are those of docs/airflow.md and docs/outgrowing-one-machine.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.airflow.api import eventually
from tests.compose.page import Commands
from tests.compose.setups import Setup
from tests.compose.stack import checked

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]


def assert_green(setup: Setup, run: str) -> None:
    assert setup.stack.api.ended(run, 900) == "success", setup.stack.api.tasks(run)


def assert_all_is_there(setup: Setup) -> None:
    """A run brings whatever isn't loaded yet, and then both sides are equal."""
    if setup.traffic:
        setup.stack.compose("stop", setup.traffic)
    assert_green(setup, setup.stack.api.trigger())
    assert setup.content_of_staging() == setup.content_of_source()
    if setup.traffic:
        setup.stack.compose("start", setup.traffic)


# The program of a `copy` is given the row, which it must read.
SIGNAL = "format('cat > /dev/null; kill -{} %s', {})"


@contextmanager
def a_load_at_work(setup: Setup) -> Iterator[tuple[str, str]]:
    """A run, and the container in which it is reading many rows, for as long as the block lasts.

    The source's process that sends them is stopped, since a read may be over in seconds.
    """
    setup.ask(setup.add_many)
    run = setup.stack.api.trigger()
    reader = setup.ask(
        f"""
        set statement_timeout = '3min';
        do $$
        declare reader int;
        begin
            loop
                select pid into reader from pg_stat_activity
                where state = 'active' and query like '%{setup.big}%'
                and application_name like 'lakefeed%';
                exit when reader is not null;
                perform pg_sleep(0.05);
                perform pg_stat_clear_snapshot();
            end loop;
            execute format('copy (select 1) to program %L', {SIGNAL.format("STOP", "reader")});
            perform set_config('test.reader', reader::text, false);
        end $$;
        select current_setting('test.reader');
        """
    ).split()[-1]
    yield run, setup.stack.host_of(run, task_of_big(setup))
    setup.ask(
        f"""
        do $$ begin
            execute format('copy (select 1) to program %L', {SIGNAL.format("CONT", reader)});
        end $$;
        """
    )


def task_of_big(setup: Setup) -> str:
    return f"{setup.source}__{setup.big}"


def state_of_big(setup: Setup, run: str) -> str:
    return str(setup.stack.api.task(run, task_of_big(setup))["state"])


def tries_of_big(setup: Setup, run: str) -> int:
    return int(setup.stack.api.task(run, task_of_big(setup))["try_number"])


def test_all_services_become_healthy(setup: Setup) -> None:
    # Some are asked once a minute, and are slow to answer while the first run is at work.
    eventually(setup.stack.is_well, 600)

    states = setup.stack.states()
    assert sum("worker" in name for name in states) == setup.workers


def test_starting_it_again_replaces_no_container(setup: Setup) -> None:
    before = setup.stack.containers()

    setup.stack.type((setup.start,))

    assert setup.stack.containers() == before


def test_the_first_run_is_green_and_its_counts_are_right(setup: Setup) -> None:
    eventually(lambda: setup.stack.api.has_ended("scheduled"), 600)

    states = setup.stack.api.task_states("scheduled")
    assert set(states.values()) == {"success"}, states
    for table in (one for one in setup.tables if one.ordered):
        # Up to the newest row of the lake, since the shop goes on.
        ((rows, newest),) = setup.stack.query(
            f"select count(*), max({table.key}) from {setup.staged(table.name)}"
        )
        upto = f"where {table.key} <= '{newest}'"
        assert setup.ask(f"select count(*) from {table.name} {upto}") == str(rows)
    assert_all_is_there(setup)


def test_tasks_run_on_several_workers(setup: Setup) -> None:
    if not setup.workers:
        pytest.skip("tasks run in the scheduler's container")

    assert len(setup.stack.api.hosts("scheduled")) > 1


def test_no_password_is_in_a_variable_or_an_argument(setup: Setup) -> None:
    containers = setup.stack.containers()

    seen = checked("docker", "inspect", *containers)
    seen += "".join(
        checked("docker", "top", container, "-eo", "pid,args") for container in containers
    )

    passwords = setup.stack.passwords()
    assert len(passwords) > 3
    assert [password for password in passwords if password in seen] == []


def test_each_command_that_looks_inside_shows_something(setup: Setup, commands: Commands) -> None:
    if setup.source != "shop" or setup.has_lake:
        pytest.skip("the page looks at the shop, in a file")

    told = setup.stack.type(commands.look, told="select count(*) as orders from orders;\n")

    status, pipeline, query, source = told
    assert "shop.orders" in status
    assert "shop__orders" in pipeline
    assert "order_id" in query
    assert "orders" in source


def test_each_command_that_looks_at_the_store_shows_something(
    setup: Setup, commands: Commands
) -> None:
    if not setup.has_lake:
        pytest.skip("the warehouse is a file")

    status, trace = setup.stack.type(commands.look_at_lake)

    assert "shop.orders" in status
    assert "s3://lake/raw" in trace


def test_a_killed_scheduler_loses_nothing(setup: Setup) -> None:
    with a_load_at_work(setup) as (run, _):
        setup.stack.compose("kill", "airflow-scheduler")
        assert state_of_big(setup, run) == "running"
    setup.stack.type((setup.start,))

    assert_green(setup, run)
    # Workers go on without a scheduler.
    assert tries_of_big(setup, run) == (1 if setup.workers else 2)
    assert_all_is_there(setup)


def test_a_killed_worker_loses_nothing(setup: Setup) -> None:
    if not setup.workers:
        pytest.skip("tasks run in the scheduler's container")
    with a_load_at_work(setup) as (run, host):
        checked("docker", "kill", host)
        assert state_of_big(setup, run) == "running"

    assert_green(setup, run)
    assert tries_of_big(setup, run) == 2
    setup.stack.type((setup.start,))
    assert_all_is_there(setup)


def test_it_goes_on_after_it_was_stopped_and_started(setup: Setup, commands: Commands) -> None:
    runs = len(setup.stack.api.runs("manual"))

    setup.stack.type(commands.stop)
    assert setup.stack.states() == {}
    setup.stack.type((setup.start,))

    assert len(setup.stack.api.runs("manual")) == runs
    assert_all_is_there(setup)


def test_a_project_can_move_to_workers(setup: Setup, commands: Commands) -> None:
    if setup.source == "shop":
        pytest.skip("these are the commands for a project of one's own")

    setup.stack.type(commands.start_workers)

    assert_all_is_there(setup)
    eventually(setup.stack.is_well, 240)
    assert sum("worker" in name for name in setup.stack.states()) == 3


def test_a_project_can_move_to_a_lake(setup: Setup, commands: Commands) -> None:
    if setup.source == "shop":
        pytest.skip("these are the commands for a project of one's own")
    moved = setup.moved_to_lake()

    moved.stack.type(commands.start_lake)

    assert_all_is_there(moved)
