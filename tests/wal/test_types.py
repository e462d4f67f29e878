"""Every type by the log: a change has the same values as a read of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from lakefeed.conformance.values import CASES, fill
from tests.conftest import (
    CONNECTION_VARIABLE,
    Database,
    Lake,
    drop_with_slots,
    new_database,
    new_lake,
)
from tests.integration.spelling import Row, lake_texts, raw, source_texts
from tests.wal.conftest import NAME

pytestmark = pytest.mark.builds


@dataclass(frozen=True)
class Loaded:
    """The types by the log; `lacking` lists those that this server doesn't have."""

    lake: Lake
    lacking: dict[str, str]
    failures: list[str]
    source: dict[str, list[Row]]
    raw: dict[str, list[Row]]


@pytest.fixture(scope="module")
def loaded(
    logical_servers: Callable[[int], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Loaded]:
    """A table that is filled, row by row, after its first load."""
    server = Database(logical_servers(18).get_uri())
    database = new_database(server.url)
    with closing(database.connect()) as session:
        lacking = fill(session, "filled")
    database.execute(
        "create table catalogue (like filled)",
        "alter table catalogue add primary key (id)",
        f"create publication {NAME} for table catalogue",
        f"select pg_create_logical_replication_slot('{NAME}', 'pgoutput')",
    )
    lake = new_lake(tmp_path_factory.mktemp("types")).declare("catalogue: {cursor: wal}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION_VARIABLE, database.url)
        failures = [str(table.error) for table in lake.run().failures]
        database.execute("insert into catalogue select * from filled")
        failures += [str(table.error) for table in lake.run().failures]
        columns = ["id", *(name for name in CASES if name not in lacking)]
        rows = source_texts(database, "catalogue", columns)
        found = lake_texts(lake, raw(lake, "shop__catalogue"), columns)
        yield Loaded(lake, lacking, failures, _by_column(columns, rows), _by_column(columns, found))
    drop_with_slots(server, database.name)


def _by_column(columns: list[str], rows: list[Row]) -> dict[str, list[Row]]:
    return {name: [(row[0], row[index]) for row in rows] for index, name in enumerate(columns)}


def test_all_types_are_loaded_by_the_log(loaded: Loaded) -> None:
    assert loaded.failures == []
    rows = loaded.lake.raw("shop__catalogue", "distinct _wal_operation")
    assert rows == [("insert",)]


@pytest.mark.parametrize("name", CASES)
def test_values_of_each_type_are_those_of_the_table(loaded: Loaded, name: str) -> None:
    if name in loaded.lacking:
        pytest.skip(loaded.lacking[name])

    assert loaded.raw[name] == loaded.source[name]
