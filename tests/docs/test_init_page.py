"""docs/init.md: its commands make projects, and its YAML is what they write."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import Database, Lake

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs/init.md").read_text(encoding="utf-8")
EXPORT = REPOSITORY / "tests/integration/exports/replication.yaml"
COMMANDS = [
    re.sub(r"\s+#.*", "", line)
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
INITS = [command for command in COMMANDS if command.startswith("lakefeed init")]
TABLES = (
    "create schema person",
    "create schema sales",
    "create table orders (order_id int primary key, updated_at timestamptz)",
    "create table person.address (id int primary key, modifieddate timestamptz)",
    "create table person.phone (id int primary key)",
    "create table sales.address (id int primary key, modifieddate timestamptz)",
)


@pytest.fixture
def shop(database: Database) -> Database:
    database.execute(*TABLES)
    return database


def typed(command: str, shop: Database, folder: Path) -> str:
    """What a command of the page says, in a folder of its own."""
    words = [word.strip("'") for word in command.replace('"$URL"', shop.url).split()]
    ended = Lake(folder).command(*words[1:])
    assert ended.returncode == 0, ended
    return ended.stdout


@pytest.mark.parametrize("command", INITS)
def test_a_command_of_the_page_makes_a_project_that_can_be_checked(
    command: str, shop: Database, tmp_path: Path
) -> None:
    shutil.copy(EXPORT, tmp_path)

    typed(command, shop, tmp_path)

    told = typed("lakefeed check --connect", shop, tmp_path)
    assert re.search(r"\d tables? checked: ", told)
    # The file says what becomes of deleted rows.
    assert ("deletes: rows deleted in the source stay" in told) == ("--from" not in command)


def test_the_names_of_tables_in_several_schemas_are_those_of_the_page(
    shop: Database, tmp_path: Path
) -> None:
    (page,) = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
               if block.startswith("tables:")]  # fmt: skip
    (command,) = [command for command in INITS if "person" in command]

    typed(command, shop, tmp_path)

    written = yaml.safe_load((tmp_path / "sources.yaml").read_text())
    (source,) = written["sources"].values()
    expected = yaml.safe_load(page)["tables"]
    assert source["tables"] == expected
