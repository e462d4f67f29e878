"""The README and the guides: every command in them is run, every link leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from pipelines.demo.shop import create_shop, generate_shop
from tests.conftest import Database, copy_shop_project, git

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
RUN_HERE = ("README.md", "adding-a-table.md", "keeping-house.md")


def commands_of(page: Path) -> list[str]:
    """The commands in a page's `sh` blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.split("\n")]
    return [line for line in lines if line]


@pytest.mark.faults
@pytest.mark.parametrize("page", RUN_HERE)
def test_the_commands_of_a_page_work_in_their_order(
    database: Database, tmp_path: Path, page: str
) -> None:
    with closing(psycopg2.connect(database.url)) as session:
        create_shop(session, generate_shop(0.05, 7))
    shop, own = copy_shop_project(tmp_path / "shop"), tmp_path / "own"
    own.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DLT_")} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SHOP_DATABASE_URL": database.url,
        "URL": database.url,
    }
    (found,) = [one for one in PAGES if one.name == page]

    def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    git(shop, "init")
    git(shop, "add", "--all")
    git(shop, "commit", "--message", "Begin")
    assert run("lakefeed run", shop).returncode == 0
    for command in commands_of(found):
        if command.startswith("make "):
            assert f"\n{command.split()[1]}:" in (REPOSITORY / "Makefile").read_text()
            continue
        ended = run(command, own if "init" in command else shop)
        # Not as an assertion, whose text pytest would shorten.
        if ended.returncode:
            pytest.fail(f"{command} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    assert page != "README.md" or run("lakefeed run", own).returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_tests_that_a_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:pipelines|tests|airflow|docs)/[\w/.-]+)`", text)

    assert [name for name in named if not (REPOSITORY / name).exists()] == []
