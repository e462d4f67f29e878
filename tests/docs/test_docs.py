"""The README and the guides: every command in them is run, every link leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest

from lakefeed import __version__
from lakefeed.demo.shop import create_shop, generate_shop
from tests.conftest import NIGHTLY, Database, Lake, copy_of, copy_shop_project, git
from tests.forks import forked, lakefeed

REPOSITORY = Path(__file__).resolve().parents[2]
AT_THE_ROOT = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [
    *(REPOSITORY / name for name in AT_THE_ROOT),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
RUN_HERE = ("README.md", "adding-a-table.md", "commands.md", "housekeeping.md", "metrics.md")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands_of(page: Path) -> list[str]:
    """The commands in a page's `sh` blocks, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text_of(page), re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.split("\n")]
    return [line for line in lines if line]


# Commands that are as long as one wants, and how they are short.
LONG = {"lakefeed lab": "lakefeed lab --steps 2 --rows 20"}


@dataclass
class Reader:
    """Somebody who types the commands of a page, one after the other, and has come so far."""

    shop: Path
    own: Path
    url: str
    ended: list[subprocess.CompletedProcess[str]] = field(default_factory=list)

    def read(self, commands: list[str]) -> subprocess.CompletedProcess[str]:
        """How the last of these ended; those before are run where they weren't yet."""
        for command in commands[len(self.ended) :]:
            self.ended.append(self.run(command, self.own if "init" in command else self.shop))
        return self.ended[len(commands) - 1]

    def run(self, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """What it does in a shell; `lakefeed` itself, whose words the shell tells, without one."""
        command = command if NIGHTLY else LONG.get(command, command)
        program, _, words = command.partition(" ")
        if program == "lakefeed":
            told = self._shell(f"printf '%s\\n' {words}", folder).stdout
            return forked(
                lakefeed, *told.splitlines(), folder=folder, environment=self._environment
            )
        return self._shell(command, folder)

    def _shell(self, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command],
            cwd=folder, env={**os.environ, **self._environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SHOP_DATABASE_URL": self.url,
            "URL": self.url,
        }


@pytest.fixture(scope="module")
def loaded_shop(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's project, in version control, with its shop loaded once."""
    with closing(psycopg2.connect(source.url)) as session:
        create_shop(session, generate_shop(0.05, 7))
    shop = copy_shop_project(tmp_path_factory.mktemp("docs") / "shop")
    git(shop, "init")
    git(shop, "add", "--all")
    git(shop, "commit", "--message", "Begin")
    ended = Lake(shop).command("run", SHOP_DATABASE_URL=source.url)
    assert ended.returncode == 0, ended
    return shop


@pytest.fixture(scope="module")
def readers(
    source: Database, loaded_shop: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Reader]:
    """A reader of each page, who begins with a copy of the shop and an empty folder."""
    return {
        page: Reader(
            copy_of(Lake(loaded_shop), tmp_path_factory.mktemp("reader") / "shop").root,
            tmp_path_factory.mktemp("own"),
            source.url,
        )
        for page in RUN_HERE
    }


def typed_on(page: str) -> list[str]:
    """What a reader of a page types; `make` and the wheel have tests of their own."""
    (found,) = [one for one in PAGES if one.name == page]
    return [c for c in commands_of(found) if not c.startswith(("make ", "pip install "))]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("page", "number"),
    [
        pytest.param(
            *(page, number),
            id=f"{page} {number + 1}: {command}",
            marks=[pytest.mark.nightly] if command in LONG else [],
        )
        for page in RUN_HERE
        for number, command in enumerate(typed_on(page))
    ],
)
def test_a_command_of_a_page_works_after_those_before_it(
    readers: dict[str, Reader], page: str, number: int
) -> None:
    ended = readers[page].read(typed_on(page)[: number + 1])

    # Not as an assertion, whose text pytest would shorten.
    if ended.returncode:
        pytest.fail(f"it ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")


@pytest.mark.faults
def test_the_project_that_the_readme_has_one_make_runs(readers: dict[str, Reader]) -> None:
    reader = readers["README.md"]
    reader.read(typed_on("README.md"))

    ended = reader.run("lakefeed run", reader.own)

    assert ended.returncode == 0, ended


@pytest.mark.parametrize("page", RUN_HERE)
def test_what_a_page_has_one_make_is_there(page: str) -> None:
    (found,) = [one for one in PAGES if one.name == page]
    makefile = (REPOSITORY / "Makefile").read_text()

    for command in commands_of(found):
        if command.startswith("make "):
            assert f"\n{command.split()[1]}:" in makefile


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_install_line_names_the_wheel_of_this_version(page: str) -> None:
    (line,) = [c for c in commands_of(REPOSITORY / page) if c.startswith("pip install ")]

    assert f"/lakefeed-{__version__}-py3-none-any.whl" in line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    links = re.findall(r"(?:\]\(|^\[\w+\]: )([^)#:\s]+)(?=[)#\s])", text_of(page), re.MULTILINE)

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_tests_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:pipelines|tests|airflow|docs)/[\w/.-]+)`", text_of(page))

    assert [name for name in named if not (REPOSITORY / name).exists()] == []
