"""A connection that fails is told by its kind, without a word of who reported it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefeed.source.connections.connection import Connection, connection_from_url

CONNECTION = connection_from_url("shop", "postgresql://loader:orders@db.example.com:5433/shop")
AT = 'connection to server at "db.example.com" (10.0.0.1), port 5433 failed: '


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("Connection refused\n\tIs the server running on that host?", "connection refused"),
        ("timeout expired", "no answer in time"),
        ("Connection timed out", "no answer in time"),
        ('could not translate host name "x" to address: Name or service not known', "isn't known"),
        ("No route to host", "no way to the host"),
        ('FATAL:  password authentication failed for user "u"', "password authentication failed"),
        ("fe_sendauth: no password supplied", "asks for a password"),
        ('FATAL:  Peer authentication failed for user "u"', "authentication failed"),
        ('FATAL:  database "x" does not exist', "the database doesn't exist"),
        ('FATAL:  role "x" does not exist', "the role doesn't exist"),
        ('FATAL:  role "x" is not permitted to log in', "may not log in"),
        ('FATAL:  permission denied for database "x"', "may not connect to the database"),
        ('FATAL:  too many connections for role "x"', "the role has as many connections"),
        ('FATAL:  too many connections for database "x"', "the database has as many"),
        ("FATAL:  sorry, too many clients already", "the server has as many connections"),
        (
            "FATAL:  remaining connection slots are reserved for superusers",
            "the server has as many connections",
        ),
        ("FATAL:  the database system is starting up", "starting up"),
        ("FATAL:  the database system is in recovery mode", "starting up"),
        ("FATAL:  the database system is shutting down", "shutting down"),
        ('FATAL:  database "x" is not currently accepting connections', "accepts no connections"),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "u", database "d", SSL off',
            "no unencrypted connection",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "u", database "d", '
            "no encryption",
            "no unencrypted connection",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "u", database "d", '
            "SSL encryption",
            "no connection of this user",
        ),
        ("server does not support SSL, but SSL was required", "TLS"),
        ("SSL error: certificate verify failed", "TLS"),
        ('root certificate file "/x/root.crt" does not exist', "TLS"),
        ("server closed the connection unexpectedly\n\tThis probably means", "closed before"),
        ("SSL SYSCALL error: EOF detected", "closed before"),
        ("FATAL:  unsupported startup parameter: options", "refuses a setting"),
        ("une erreur que personne ne connaît", "refused it"),
    ],
)
def test_the_kind_is_known_from_what_was_said(said: str, what: str) -> None:
    """As psycopg2 says it, and as DuckDB does, which shows its connection string before."""
    scanned = f'IO Error: Unable to connect to Postgres at "user=timeout password=\'a": \'": {AT}'
    for text in (f"{AT}{said}", f"{scanned}{said}"):
        failure = CONNECTION.failure(text)

        assert what in failure.what
        assert failure.what.startswith("can't connect to `shop`: ")
        assert failure.what.endswith("(db.example.com:5433, database shop, user loader)")
        assert failure.do


@given(st.text(), st.sampled_from(["", "refused", "timeout expired", "SSL error"]))
def test_nothing_of_what_was_said_is_shown(said: str, sign: str) -> None:
    secret = f"canary{said}yranac"
    dsn = connection_from_url("shop", "postgresql://loader:x@h/shop")

    told = str(dsn.failure(f'Unable to connect to Postgres at "{secret}": {secret} {sign}'))

    assert "canary" not in told
    assert "yranac" not in told


@pytest.mark.parametrize("password", ["orders", "1", "e", "shop"])
def test_no_word_is_damaged_by_a_password_that_is_like_it(password: str) -> None:
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
def test_it_is_said_where_the_connection_leads(
    url: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)

    assert connection_from_url("shop", url).address == address


def test_the_repr_of_a_connection_shows_no_secret() -> None:
    assert repr(CONNECTION) == "Connection(source='shop')"
    assert repr(Connection("", "password=canary")) == "Connection(source='')"
