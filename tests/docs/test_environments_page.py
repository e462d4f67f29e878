"""docs/environments.md: two databases in one folder, by the page's own lines."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_database
from tests.docs.test_docs import commands_of

PAGE = Path(__file__).resolve().parents[2] / "docs/environments.md"
pytestmark = pytest.mark.builds


@pytest.fixture
def typed(
    database: Database, server_url: str, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> dict[str, subprocess.CompletedProcess[str]]:
    """How each command of the page ended, in a project that has run without an environment."""
    monkeypatch.delenv(CONNECTION_VARIABLE)
    places = PAGE.read_text().partition("```yaml\n")[2].partition("```")[0]
    lake.declare("t: {cursor: at}")
    declared = (lake.root / "sources.yaml").read_text()
    declared = declared.replace(CONNECTION_VARIABLE, "SHOP_DATABASE_URL")
    (lake.root / "sources.yaml").write_text(places + declared)
    (lake.root / ".env").write_text(f"SHOP_DATABASE_URL='{database.url}'\n")
    prod = new_database(server_url)
    for number, place in enumerate((database, prod), 1):
        place.execute(
            "create table t (id int primary key, at timestamptz default now())",
            f"insert into t values ({number})",
        )
    ended = {"lakefeed run": lake.command("run")}
    monkeypatch.setenv("PROD_URL", f"'{prod.url}'")
    for command in commands_of(PAGE):
        ended[command] = _typed(lake, command)
    return ended


def _typed(lake: Lake, command: str) -> subprocess.CompletedProcess[str]:
    first, _, words = command.partition("lakefeed ")
    if not words:
        return subprocess.run(
            ["bash", "-c", command], cwd=lake.root, capture_output=True, text=True, check=False
        )
    variables = dict(part.split("=") for part in first.split())
    return lake.command(*words.split(), **variables)


@pytest.mark.at_night
def test_the_page_keeps_two_environments_apart_in_one_folder(
    lake: Lake, typed: dict[str, subprocess.CompletedProcess[str]]
) -> None:
    failed = {
        command: ended.stdout + ended.stderr for command, ended in typed.items() if ended.returncode
    }
    status, again = typed["lakefeed --env prod status"], lake.command("status", "--json")
    report = (lake.root / "data/environments/prod/docs/index.html").read_text()

    assert failed == {}
    assert "prod: loaded 1 of 1 table" in typed["lakefeed --env prod run"].stdout
    assert status.stdout.splitlines()[0] == "environment: prod"
    assert "Environment <b>prod</b>" in report
    assert [row["environment"] for row in json.loads(again.stdout)] == [""]
    assert lake.query("select id from staging.stg_shop__t") == [(1,)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEFEED_ENV", "prod")
        assert lake.query("select id from staging.stg_shop__t") == [(2,)]
    assert lake.command("check").returncode == 0
    assert lake.command("--env", "prod", "check").returncode == 0
