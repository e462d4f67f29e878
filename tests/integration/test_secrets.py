"""No password, however it is spelled, is in any output or file, whatever fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg2.extensions import parse_dsn

from lakefeed.errors import DeclarationError, SourceUnreachable
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.checks.check import check_connected
from lakefeed.orchestration.project.init import init_project
from lakefeed.orchestration.project.sync import sync
from lakefeed.source.connections.connection import connection_from_url
from lakefeed.source.connections.sessions import connect
from tests.conftest import CONNECTION_VARIABLE, Database, Lake
from tests.integration.gate import gate
from tests.integration.secret import HEAD, ODDEST, TAIL, assert_unseen

# Enough for a second session to help with the ranges of a table.
ROWS = (
    "create table t (id int primary key, filler text, at timestamptz default now())",
    "insert into t select i, repeat(md5(i::text), 25) from generate_series(1, 60_000) as i",
    "analyze t",
)


def through(port: int, database: Database) -> str:
    """The URL of a database behind a gate."""
    given = parse_dsn(database.url)
    secret = quote(str(given["password"]), safe="")
    return f"postgresql://{given['user']}:{secret}@127.0.0.1:{port}/{given['dbname']}"


@pytest.mark.parametrize("backend", ["duckdb", "psycopg2"])
def test_a_load_shows_no_password_whichever_of_its_connections_fails(
    secured: Database,
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    backend: str,
) -> None:
    secured.execute(*ROWS)
    lake.declare(f"t: {{cursor: at, backend: {backend}, max_query_time: 1s, parallel: 2}}")
    told: list[str] = []
    for lets_in in range(20):
        with gate(secured, lets_in=lets_in) as port:
            monkeypatch.setenv(CONNECTION_VARIABLE, through(port, secured))
            report = lake.load()
        told.append(str(report.as_json()))
        if not report.failures:
            break
        assert str(report.failures[0].error).startswith("can't connect to `shop`: ")

    # At least the sessions of the snapshot and of the probe or the load; a helper's isn't required.
    assert 2 <= lets_in < 19
    assert_unseen(lake.root, *told, *capfd.readouterr())
    assert len(lake.raw("shop__t", "id")) == 60_000


# The session that reads the row.
ENDS_ITSELF = "pg_terminate_backend(pg_backend_pid()) and id > 0"


def test_the_dlt_command_shows_no_password_of_a_failed_load(
    secured: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    secured.execute(*ROWS)
    lake.declare(f't: {{cursor: at, where: "{ENDS_ITSELF}"}}')
    with gate(secured, lets_in=9) as port:
        monkeypatch.setenv(CONNECTION_VARIABLE, through(port, secured))
        assert lake.load().failures

    traced = subprocess.run(
        [Path(sys.executable).with_name("dlt"), "pipeline", "shop__t", "trace"],
        cwd=lake.root, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "terminating connection" in traced.stdout
    assert_unseen(lake.root, traced.stdout, traced.stderr)


def test_a_special_character_in_a_password_is_accepted_or_explained_and_never_shown(
    guarded: Database,
) -> None:
    """As it is in a URL: libpq would look for a host or a port in what comes after some of them."""
    host = quote(str(parse_dsn(guarded.url)["host"]), safe="")
    for odd in (*"'\"\\@/:#?%&=+ $`{}[]()<>|;,~^!*é", "@/", "/@", "?@", "@1@", "/1/"):
        for place in (f"{host}/{guarded.name}", "127.0.0.1:1/shop", "nowhere.invalid/shop"):
            told = told_of_failing(f"postgresql://{guarded.name}:{HEAD}{odd}{TAIL}@{place}")

            assert HEAD not in told
            assert TAIL not in told
            assert f"user {guarded.name}" in told or "@ as %40, / as %2F" in told


def told_of_failing(url: str) -> str:
    with (
        pytest.raises((DeclarationError, SourceUnreachable)) as failed,
        connect(connection_from_url("shop", url), "test"),
    ):
        pass
    return str(failed.value)


def test_every_command_that_connects_fails_without_showing_a_password(
    guarded: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.declare("t: {mode: full_refresh}")
    wrong = guarded.url.replace("right", quote(ODDEST, safe=""))
    monkeypatch.setenv(CONNECTION_VARIABLE, wrong)
    told = [
        str(lake.run().as_json()),
        str(check_connected(lake.project).as_json()),
        str(audit(lake.project, ())),
    ]
    for work in (
        lambda: sync(lake.project),
        lambda: init_project(lake.root / "another", wrong, "acme", ("public",)),
    ):
        with pytest.raises(SourceUnreachable, match="password authentication failed") as failed:
            work()
        told.append(str(failed.value))

    assert all("password authentication failed" in one for one in told)
    assert_unseen(lake.root, *told)


def test_a_password_that_is_an_ordinary_word_damages_no_message(
    guarded: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = guarded.name.replace("g", "r", 1)
    guarded.execute(
        "create table t (id int primary key)", f"create role {limited} login password 't'"
    )
    url = guarded.url.replace(f"//{guarded.name}:right", f"//{limited}:t")
    monkeypatch.setenv(CONNECTION_VARIABLE, url)

    report = lake.declare("t: {mode: full_refresh}").load()
    guarded.execute(f"drop role {limited}")

    assert str(report.failures[0].error) == (
        "sources.yaml:6: shop.t: permission denied for table t\n"
        "  grant select on public.t to the role in the connection URL"
    )


@pytest.mark.parametrize("arguments", [["run"], ["check"], ["explain", "--project", "."]])
def test_a_url_as_a_misplaced_argument_is_not_shown(lake: Lake, arguments: list[str]) -> None:
    lake.declare("t: {mode: full_refresh}")

    ended = lake.command(*arguments, f"postgresql://u:{HEAD}@h/db", f"postgresql://u:{TAIL}@h/db")

    assert ended.returncode == 2
    assert_unseen(lake.root, ended.stdout, ended.stderr)


def test_a_password_can_be_a_field_of_a_dlt_secret(secured: Database, lake: Lake) -> None:
    secured.execute(
        "create table t (id int primary key)", "insert into t select generate_series(1, 3)"
    )
    lake.declare("t: {mode: full_refresh}")
    declared = lake.root / "sources.yaml"
    declared.write_text(declared.read_text().replace(f"${{{CONNECTION_VARIABLE}}}", "null"))
    given = parse_dsn(secured.url)
    (lake.root / ".dlt" / "secrets.toml").write_text(
        "[sources.shop.credentials]\n"
        f"host = '{given['host']}'\ndatabase = '{given['dbname']}'\n"
        f"username = '{given['user']}'\npassword = '''{ODDEST}'''\n"
    )

    report = lake.load()

    assert [str(table.error) for table in report.failures] == []
    assert lake.raw("shop__t", "id") == [(1,), (2,), (3,)]
