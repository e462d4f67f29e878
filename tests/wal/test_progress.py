"""Reading a long log tells how far it is: rows, bytes of the log, and the time left."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from lakefeed.render.progress import ProgressLines
from tests.conftest import Database, Lake
from tests.integration.test_long_reads import Told
from tests.wal.conftest import Declare

pytestmark = pytest.mark.builds

ROWS = 60_000


def declared(database: Database, declare: Declare) -> Lake:
    database.execute("create table t (id int primary key, word text)")
    lake = declare("t: {cursor: wal}", "t")
    assert lake.load().exit_code == 0
    return lake


def insert(database: Database, *, in_one_transaction: bool) -> None:
    """Inserts the rows, in one transaction or in sixty."""
    parts = 1 if in_one_transaction else 60
    each = ROWS // parts
    database.execute(
        *(
            f"insert into t select g, md5(g::text) "
            f"from generate_series({part * each + 1}, {(part + 1) * each}) as g"
            for part in range(parts)
        )
    )


@pytest.mark.parametrize("in_one_transaction", [True, False])
def test_a_long_log_tells_rows_bytes_and_the_time_left(
    logical_database: Database, declare: Declare, in_one_transaction: bool
) -> None:
    lake = declared(logical_database, declare)
    insert(logical_database, in_one_transaction=in_one_transaction)
    told = Told()
    told.reads_every = 0.1

    report = lake.load(listener=told)

    of_log = [read for read in told.reads if read.note == "the log of all tables"]
    rows, sizes = [read.rows for read in of_log], [read.size for read in of_log]
    last = of_log[-1]
    assert report.tables[0].rows_written == ROWS
    assert rows == sorted(rows)
    assert sizes == sorted(sizes)
    assert 0 < last.rows <= ROWS
    assert last.name == "shop.t"
    assert last.expected_size is not None
    assert 0 < last.size <= last.expected_size
    assert last.seconds_left is not None
    assert 0 <= last.seconds_left < 60


def test_a_terminal_shows_a_bar(
    logical_database: Database, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefeed.render.progress._ON_TERMINALS_SECONDS", 0.1)
    lake = declared(logical_database, declare)
    insert(logical_database, in_one_transaction=True)
    out = io.StringIO()

    lake.load(
        listener=ProgressLines(Console(file=out, width=120, force_terminal=True, highlight=False))
    )

    assert "━" in out.getvalue()
    shown = r"the log of all tables, [\d,]+ rows, [\d.]+ [kM]?B of [\d.]+ MB, \d+ s left"
    assert re.search(shown, out.getvalue())
