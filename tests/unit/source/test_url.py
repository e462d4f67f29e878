"""Connection URLs and keyword strings: parsed as intended, or refused with how to write them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg2.extensions import make_dsn, parse_dsn

from lakefeed.errors import DeclarationError
from lakefeed.source.connections.connection import connection_from_url
from lakefeed.source.connections.url import dsn_from_fields

SPECIAL = "'\"\\@/:#?%&=+ $`{}[]()<>|;,~^!*é€\t"
# Enclose each password: neither half may ever be shown.
HEAD, TAIL = "canary", "yranac"
passwords = st.text(st.sampled_from(SPECIAL + "a1"), max_size=8).map(f"{HEAD}{{}}{TAIL}".format)


def refused(url: str) -> str:
    with pytest.raises(DeclarationError) as error:
        connection_from_url("shop", url, "sources.yaml:4")
    return str(error.value)


@given(passwords)
def test_a_percent_encoded_password_is_parsed_completely(password: str) -> None:
    url = f"postgresql://u:{quote(password, safe='')}@h:5432/db"

    given = parse_dsn(connection_from_url("shop", url).dsn)

    assert given == {"user": "u", "password": password, "host": "h", "port": "5432", "dbname": "db"}


@given(passwords)
def test_a_password_in_a_keyword_string_is_parsed_completely(password: str) -> None:
    dsn = make_dsn(host="h", user="u", password=password)

    assert parse_dsn(connection_from_url("shop", dsn).dsn)["password"] == password


@given(passwords)
@example("canary@yranac")
@example("canary/yranac")
@example("canary12/yranac")
@example("canary?a/b@yranac")
@example("canary@h:yranac")
@example("canary@1/yranac")
def test_an_unencoded_password_is_parsed_as_intended_or_refused_without_showing_it(
    password: str,
) -> None:
    url = f"postgresql://u:{password}@h:5432/db"
    try:
        connection = connection_from_url("shop", url, "sources.yaml:4")
    except DeclarationError as error:
        assert HEAD not in str(error)
        assert TAIL not in str(error)
        assert "%40" in str(error)
    else:
        assert HEAD not in connection.address
        assert TAIL not in connection.address
        assert parse_dsn(connection.dsn)["host"] == "h"


@pytest.mark.parametrize("character", ["@", "/", "%", "@/", "/@", "?/", "#/"])
def test_a_character_that_ends_a_password_early_is_refused_with_its_encoding(
    character: str,
) -> None:
    message = refused(f"postgresql://u:{HEAD}{character}{TAIL}@h/db")

    assert message.startswith(
        "sources.yaml:4: the connection of `shop` seems to have a special character"
    )
    assert "@ as %40, / as %2F" in message


@pytest.mark.parametrize("user", ["me@server", "me/you"])
def test_an_unencoded_character_in_the_user_is_refused(user: str) -> None:
    assert "percent-encoded" in refused(f"postgresql://{user}:{HEAD}@h/db")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h/db",
        "postgres+psycopg2://u:p@h:5432/db?sslmode=require",
        "postgresql://u:p:#?x@h/db",
        "postgresql://u@[::1]:5432/db",
        "postgresql://u:p@a:1,b:2/db",
        "postgresql://h:5432/db?application_name=me@home",
        "postgresql:///db?host=/tmp&user=me@home",
        "postgresql://u:p@h?application_name=me@home",
        "postgresql://",
        "host=h user=u password='a b'",
        "service=shop",
    ],
)
def test_connections_that_libpq_understands_are_left_unchanged(url: str) -> None:
    assert connection_from_url("shop", url).dsn.partition("://")[2] == url.partition("://")[2]


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{HEAD}@h/db",
        f"host=h password={HEAD} {TAIL}",
        f"host=h password='{HEAD}",
        f"password='{HEAD}'{TAIL}=1",
        f"{HEAD}",
        f"jdbc:postgresql://u:{HEAD}@h/db",
        # Cut off by a shell or by a comment in .env.
        f"postgresql://u:{HEAD}",
        f"postgresql://u:{HEAD}/",
    ],
)
def test_anything_but_a_postgresql_connection_is_refused_without_showing_it(url: str) -> None:
    message = refused(url)

    assert "postgresql://user:password@host:5432/database" in message
    assert HEAD not in message
    assert TAIL not in message


@given(passwords)
def test_the_fields_of_a_dlt_secret_become_a_dsn(password: str) -> None:
    fields = {
        "drivername": "postgresql",
        "host": "h",
        "port": 5432,
        "database": "db",
        "username": "u",
        "password": password,
        "query": {"sslmode": "require"},
    }

    given = parse_dsn(dsn_from_fields("the connection of `shop`", fields))

    assert given == {
        "host": "h",
        "port": "5432",
        "dbname": "db",
        "user": "u",
        "password": password,
        "sslmode": "require",
    }


def test_fields_that_libpq_does_not_know_are_refused_without_showing_them() -> None:
    with pytest.raises(DeclarationError, match="has unknown fields") as error:
        dsn_from_fields("the connection of `shop`", {"host": "h", "passwort": HEAD})

    assert HEAD not in str(error.value)
