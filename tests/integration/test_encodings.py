"""Servers with other encodings, and databases with their own settings: values don't change."""

from __future__ import annotations

import uuid

import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure
from tests.integration.spelling import lake_texts, source_texts, staging

# Each changes what `::text` shows, or the bytes that carry it.
SETTINGS = (
    "datestyle = 'SQL, DMY'",
    "intervalstyle = 'sql_standard'",
    "extra_float_digits = -10",
    "bytea_output = 'escape'",
    "timezone = 'Asia/Kathmandu'",
    "client_encoding = 'LATIN1'",
    "standard_conforming_strings = off",
    "quote_all_identifiers = on",
)
STORED = {
    "LATIN1": (r"\xe9", "é"),
    "WIN1252": (r"\x80", "€"),
    "EUC_JP": (r"\xc6\xfc", "日"),
    "SQL_ASCII": (r"\xc3\xa9", "é"),
}
COLUMNS = ["id", "größe", "spans", "moments", "shares", "blobs"]


def encoded(server_url: str, monkeypatch: pytest.MonkeyPatch, encoding: str) -> Database:
    """A database of this test's own in another encoding."""
    name = f"e{uuid.uuid4().hex[:12]}"
    Database(server_url).execute(
        f"create database {name} template template0 encoding '{encoding}'"
        " lc_collate 'C' lc_ctype 'C'"
    )
    url = server_url.replace("/postgres?", f"/{name}?")
    monkeypatch.setenv(CONNECTION_VARIABLE, url)
    return Database(url)


@pytest.mark.parametrize("encoding", STORED)
def test_text_of_a_server_with_another_encoding_arrives_as_utf_8(
    server_url: str, lake: Lake, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    stored, text = STORED[encoding]
    encoded(server_url, monkeypatch, encoding).execute(
        "create table t (id int primary key, note text)", f"insert into t values (1, E'{stored}')"
    )

    lake.declare("t: {mode: full_refresh}").load()

    assert lake.raw("shop__t", "note") == [(text,)]


def test_invalid_text_fails_its_table_before_anything_is_written(
    server_url: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQL_ASCII takes any bytes; a Parquet file with them could never be read again."""
    encoded(server_url, monkeypatch, "SQL_ASCII").execute(
        "create table t (id int primary key, note text)", "insert into t values (1, E'\\xe9\\xff')"
    )

    report = lake.declare("t: {mode: full_refresh}").load()

    assert 'shop.t: invalid byte sequence for encoding "UTF8": 0xe9 0xff' in failure(report)
    assert lake.files("shop__t") == []


def test_settings_of_the_database_change_no_value(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, größe text, spans interval[], moments tstzrange,"
        " shares float8[], blobs bytea[], day date not null default current_date)",
        "insert into t values (1, 'é', '{1 mon -2 days 03:04:05.6}', '[2026-03-04 05:06:07.8Z,)',"
        " '{0.30000000000000004}', array['\\x5cff'::bytea])",
    )
    expected = source_texts(database, "t", COLUMNS)
    name = database.rows("select current_database()")[0][0]
    database.execute(*(f"alter database {name} set {setting}" for setting in SETTINGS))

    report = lake.declare("t: {cursor: day}").run()

    assert report.exit_code == 0, report.failures
    assert lake_texts(lake, staging("shop__t"), COLUMNS) == expected
