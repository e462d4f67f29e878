"""What a failed table is told: the server's own words, without our query around them."""

from __future__ import annotations

import pytest

from pipelines.loading.failure import explain_failure
from pipelines.source.connection import connection_from_url
from tests.conftest import Lake

CONNECTION = connection_from_url("shop", "postgresql://loader:hunter2@db/shop")


@pytest.mark.parametrize(
    ("said", "reason", "remedy"),
    [
        (
            'Binder Error: Failed to prepare query "select 1": server closed the connection '
            "unexpectedly\n\tThis probably means the server terminated abnormally",
            "server closed the connection unexpectedly",
            "run again",
        ),
        (
            'IO Error: Failed to execute "select x": ERROR:  permission denied for table orders\n',
            "permission denied for table orders",
            "grant select on public.orders",
        ),
        ("FATAL:  password authentication failed for hunter2", "failed for ***", "committed"),
        ("[Errno 28] No space left on device: 'x.parquet'", "No space left", "make room"),
    ],
)
def test_a_failure_is_told_in_the_words_of_who_failed(
    lake: Lake, said: str, reason: str, remedy: str
) -> None:
    table = lake.declare("orders: {mode: full_refresh}").project.tables[0]
    wrapped = RuntimeError("dlt failed")
    wrapped.__cause__ = OSError(said)

    told = str(explain_failure(table, CONNECTION, wrapped))

    assert told.startswith("sources.yaml:6: shop.orders: ")
    assert reason in told
    assert remedy in told
    assert "select" not in told.replace("grant select", "")
    assert "hunter2" not in told
