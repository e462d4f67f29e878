"""What programs read: one JSON document on standard output, whatever becomes of the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lakefeed.cli.main import main

TABLES = """\
version: 1
sources:
  shop:
    connection: ${LAKEFEED_TEST_URL}
    tables:
      orders: {cursor: at, tags: [core]}
      order_lines: {mode: full_refresh}
"""


def invoke(root: Path, *arguments: str) -> tuple[int, str, str]:
    ended = CliRunner().invoke(main, [*arguments, "--project", str(root)])
    return ended.exit_code, ended.stdout, ended.stderr


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "sources.yaml").write_text(TABLES)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        *(["run"], ["load"], ["build"], ["build", "--changed-since", "HEAD"], ["rebuild"]),
        *(["rollback"], ["explain", "shop.orders"], ["status"], ["check"], ["audit"], ["prune"]),
        *(["diff", "HEAD"], ["trace", "shop.orders", "1"]),
    ],
    ids=" ".join,
)
def test_a_wrong_declaration_is_reported_as_json_too(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "sources.yaml").write_text(TABLES.replace("cursor", "curser"))

    code, printed, told = invoke(tmp_path, *command, "--json")

    document = json.loads(printed)
    assert (code, document["exit_code"]) == (2, 2)
    assert "sources.yaml:6:16: unknown key `curser`" in document["error"]["what"]
    assert "unknown key `curser`" in told


def test_options_that_exclude_each_other_are_reported_as_json_too(root: Path) -> None:
    code, printed, _ = invoke(root, "prune", "4711", "--json")

    assert (code, json.loads(printed)["exit_code"]) == (2, 2)
    assert "--erase TABLE needs the KEY" in json.loads(printed)["error"]["what"]


def test_without_json_standard_output_stays_empty_when_a_command_fails(tmp_path: Path) -> None:
    _, printed, told = invoke(tmp_path, "run")

    assert printed == ""
    assert told.startswith("error: ")


def test_explain_gives_each_setting_with_its_origin(root: Path) -> None:
    _, printed, _ = invoke(root, "explain", "shop.orders", "--json")

    (table,) = json.loads(printed)
    assert table["table"] == "shop.orders"
    assert table["settings"]["tags"] == {"value": "[core]", "from": "sources.yaml:6"}
    assert table["settings"]["where"] == {"value": None, "from": "default"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "orders"], "error: orders: no such table; did you mean `shop.orders`?"),
        (["run", "--select", "shop.ordrs"], "error: --select shop.ordrs: no such table; did you"),
        (["run", "--select", "tag:cor"], "error: --select tag:cor: no such tag; did you mean `co"),
        (["status", "--select", "tag:x"], "declared tags: core"),
        (["trace", "order_lines", "1"], "did you mean `shop.order_lines`?"),
    ],
)
def test_an_unknown_name_is_reported_with_the_nearest_valid_one(
    root: Path, arguments: list[str], message: str
) -> None:
    code, _, told = invoke(root, *arguments)

    assert code == 2
    assert message in told
