"""The keepalive parameters of a line, and the timeout that identifies its socket."""

from __future__ import annotations

import pytest
from psycopg2.extensions import parse_dsn

from lakefeed.source.connections.connection import connection_from_url
from lakefeed.source.connections.keepalive import Line

URL = "postgresql://u@h/d"


def keywords(url: str) -> tuple[Line, dict[str, str]]:
    line = Line(connection_from_url("shop", url), "lakefeed test")
    line.close()
    return line, parse_dsn(line.dsn)


def test_lines_have_keepalives_and_unique_timeouts() -> None:
    lines = [keywords(URL)[1] for _ in range(3)]

    assert {line["keepalives_idle"] for line in lines} == {"30"}
    assert len({line["tcp_user_timeout"] for line in lines}) == 3
    assert all(60_000 <= int(line["tcp_user_timeout"]) < 70_000 for line in lines)


@pytest.mark.parametrize(
    ("declared", "seconds"), [("tcp_user_timeout=5000", 5), ("tcp_user_timeout=0", 86_400)]
)
def test_parameters_in_the_url_take_precedence(declared: str, seconds: int) -> None:
    line, told = keywords(f"{URL}?keepalives_idle=7&{declared}")

    assert told["keepalives_idle"] == "7"
    assert told["keepalives_interval"] == "10"
    assert int(told["tcp_user_timeout"]) == seconds * 1000 + line.number


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (URL, ""),
        ("postgresql:///d?host=/run/pg&port=6000", "/run/pg/.s.PGSQL.6000"),
        ("postgresql://u@127.0.0.1/d", ""),
    ],
)
def test_a_unix_socket_is_recognised_by_its_path(url: str, path: str) -> None:
    assert keywords(url)[0].unix_socket == path
