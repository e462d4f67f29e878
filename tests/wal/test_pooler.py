"""A log behind a pooler that has no replication connections, as PgBouncer before 1.23."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, Lake
from tests.pooler import if_installed, pooled
from tests.wal.conftest import publish
from tests.wal.test_loading import loaded

pytestmark = [pytest.mark.faults, if_installed]

SAID = "`shop` is reached through a pooler that has no replication connections"
TO_DO = "use a URL that leads to the server directly, past the pooler"
# A pooler refuses who asks for a replication connection, or takes it for an ordinary one.
IGNORING = {"ignore_startup_parameters": "extra_float_digits,replication"}
REFUSING = {"ignore_startup_parameters": "extra_float_digits"}


@pytest.fixture(
    params=[
        ("transaction", IGNORING),
        ("transaction", REFUSING),
        pytest.param(("session", IGNORING), marks=pytest.mark.at_night),
        pytest.param(("session", REFUSING), marks=pytest.mark.at_night),
    ],
    ids=lambda param: f"{param[0]}-{'ignoring' if param[1] is IGNORING else 'refusing'}",
)
def pooler(
    request: pytest.FixtureRequest, logical_database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """The database through a pooler, which the declared source names."""
    logical_database.execute(
        "create table t (id int primary key)",
        "insert into t values (1)",
        f"alter database {logical_database.name} set bytea_output = 'escape'",
    )
    mode, settings = request.param
    with pooled(logical_database, "postgres", mode=mode, **settings) as database:
        monkeypatch.setenv(CONNECTION_VARIABLE, database.url)
        yield database


@pytest.fixture
def changed(pooler: Database, logical_database: Database, lake: Lake) -> Lake:
    """A table that was loaded through the pooler, and has changed since."""
    publish(logical_database, "t")
    loaded(lake.declare("t: {cursor: wal}"))
    logical_database.execute("insert into t values (2)")
    return lake


def test_no_slot_is_made_that_could_not_be_read(
    logical_database: Database, pooler: Database, lake: Lake
) -> None:
    lake.declare("t: {cursor: wal}")

    refused = lake.command("cdc", "setup", "--apply")

    said = " ".join(refused.stdout.replace("-- ", " ").split())
    assert refused.returncode == 1
    assert SAID in said and TO_DO in said
    slots = "select slot_name from pg_replication_slots where database = current_database()"
    assert logical_database.rows(slots) == []


def test_the_check_asks_for_a_direct_url(changed: Lake) -> None:
    checked = changed.command("check", "--connect")

    assert checked.returncode == 1
    assert SAID in checked.stdout + checked.stderr
    assert TO_DO in checked.stdout + checked.stderr


def test_a_load_that_finds_changes_asks_for_a_direct_url_and_goes_on_with_one(
    changed: Lake, logical_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    (failed,) = changed.load().failures
    assert SAID in str(failed.error)
    assert TO_DO in str(failed.error)
    monkeypatch.setenv(CONNECTION_VARIABLE, logical_database.url)

    loaded(changed)

    assert changed.raw("shop__t", "id") == [(1,), (2,)]


def test_nothing_is_left_in_sessions_that_others_use_afterwards(
    changed: Lake, pooler: Database, logical_database: Database
) -> None:
    changed.load()

    locks = "select * from pg_locks join pg_database as d on d.oid = database"
    assert (
        logical_database.rows(
            f"{locks} where locktype = 'advisory' and datname = current_database()"
        )
        == []
    )
    assert pooler.rows("show bytea_output") == [("escape",)]
