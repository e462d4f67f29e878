"""The command line and the tools that people know: `lakefeed`, `dlt pipeline`, `dbt`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import click
import pytest

from lakefeed.cli.main import main
from lakefeed.source.connections.connection import connection_from_url
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, only
from tests.integration.secret import assert_unseen

T = (
    "create table t (id int primary key, at timestamptz default now())",
    "insert into t values (1), (2)",
)


def test_help_answers_at_once() -> None:
    command = [sys.executable, "-m", "lakefeed.cli.main", "--help"]
    bare = [sys.executable, "-c", "import click"]

    def seconds(argv: list[str]) -> float:
        started = time.monotonic()
        subprocess.run(argv, check=True, capture_output=True)
        return time.monotonic() - started

    beyond_click = min(seconds(command) for _ in range(3)) - min(seconds(bare) for _ in range(3))

    assert beyond_click < 0.15


def test_every_command_and_option_has_a_help_text() -> None:
    for name, command in main.commands.items():
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} --{option.name}"


def test_explain_names_the_line_that_each_setting_comes_from(
    database: Database, lake: Lake
) -> None:
    lake.declare("t: {cursor: at, tags: [core]}", head="    defaults: {lookback: 30m}\n")

    told = lake.command("explain", "shop.t").stdout.splitlines()

    words = [line.split() for line in told]
    assert told[0] == "shop.t (sources.yaml:7)"
    assert ["lookback", "30m", "sources.yaml:5"] in words
    assert ["tags", "[core]", "sources.yaml:7"] in words
    assert ["deletes", "ignore", "default"] in words


def test_status_shows_checkpoint_rows_and_files_without_a_connection(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    loaded = only(lake.declare("t: {cursor: at}").run())

    ended = lake.command("status", "--json", LAKEFEED_TEST_URL="")

    (told,) = json.loads(ended.stdout)
    assert ended.returncode == 0
    assert told["checkpoint"] == loaded.checkpoint
    assert (told["loads"], told["files"], told["raw_rows"], told["staged_rows"]) == (1, 1, 2, 2)


def test_status_fails_when_a_table_is_too_old(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at, freshness: {error_after: 0s}}").load()

    ended = lake.command("status")

    assert ended.returncode == 1
    assert "too late" in ended.stdout


def test_check_with_connect_warns_of_a_cursor_without_an_index(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()

    ended = lake.command("check", "--connect")

    assert ended.returncode == 0, ended
    assert "shop.t (sources.yaml:6): the cursor `at` has no index" in ended.stdout
    assert ended.stdout.endswith("1 table checked: 3 warnings\n")


def test_check_with_connect_warns_of_a_role_that_may_do_more_than_read(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("create table t (id int primary key)")
    lake.declare("t: {mode: full_refresh}").load()
    role = f"writer_{uuid.uuid4().hex[:8]}"
    database.execute(f"create role {role} login", f"grant select, insert on t to {role}")

    as_superuser = lake.command("check", "--connect").stdout
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url.replace("postgres:@", f"{role}:@"))
    as_writer = lake.command("check", "--connect").stdout
    database.execute(f"revoke insert on t from {role}")
    as_reader = lake.command("check", "--connect").stdout

    assert "shop: this role is a superuser; use a read-only role" in as_superuser
    assert "shop: this role can write to public.t; use a read-only role" in as_writer
    assert "read-only role" not in as_reader


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("postgresql://u@db.example.com/x", True),
        ("postgresql://u@db.example.com/x?sslmode=prefer", True),
        ("postgresql://u@db.example.com/x?sslmode=verify-full", False),
        ("postgresql://u@localhost/x", False),
        ("postgresql://u@/x?host=/tmp", False),
        ("postgresql://u@localhost,db.example.com/x", True),
    ],
)
def test_a_connection_across_a_network_should_be_encrypted(url: str, warned: bool) -> None:
    assert connection_from_url("shop", url).may_go_unencrypted == warned


def test_schema_prints_json(lake: Lake) -> None:
    assert json.loads(lake.command("schema").stdout)["properties"]["sources"]


def test_the_project_can_be_elsewhere(database: Database, lake: Lake, tmp_path: Path) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}")

    ended = Lake(tmp_path.parent).command("run", "--project", str(lake.root))

    assert ended.returncode == 0, ended
    assert lake.query("select count(*) from staging.stg_shop__t") == [(2,)]


COMMANDS = (
    ["run"],
    ["run", "--json"],
    ["run", "--full-refresh"],
    ["load", "--select", "shop.t"],
    ["build"],
    ["check", "--connect"],
    ["sync"],
    ["status", "--json"],
    ["explain", "shop.t"],
    ["audit", "--repair"],
)
LAB = (["run"], ["lab", "--steps", "1"])


@pytest.mark.parametrize("commands", [COMMANDS, pytest.param(LAB, marks=pytest.mark.faults)])
def test_the_password_is_nowhere_in_the_output_and_in_no_file(
    secured: Database, lake: Lake, commands: tuple[list[str], ...]
) -> None:
    secured.execute(*T)
    lake.declare("t: {cursor: at}\nmissing: {cursor: at}")

    told = ""
    for arguments in commands:
        ended = lake.command(*arguments)
        told += ended.stdout + ended.stderr

    assert "2 rows" in told
    assert_unseen(lake.root, told)


class TestDltCommand:
    """Plain `dlt pipeline`, from the project's folder, with no flag."""

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--list-pipelines"], "shop__t"),
            (["shop__t", "info"], "Found pipeline shop__t"),
            (["shop__t", "trace"], "Run started at"),
        ],
    )
    def test_it_finds_the_pipeline_of_a_table(
        self, database: Database, lake: Lake, arguments: list[str], expected: str
    ) -> None:
        database.execute(*T)
        lake.declare("t: {cursor: at}").load()
        clean = {k: v for k, v in os.environ.items() if not k.startswith("DLT_")}

        ended = subprocess.run(
            [Path(sys.executable).with_name("dlt"), "pipeline", *arguments],
            cwd=lake.root,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
        )

        assert ended.returncode == 0, ended
        assert expected in ended.stdout
