"""`lakefeed init` declares the other tables even if one can't be read or counted."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg2.extensions import cursor as PgCursor
from psycopg2.extensions import parse_dsn

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.project.init import init_project
from lakefeed.source.connections.watched_session import WatchedSession
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

    report = init_project(tmp_path, as_role(database, reader), "acme", ("public",))

    reason = "row-level security hides rows from this role; grant it bypassrls"
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

    report = init_project(tmp_path, as_role(database, reader), "acme", ("public",))

    assert report.left_out == (
        ("public.hidden_key", "this role may not read Id in its primary key"),
    )
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

    report = init_project(tmp_path, as_role(database, reader), "acme", ("public",))

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
            init_project(tmp_path, database.url, "acme", ("public",))
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
            report = init_project(tmp_path, database.url, "acme", ("public",))
        finally:
            other.close()

    assert report.tables == 2


def test_a_locked_table_costs_only_its_own_row_count(database: Database, tmp_path: Path) -> None:
    database.execute(
        *(f"create table t{i} (id int primary key)" for i in range(20)),
        *(f"insert into t{i} values (1), (2)" for i in range(20)),
    )
    holder = database.connect()
    with holder.cursor() as cursor:
        cursor.execute("lock table t7 in access exclusive mode")
        try:
            init_project(tmp_path, database.url, "acme", ("public",))
        finally:
            holder.close()

    assert list(declared(tmp_path)) == sorted(f"t{i}" for i in range(20))
    text = (tmp_path / "sources.yaml").read_text()
    assert (text.count("# about 2 rows"), text.count("# rows unknown")) == (19, 1)


def test_a_table_that_cannot_be_counted_costs_only_itself(
    database: Database, tmp_path: Path
) -> None:
    database.execute(
        "create foreign data wrapper nothing",
        "create server gone foreign data wrapper nothing",
        "create table odd (id int) partition by list (id)",
        "create foreign table odd_1 partition of odd for values in (1) server gone",
        *(f"create table t{i} (id int primary key)" for i in range(20)),
        *(f"insert into t{i} values (1), (2)" for i in range(20)),
    )

    report = init_project(tmp_path, database.url, "acme", ("public",))

    reason = 'foreign-data wrapper "nothing" has no handler'
    assert ("public.odd", reason) in report.left_out
    assert (tmp_path / "sources.yaml").read_text().count("# about 2 rows") == 20


def test_as_many_statements_for_thirty_tables_as_for_three(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[object] = []

    class Counted(PgCursor):
        def execute(self, *arguments: Any) -> None:
            statements.append(arguments[0])
            super().execute(*arguments)

    def counting(session: WatchedSession, *arguments: Any, **options: Any) -> Any:
        return super(WatchedSession, session).cursor(
            *arguments, **{"cursor_factory": Counted, **options}
        )

    monkeypatch.setattr(WatchedSession, "cursor", counting)
    taken = []
    for tables in (3, 30):
        database.execute(
            *(f"create table if not exists t{i} (id int primary key)" for i in range(tables))
        )
        statements.clear()
        init_project(tmp_path / str(tables), database.url, "acme", ("public",))
        taken.append(len(statements))

    assert taken[0] == taken[1] > 0


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
        init_project(tmp_path, url, "acme", ("Closed",))
    monkeypatch.setenv("LAKEFEED_TEST_URL", url)
    lake = Lake(tmp_path).declare("Closed.t: {mode: full_refresh}")
    (failed,) = lake.load().failures

    assert 'grant usage on schema "Closed" and select on its tables' in str(refused.value)
    assert str(failed.error).endswith(
        'permission denied for schema Closed\n  grant usage on schema "Closed" to the role in the '
        "connection URL"
    )
    assert parse_dsn(url)["user"] == reader
