"""What the suite types is what the page says; no engine is needed to compare them."""

from __future__ import annotations

import re

import pytest

from tests.compose.page import SECTIONS, Section, blocks_of, read_commands, text_of


def test_every_block_of_commands_is_typed() -> None:
    read_commands()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section[1])
def test_the_prose_names_no_command_that_no_block_has(section: Section) -> None:
    typed = [command for block in blocks_of(text_of(section)) for command in block]
    named = re.findall(r"`(docker [a-z][^`]*)`", text_of(section))

    assert [one for one in named if not any(one in command for command in typed)] == []
