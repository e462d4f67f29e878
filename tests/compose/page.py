"""The sections of docs/airflow.md on compose: their commands, as a reader types them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from tests.compose.stack import REPOSITORY

PAGE = REPOSITORY / "docs/airflow.md"
COMPOSE, WORKERS = "With compose", "With workers of their own"

Block = tuple[str, ...]


@dataclass(frozen=True)
class Commands:
    """Every block of commands in these sections, in the order of the page.

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


def read_commands() -> Commands:
    """The commands of the page.

    Raises:
        AssertionError: the page has another number of blocks than tests type.
    """
    blocks = [block for title in (COMPOSE, WORKERS) for block in blocks_of(section(title))]
    assert len(blocks) == len(fields(Commands)), "give each block of the page a field in Commands"
    return Commands(*blocks)


def section(title: str) -> str:
    """What the page says below a heading, up to the next one of its level."""
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks_of(text: str) -> list[Block]:
    """The commands of each `sh` block, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [
        tuple(command for line in block.splitlines() if (command := re.sub(r"\s+#.*", "", line)))
        for block in blocks
    ]
