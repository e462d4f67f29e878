"""Sources with fewer free sessions than a run asks for, or none."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from typing import Any

import psycopg2
import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure
from tests.integration.test_big_tables import BIG
from tests.integration.test_workers import MANY, declare_many

pytestmark = pytest.mark.builds

TABLES = (
    *BIG,
    *(f"create table {name} as select 1 as id" for name in ("a", "b", "c")),
)
DECLARED = (
    "big: {cursor: updated_at, parallel: 4}\n"
    "a: {mode: full_refresh}\nb: {mode: full_refresh}\nc: {mode: full_refresh}"
)


@pytest.fixture
def role(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A role with adjustable limits that may read tables created later."""
    name = f"l{uuid.uuid4().hex[:12]}"
    database.execute(
        f"create role {name} login",
        f"grant pg_read_all_data, pg_read_all_stats to {name}",
    )
    monkeypatch.setenv(CONNECTION_VARIABLE, as_role(database, name))
    yield name
    database.execute(f"drop role {name}")


def as_role(database: Database, name: str) -> str:
    return database.url.replace("postgres:@", f"{name}:@")


@contextmanager
def in_use(url: str, sessions: int) -> Iterator[list[Any]]:
    """Opens this many other sessions."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(psycopg2.connect(url))) for _ in range(sessions)]


@contextmanager
def all_but_one_in_use(url: str) -> Iterator[None]:
    """Opens sessions until the server refuses another one, then closes one of them.

    Sessions of earlier tests may still be closing, so a refusal counts once it lasts.
    """
    with ExitStack() as stack:
        sessions: list[Any] = []
        refused = 0
        while refused < 5:
            try:
                sessions.append(stack.enter_context(closing(psycopg2.connect(url))))
                refused = 0
            except psycopg2.OperationalError:
                refused += 1
                time.sleep(0.2)
        sessions.pop().close()
        yield


def close_one_by_one(sessions: list[Any], database: Database, role: str) -> None:
    """Closes the first of two sessions, and the second while the run waits for it."""
    time.sleep(1.5)
    sessions[0].close()
    while database.rows(f"select count(*) from pg_stat_activity where usename = '{role}'") < [(2,)]:
        time.sleep(0.05)
    time.sleep(3)
    sessions[1].close()


@pytest.mark.parametrize("limit", ["alter role {role}", "alter database {database}"])
def test_two_sessions_are_enough_for_all_tables(
    database: Database, lake: Lake, role: str, limit: str
) -> None:
    database.execute(*TABLES)
    lake.declare(DECLARED)
    database.execute(limit.format(role=role, database=database.name) + " connection limit 2")

    report = lake.load()

    assert [str(table.error) for table in report.failures] == []
    assert lake.raw("shop__big", "count(distinct id)") == [(90_000,)]
    # The second text, if another session ended between the refusal and the count.
    assert re.search(
        "can have at most 2 sessions, and all are in use|has reached its connection limit",
        report.warnings[0],
    )


def test_a_run_waits_for_a_session_and_warns_of_it(
    database: Database, lake: Lake, role: str
) -> None:
    database.execute("create table a as select 1 as id", f"alter role {role} connection limit 2")
    lake.declare("a: {mode: full_refresh}")
    with in_use(as_role(database, role), 2) as sessions:
        closing_them = threading.Thread(target=close_one_by_one, args=(sessions, database, role))
        closing_them.start()

        report = lake.load()

        closing_them.join()

    assert report.failures == []
    assert [line for line in report.warnings if "had to wait for a session" in line] == [
        "shop: had to wait for a session: can't connect to `shop`: the role has reached "
        f"its connection limit (socket {database.url.partition('host=')[2]}, port 5432, "
        f"database {database.name}, user {role})",
        f"shop: had to wait for a session: the role `{role}` can have at most 2 sessions, and "
        "all are in use",
    ]


@pytest.mark.parametrize("of", ["role", "database", "server"])
def test_a_reached_limit_is_named(
    database: Database, lake: Lake, role: str, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefeed.source.connections.limits.WAIT_SECONDS", 1)
    database.execute("create table a as select 1 as id")
    lake.declare("a: {mode: full_refresh}")
    limits = {
        "role": (f"alter role {role} connection limit 1", f"the role `{role}` can have at most 1"),
        "database": (
            f"alter database {database.name} connection limit 1",
            f"the database `{database.name}` can have at most 1",
        ),
        "server": ("select 1", "roles that aren't superusers can have at most "),
    }
    statement, message = limits[of]
    database.execute(statement)
    elsewhere = as_role(database, role).replace(f"/{database.name}?", "/postgres?")

    with all_but_one_in_use(elsewhere) if of == "server" else nullcontext():
        error = failure(lake.load())

    assert message in error
    assert "a run needs two: one holds the snapshot, one reads" in error


def test_a_run_without_any_session_ends_in_time(
    database: Database, lake: Lake, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefeed.source.connections.limits.WAIT_SECONDS", 1)
    database.execute("create table a as select 1 as id", f"alter role {role} connection limit 1")
    began = time.monotonic()

    with in_use(as_role(database, role), 1):
        error = failure(lake.declare("a: {mode: full_refresh}").load())

    assert "the role has reached its connection limit" in error
    assert time.monotonic() - began < 30


def test_workers_share_the_few_sessions_that_a_role_may_have(
    database: Database, lake: Lake, role: str
) -> None:
    many = declare_many(database, lake)
    database.execute(f"alter role {role} connection limit 2")

    report = many.load()

    assert [table.status for table in report.tables] == ["loaded"] * len(MANY)
    limited = (
        f"shop: the role `{role}` can have at most 2 sessions, and all are in use: fewer tables "
        "are read in parallel"
    )
    assert limited in report.warnings
    # On a slow machine the server still counts a session that has ended. The next one waits for it,
    # and may not learn from the server which limit it has met.
    expected = ("shop: had to wait for a session: ", "fewer tables are read in parallel")
    others = [warning for warning in report.warnings if warning != limited]
    assert [one for one in others if not any(text in one for text in expected)] == []
