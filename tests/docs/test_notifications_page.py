"""docs/notifications.md: its lines are a declaration, and its addresses are known."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import Lake

PAGE = (Path(__file__).resolve().parents[2] / "docs/notifications.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"```(yaml|)\n((?:notify:|SLACK_URL=).*?)```", PAGE, re.DOTALL))
# Whole URLs of the table; those that Slack and Discord give are cut there.
ADDRESSES = re.findall(r"^\| [^|]+ \| `(\w+://[^`…]+)` \|$", PAGE, re.MULTILINE)


def test_the_declaration_of_the_page_is_valid_and_its_addresses_are_known(lake: Lake) -> None:
    lake.declare("t: {cursor: at}")
    with (lake.root / "sources.yaml").open("a") as file:
        file.write(BLOCKS["yaml"])
    (lake.root / ".env").write_text(BLOCKS[""])

    ended = lake.command("check")

    assert "sources.yaml:" in ended.stderr, "the table isn't in the catalogue, and that is all"
    assert "notify" not in ended.stderr
    assert "address" not in ended.stderr


def test_the_addresses_in_the_table_of_the_page_are_known(lake: Lake) -> None:
    names = [f"ADDRESS_{number}" for number in range(len(ADDRESSES))]
    lake.declare("t: {cursor: at}")
    with (lake.root / "sources.yaml").open("a") as file:
        file.write("notify:\n" + "".join(f'  - "${{{name}}}"\n' for name in names))

    ended = lake.command("check", **dict(zip(names, ADDRESSES, strict=True)))

    assert len(ADDRESSES) == 4
    assert "address" not in ended.stderr
