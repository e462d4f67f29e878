"""A slot that the server gave up, since it may hold back only so much of the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failures, logical_server
from tests.wal.conftest import NAME, publish
from tests.wal.test_loading import loaded, newest

pytestmark = [pytest.mark.faults, pytest.mark.at_night]


@pytest.fixture(params=[18, 16])
def strict(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """A server that keeps 1 MB of its log for slots."""
    bounds = {"max_slot_wal_keep_size": "1MB", "min_wal_size": "32MB", "max_wal_size": "32MB"}
    with logical_server(tmp_path / "postgres", request.param, **bounds) as server:
        monkeypatch.setenv(CONNECTION_VARIABLE, server.get_uri())
        yield Database(server.get_uri())


def test_a_slot_that_is_lost_is_said_and_what_is_said_helps(strict: Database, lake: Lake) -> None:
    strict.execute("create table t (id int primary key, word text)", "insert into t values (1)")
    publish(strict, "t")
    assert lake.declare("t: {cursor: wal}").run().exit_code == 0
    strict.execute("insert into t values (2, 'lost')")
    for _ in range(4):
        strict.execute("insert into t values (3)", "delete from t where id = 3")
        strict.execute("select pg_switch_wal()")
    strict.execute("checkpoint")

    (failed,) = lake.load().failures

    assert f"the server has removed what the slot `{NAME}` needs (wal_removed)" in str(failed.error)
    assert "it is lost (wal_removed)" in lake.command("status").stdout
    advice = ["cdc drop --source shop --apply", "cdc setup --source shop --apply"]
    for command in (*advice, "run --select shop --full-refresh"):
        assert f"lakefeed {command}" in str(failed.error)
    assert failures(lake, [tuple(command.split()) for command in advice]) == {}
    assert failures(lake, [("run", "--select", "shop", "--full-refresh")]) == {}
    strict.execute("update t set word = 'b' where id = 1")
    assert newest(loaded(lake)) == [(1, "b"), (2, "lost")]
