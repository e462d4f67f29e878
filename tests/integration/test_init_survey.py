"""`lakefeed init` declares all other tables if one can't be read or counted."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from psycopg2.extensions import parse_dsn

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.project.init import init_project
from tests.conftest import Database, Lake


@pytest.fixture
def reader(database: Database) -> Iterator[str]:
    """A role that may read what it is granted, and nothing else."""
    role = f"r{uuid.uuid4().hex[:12]}"
    database.execute(
        f"create role {role} login",
        "create table fine (id int primary key, note text)",
        "insert into fine values (1, 'a')",
        f"grant select on fine to {role}",
    )
    yield role
    database.execute(f"drop owned by {role}", f"drop role {role}")


def as_role(database: Database, role: str) -> str:
    return database.url.replace("postgres:@", f"{role}:@")


def declared(root: Path) -> dict[str, object]:
    return dict(yaml.safe_load((root / "sources.yaml").read_text())["sources"]["acme"]["tables"])


def test_a_table_with_a_row_policy_is_left_out_with_the_reason(
    database: Database, reader: str, tmp_path: Path
) -> None:
    database.execute(
        "create table notes (id int primary key)",
        "insert into notes values (1)",
        "alter table notes enable row level security",
        "create policy own on notes using (id = 1)",
        f"grant select on notes to {reader}",
    )

    report = init_project(tmp_path, as_role(database, reader), "acme", "public")

    reason = "row-level security would hide rows from this role, which needs bypassrls"
    assert report.left_out == (("public.notes", reason),)
    text = (tmp_path / "sources.yaml").read_text()
    assert f"      # notes: left out, {reason} (rows unknown)\n" in text
    assert list(declared(tmp_path)) == ["fine"]


def test_a_table_with_an_unreadable_key_is_left_out_but_other_unreadable_columns_are_excluded(
    database: Database, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(
        'create table hidden_key ("Id" int primary key, note text)',
        f"grant select (note) on hidden_key to {reader}",
        "create table hidden_note (id int primary key, note text)",
        f"grant select (id) on hidden_note to {reader}",
    )

    report = init_project(tmp_path, as_role(database, reader), "acme", "public")

    assert report.left_out == (("public.hidden_key", "this role may not read Id, of its key"),)
    assert declared(tmp_path)["hidden_note"] == {
        "mode": "full_refresh",
        "columns": {"exclude": ["note"]},
    }
    assert Lake(tmp_path).load().failures == []


def test_a_foreign_table_that_cannot_be_read_is_left_out_with_the_reason(
    database: Database, reader: str, tmp_path: Path
) -> None:
    database.execute(
        "create foreign data wrapper nothing",
        "create server gone foreign data wrapper nothing",
        "create foreign table far (id int) server gone",
        f"grant select on far to {reader}",
    )

    report = init_project(tmp_path, as_role(database, reader), "acme", "public")

    assert report.left_out == (("public.far", 'foreign-data wrapper "nothing" has no handler'),)
    assert list(declared(tmp_path)) == ["fine"]


def test_a_locked_table_is_declared_without_waiting_for_its_row_count(
    database: Database, tmp_path: Path
) -> None:
    database.execute("create table fine (id int primary key)", "create table held (id int)")
    holder = database.connect()
    with holder.cursor() as cursor:
        cursor.execute("lock table held in access exclusive mode")
        try:
            init_project(tmp_path, database.url, "acme", "public")
        finally:
            holder.close()

    assert list(declared(tmp_path)) == ["fine", "held"]
    assert "# rows unknown; no primary key\n" in (tmp_path / "sources.yaml").read_text()


def test_a_table_that_is_being_dropped_is_left_out(database: Database, tmp_path: Path) -> None:
    """Another session has dropped it, but not committed: its drop is waited for, a second long."""
    database.execute("create table fine (id int primary key)", "create table going (id int)")
    other = database.connect()
    with other.cursor() as cursor:
        cursor.execute("drop table going")
        try:
            report = init_project(tmp_path, database.url, "acme", "public")
        finally:
            other.close()

    assert report.tables == 2


def test_a_schema_without_the_usage_privilege_is_reported_with_the_grant(
    database: Database, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(
        'create schema "Closed"',
        'create table "Closed".t (id int primary key)',
        f'grant select on "Closed".t to {reader}',
    )
    url = as_role(database, reader)

    with pytest.raises(DeclarationError) as refused:
        init_project(tmp_path, url, "acme", "Closed")
    monkeypatch.setenv("LAKEFEED_TEST_URL", url)
    lake = Lake(tmp_path).declare("Closed.t: {mode: full_refresh}")
    (failed,) = lake.load().failures

    assert 'grant usage on schema "Closed" and select on its tables' in str(refused.value)
    assert str(failed.error).endswith(
        'permission denied for schema Closed\n  grant usage on schema "Closed" to the role in the '
        "connection URL"
    )
    assert parse_dsn(url)["user"] == reader
