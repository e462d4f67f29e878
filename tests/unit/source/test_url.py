"""Connections as they are written: taken as they were meant, or answered with how to write them."""

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
# Around whatever else a password holds: neither half may ever be seen.
HEAD, TAIL = "canary", "yranac"
passwords = st.text(st.sampled_from(SPECIAL + "a1"), max_size=8).map(f"{HEAD}{{}}{TAIL}".format)


def refused(url: str) -> str:
    with pytest.raises(DeclarationError) as error:
        connection_from_url("shop", url, "sources.yaml:4")
    return str(error.value)


@given(passwords)
def test_a_password_that_is_percent_encoded_is_taken_whole(password: str) -> None:
    url = f"postgresql://u:{quote(password, safe='')}@h:5432/db"

    given = parse_dsn(connection_from_url("shop", url).dsn)

    assert given == {"user": "u", "password": password, "host": "h", "port": "5432", "dbname": "db"}


@given(passwords)
def test_a_password_in_a_keyword_string_is_taken_whole(password: str) -> None:
    dsn = make_dsn(host="h", user="u", password=password)

    assert parse_dsn(connection_from_url("shop", dsn).dsn)["password"] == password


@given(passwords)
@example("canary@yranac")
@example("canary/yranac")
@example("canary12/yranac")
@example("canary?a/b@yranac")
@example("canary@h:yranac")
@example("canary@1/yranac")
def test_one_that_is_not_is_taken_as_it_was_meant_or_refused_and_not_shown(password: str) -> None:
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
def test_a_character_that_ends_a_password_early_is_answered_with_how_to_write_it(
    character: str,
) -> None:
    told = refused(f"postgresql://u:{HEAD}{character}{TAIL}@h/db")

    assert told.startswith("sources.yaml:4: the connection of `shop` seems to have a character")
    assert "@ as %40, / as %2F" in told


@pytest.mark.parametrize("user", ["me@server", "me/you"])
def test_so_is_one_in_the_user(user: str) -> None:
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
def test_what_libpq_understands_is_left_as_it_is(url: str) -> None:
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
        # As a shell or a comment in .env may have cut it.
        f"postgresql://u:{HEAD}",
        f"postgresql://u:{HEAD}/",
    ],
)
def test_what_is_no_postgresql_url_is_refused_and_not_shown(url: str) -> None:
    told = refused(url)

    assert "postgresql://user:password@host:5432/database" in told
    assert HEAD not in told
    assert TAIL not in told


@given(passwords)
def test_the_fields_of_dlts_secrets_are_taken_as_a_url_is(password: str) -> None:
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


def test_fields_that_libpq_does_not_know_are_refused_and_not_shown() -> None:
    with pytest.raises(DeclarationError, match="has fields that PostgreSQL doesn't know") as error:
        dsn_from_fields("the connection of `shop`", {"host": "h", "passwort": HEAD})

    assert HEAD not in str(error.value)
