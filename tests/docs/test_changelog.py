"""CHANGELOG.md lists each version once, the newest first."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"
HEADINGS = re.findall(r"^## (.*)$", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)


def test_each_version_has_one_section_and_the_newest_comes_first() -> None:
    assert HEADINGS[0] == "Unreleased"
    numbers = [
        tuple(int(part) for part in heading.split()[0].split(".")) for heading in HEADINGS[1:]
    ]

    assert numbers == sorted(set(numbers), reverse=True)


def test_the_newest_section_is_the_version_of_the_package() -> None:
    assert HEADINGS[1].split()[0] == version("lakefeed")
