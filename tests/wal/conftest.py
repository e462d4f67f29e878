"""A source whose log is read: a publication of all of its tables, and a slot."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import Database, Lake

NAME = "lakefeed_shop"
Declare = Callable[..., Lake]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs each test on PostgreSQL 16 as well, at night, unless it says on which."""
    said = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "logical_database" in metafunc.fixturenames and "logical_database" not in said:
        versions = [18, pytest.param(16, marks=pytest.mark.at_night)]
        metafunc.parametrize("logical_database", versions, indirect=True)


@pytest.fixture
def declare(logical_database: Database, lake: Lake) -> Declare:
    """A function that declares tables, and has the source keep its log for them."""

    def declared(tables: str, *published: str, head: str = "") -> Lake:
        publish(logical_database, *published)
        return lake.declare(tables, head=head)

    return declared


def publish(database: Database, *tables: str) -> None:
    """Has the source keep its log for these tables."""
    database.execute(
        f"create publication {NAME} for table {', '.join(tables)} "
        "with (publish_via_partition_root = true)",
        f"select pg_create_logical_replication_slot('{NAME}', 'pgoutput')",
    )
