"""A failed connection is reported by its kind, without any of the original message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefeed.source.connections.connection import Connection, connection_from_url

CONNECTION = connection_from_url("shop", "postgresql://loader:orders@db.example.com:5433/shop")
AT = 'connection to server at "db.example.com" (10.0.0.1), port 5433 failed: '


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ("Connection refused\n\tIs the server running on that host?", "connection refused"),
        ("timeout expired", "timed out"),
        ("Connection timed out", "timed out"),
        (
            'could not translate host name "x" to address: Name or service not known',
            "can't be resolved",
        ),
        ("No route to host", "host is unreachable"),
        ('FATAL:  password authentication failed for user "u"', "password authentication failed"),
        ("fe_sendauth: no password supplied", "requires a password"),
        ('FATAL:  Peer authentication failed for user "u"', "authentication failed"),
        ('FATAL:  database "x" does not exist', "the database doesn't exist"),
        ('FATAL:  role "x" does not exist', "the role doesn't exist"),
        ('FATAL:  role "x" is not permitted to log in', "isn't permitted to log in"),
        ('FATAL:  permission denied for database "x"', "isn't permitted to connect"),
        ('FATAL:  too many connections for role "x"', "the role has reached"),
        ('FATAL:  too many connections for database "x"', "the database has reached"),
        ("FATAL:  sorry, too many clients already", "the server has reached"),
        (
            "FATAL:  remaining connection slots are reserved for superusers",
            "the server has reached",
        ),
        ("FATAL:  the database system is starting up", "starting up"),
        ("FATAL:  the database system is in recovery mode", "starting up"),
        ("FATAL:  the database system is shutting down", "shutting down"),
        ('FATAL:  database "x" is not currently accepting connections', "accepts no connections"),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "u", database "d", SSL off',
            "no unencrypted connections",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "u", database "d", '
            "no encryption",
            "no unencrypted connections",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "u", database "d", '
            "SSL encryption",
            "no connections from this user",
        ),
        ("server does not support SSL, but SSL was required", "TLS"),
        ("SSL error: certificate verify failed", "TLS"),
        ('root certificate file "/x/root.crt" does not exist', "TLS"),
        ("server closed the connection unexpectedly\n\tThis probably means", "closed before"),
        ("SSL SYSCALL error: EOF detected", "closed before"),
        ("FATAL:  unsupported startup parameter: options", "refuses a connection parameter"),
        ("une erreur que personne ne connaît", "refused the connection"),
    ],
)
def test_a_failure_is_recognised_by_its_message(message: str, what: str) -> None:
    """Both as psycopg2 reports it and as DuckDB does, which prepends its connection string."""
    scanned = f'IO Error: Unable to connect to Postgres at "user=timeout password=\'a": \'": {AT}'
    for text in (f"{AT}{message}", f"{scanned}{message}"):
        failure = CONNECTION.failure(text)

        assert what in failure.what
        assert failure.what.startswith("can't connect to `shop`: ")
        assert failure.what.endswith("(db.example.com:5433, database shop, user loader)")
        assert failure.do


@given(st.text(), st.sampled_from(["", "refused", "timeout expired", "SSL error"]))
def test_nothing_of_the_original_message_is_shown(noise: str, sign: str) -> None:
    secret = f"canary{noise}yranac"
    dsn = connection_from_url("shop", "postgresql://loader:x@h/shop")

    message = str(dsn.failure(f'Unable to connect to Postgres at "{secret}": {secret} {sign}'))

    assert "canary" not in message
    assert "yranac" not in message


@pytest.mark.parametrize("password", ["orders", "1", "e", "shop"])
def test_a_password_that_is_an_ordinary_word_leaves_the_message_intact(password: str) -> None:
    dsn = connection_from_url("shop", f"postgresql://loader:{password}@127.0.0.1/shop")

    assert str(dsn.failure("Connection refused")).splitlines()[0] == (
        "can't connect to `shop`: connection refused (127.0.0.1:5432, database shop, user loader)"
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://h", "h:5432"),
        ("postgresql://u@/d?host=/tmp&port=5", "socket /tmp, port 5, database d, user u"),
        ("service=shop", "service shop"),
        ("postgresql://u:p@a:1,b:2/d", "a,b:1,2, database d, user u"),
        ("hostaddr=10.0.0.1 passfile=/x sslpassword=canary", "10.0.0.1:5432"),
    ],
)
def test_the_address_names_host_port_database_and_user(
    url: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)

    assert connection_from_url("shop", url).address == address


def test_the_repr_of_a_connection_shows_no_secret() -> None:
    assert repr(CONNECTION) == "Connection(source='shop')"
    assert repr(Connection("", "password=canary")) == "Connection(source='')"
