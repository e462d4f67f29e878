"""The sections of the guides on compose: their commands, as a reader types them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from tests.compose.stack import REPOSITORY

# Page and title of each section.
Section = tuple[str, str]
COMPOSE = ("docs/airflow.md", "With compose")
WORKERS = ("docs/airflow.md", "With workers of their own")
LAKE = ("docs/outgrowing-one-machine.md", "All of it, with compose")
SECTIONS = (COMPOSE, WORKERS, LAKE)

Block = tuple[str, ...]


@dataclass(frozen=True)
class Commands:
    """Every block of commands in these sections, in the order of the pages.

    Each field is typed by a set-up or a test, so a block that the page gains is a field more.
    """

    set_user: Block
    start: Block
    look: Block
    stop: Block
    delete: Block
    give_wheel: Block
    start_workers: Block
    start_workers_and_shop: Block
    start_lake: Block
    start_lake_and_shop: Block
    look_at_lake: Block


def read_commands() -> Commands:
    """The commands of the pages.

    Raises:
        AssertionError: the pages have another number of blocks than tests type.
    """
    blocks = [block for section in SECTIONS for block in blocks_of(text_of(section))]
    assert len(blocks) == len(fields(Commands)), "give each block of the pages a field in Commands"
    return Commands(*blocks)


def read_declared_lake() -> list[str]:
    """The lines of sources.yaml that declare a lake."""
    (block,) = re.findall(r"```yaml\n(.*?)```", text_of(LAKE), re.DOTALL)
    return [str(line) for line in block.splitlines()]


def text_of(section: Section) -> str:
    """What the page says below a heading, up to the next one of its level."""
    page, title = section
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks_of(text: str) -> list[Block]:
    """The commands of each `sh` block, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [
        tuple(command for line in block.splitlines() if (command := re.sub(r"\s+#.*", "", line)))
        for block in blocks
    ]
