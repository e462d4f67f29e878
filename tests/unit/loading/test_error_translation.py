"""The error of a failed table: the server's message with a remedy, without the query or secrets."""

from __future__ import annotations

import json

import pytest

from lakefeed.loading.error_translation import explain_failure
from lakefeed.source.connections.connection import connection_from_url
from tests.conftest import Lake

CONNECTION = connection_from_url("shop", "postgresql://loader:hunter2@db/shop")


@pytest.mark.parametrize(
    ("text", "reason", "remedy"),
    [
        (
            'Binder Error: Failed to prepare query "select 1": server closed the connection '
            "unexpectedly\n\tThis probably means the server terminated abnormally",
            "the connection was lost",
            "run again",
        ),
        (
            'IO Error: Failed to execute "select x": ERROR:  permission denied for table orders\n',
            "permission denied for table orders",
            "grant select on public.orders",
        ),
        (
            'IO Error: Failed to execute "select x": ERROR:  permission denied for schema s',
            "permission denied for schema s",
            "grant usage on schema public to the role",
        ),
        (
            "[Errno 28] No space left on device: 'x.parquet'",
            "x.parquet: no space",
            "free some space",
        ),
    ],
)
def test_a_failure_is_reported_with_its_root_cause_and_a_remedy(
    lake: Lake, text: str, reason: str, remedy: str
) -> None:
    table = lake.declare("orders: {mode: full_refresh}").project.tables[0]
    wrapped = RuntimeError("dlt failed")
    wrapped.__cause__ = OSError(text)

    message = str(explain_failure(table, CONNECTION, wrapped))

    assert message.startswith("sources.yaml:6: shop.orders: ")
    assert reason in message
    assert remedy in message
    assert "select" not in message.replace("grant select", "")
    assert "hunter2" not in message


def test_a_failed_connection_is_reported_without_its_connection_string(
    lake: Lake,
) -> None:
    table = lake.declare("orders: {mode: full_refresh}").project.tables[0]
    text = (
        "IO Error: Unable to connect to Postgres at \"user=loader password='hunt\\'er2'\": "
        'connection to server at "db" failed: FATAL:  password authentication failed for "loader"'
    )

    message = str(explain_failure(table, CONNECTION, OSError(text)))

    assert message.startswith(
        "can't connect to `shop`: password authentication failed (db:5432, database shop, user "
    )
    assert "er2" not in message


@pytest.mark.parametrize(
    ("name", "written"), [("orders", "public.orders"), ('My "T"', 'public."My ""T"""')]
)
def test_the_remedy_quotes_the_table_name_for_sql(lake: Lake, name: str, written: str) -> None:
    table = lake.declare(f"{json.dumps(name)}: {{mode: full_refresh}}").project.tables[0]

    message = str(
        explain_failure(table, CONNECTION, OSError("ERROR: permission denied for table x"))
    )

    assert f"grant select on {written} to" in message
