"""Every file in `messages/` is a sources.yaml with a mistake, followed by the expected message."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.declaration.project import open_project
from lakefeed.errors import LakefeedError

MISTAKES = sorted(Path(__file__).with_name("messages").glob("*.yaml"))
PASSWORD = "hunter2"


def message_for(declared: str, folder: Path) -> str:
    (folder / "sources.yaml").write_text(declared, encoding="utf-8")
    try:
        open_project(folder)
    except LakefeedError as error:
        return str(error)
    return "ACCEPTED"


@pytest.mark.parametrize("file", MISTAKES, ids=lambda file: file.stem)
def test_a_mistake_has_the_message_in_its_file(file: Path, tmp_path: Path) -> None:
    declared, _, expected = file.read_text(encoding="utf-8").partition("\n\n# expected:\n")

    message = message_for(declared + "\n", tmp_path)

    assert message.splitlines() == [line.removeprefix("# ") for line in expected.splitlines()]
    assert PASSWORD not in message
    assert "ACCEPTED" not in message


def test_bytes_that_are_not_utf_8_are_reported_with_their_position(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_bytes(b"version: 1\nsources: {caf\xe9: }\n")

    with pytest.raises(LakefeedError) as raised:
        open_project(tmp_path)

    assert str(raised.value) == "sources.yaml:2:14: found the byte 0xe9, expected UTF-8 text"


def test_a_character_that_yaml_forbids_is_reported_with_its_position(tmp_path: Path) -> None:
    message = message_for("version: 1\nsources: {\x00: }\n", tmp_path)

    assert message.startswith("sources.yaml:2:11: not valid YAML: found the character U+0000")


@pytest.mark.parametrize("depth", [60, 100_000])
def test_nesting_without_end_is_refused(depth: int, tmp_path: Path) -> None:
    assert "nested deeper than 50 levels" in message_for("a: " + "[" * depth, tmp_path)


def test_a_folder_without_a_declaration_is_refused_with_the_command_that_writes_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(LakefeedError) as raised:
        open_project(tmp_path)

    assert "no sources.yaml in" in str(raised.value)
    assert "lakefeed init" in str(raised.value)
