"""A server whose files were copied back: its positions and numbers of transactions come again."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakefeed.loading.log import changes
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, logical_server, new_database
from tests.wal.conftest import publish
from tests.wal.test_loading import loaded, newest

pytestmark = [pytest.mark.faults, pytest.mark.at_night]

FILLED = "create table filler as select repeat('x', 900) from generate_series(1, 1000)"


class Restorable:
    """A server, and a copy of its files."""

    def __init__(self, server: Any) -> None:
        self.server, self.files = server, Path(server.pgdata)
        self.copy = self.files.with_name("copy")

    def back_up(self) -> None:
        self.server.stop()
        self._copy(self.files, self.copy)
        self.server.start()

    def restore(self) -> None:
        self.server.stop()
        shutil.rmtree(self.files)
        self._copy(self.copy, self.files)
        self.server.start()

    def _copy(self, origin: Path, target: Path) -> None:
        # The owner of the files is the server's own.
        subprocess.run(["cp", "-a", origin, target], check=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Restorable]:
    with logical_server(tmp_path / "postgres") as server:
        yield Restorable(server)


@pytest.fixture
def source(server: Restorable, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database there with a table, which the lake has loaded by its log before the backup."""
    monkeypatch.setattr(changes, "CLOCKS", dt.timedelta(0))
    database = new_database(server.server.get_uri())
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url)
    database.execute("create table t (id int primary key, word text)", "insert into t values (1)")
    publish(database, "t")
    loaded(lake.declare("t: {cursor: wal}"))
    loaded(lake)
    server.back_up()
    return database


@pytest.mark.parametrize("read", ["by the log", "in full"])
def test_what_comes_in_the_place_of_what_was_lost_is_not_taken_for_it(
    server: Restorable, source: Database, lake: Lake, read: str
) -> None:
    source.execute("insert into t values (2, 'lost')", FILLED)
    assert lake.load(full_refresh=read == "in full").exit_code == 0
    server.restore()
    source.execute("insert into t values (3, 'new')", FILLED, "insert into filler table filler")

    (failed,) = lake.load().failures

    assert "shop.t can't go on from the log: the server was restored" in str(failed.error)
    assert lake.load(full_refresh=True).exit_code == 0
    source.execute("insert into t values (5, 'on')")
    assert newest(loaded(lake)) == source.rows("select id, word from t order by 1")
