"""What the suite types is what the page says; no engine is needed to compare them."""

from __future__ import annotations

import re

import pytest

from tests.compose.page import COMPOSE, WORKERS, blocks_of, read_commands, section


def test_every_block_of_commands_is_typed() -> None:
    read_commands()


@pytest.mark.parametrize("title", [COMPOSE, WORKERS])
def test_the_prose_names_no_command_that_no_block_has(title: str) -> None:
    typed = [command for block in blocks_of(section(title)) for command in block]
    named = re.findall(r"`(docker [a-z][^`]*)`", section(title))

    assert [one for one in named if not any(one in command for command in typed)] == []
