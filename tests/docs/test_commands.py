"""docs/commands.md: every command with its arguments and options, as `lakefeed` has them.

To write it after a change: LAKEFEED_WRITE_DOCS=1 pytest tests/docs/test_commands.py, or make docs.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import click

from lakefeed.cli.main import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
BEGIN = (
    "<!-- Written by LAKEFEED_WRITE_DOCS=1 pytest tests/docs/test_commands.py; "
    "edit the help texts. -->\n"
)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Each command by what is typed; a group before its own."""
    for name, command in main.commands.items():
        yield name, command
        for below, one in command.commands.items() if isinstance(command, click.Group) else ():
            yield f"{name} {below}", one


def reference() -> str:
    return "\n".join(section(name, command) for name, command in commands())


def section(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"lakefeed {name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    options = [one for one in command.params if isinstance(one, click.Option)]
    rows = [f"| `{spelled(one)}` | {meaning(one)} |" for one in options]
    table = ["| option | meaning |", "|---|---|", *rows, ""] if rows else []
    lines = [f"### {name}", "", inspect.cleandoc(command.help or ""), ""]
    return "\n".join([*lines, f"`{usage}`", "", *table])


def spelled(option: click.Option) -> str:
    """As it is typed, with a word for its value."""
    value = option.metavar or option.type.name.upper().replace(" RANGE", "")
    return option.opts[0] if option.is_flag else f"{option.opts[0]} {value}".replace("|", r"\|")


def meaning(option: click.Option) -> str:
    text = option.help or ""
    return f"{text} Default: {option.default}." if option.show_default else text


def test_the_page_has_every_command_and_every_option() -> None:
    told, _, written = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    if "LAKEFEED_WRITE_DOCS" in os.environ:
        PAGE.write_text(f"{told}{BEGIN}\n{reference()}", encoding="utf-8")
        return

    assert written == f"\n{reference()}", "write the page anew: make docs"


def test_every_option_says_what_it_does() -> None:
    silent = [
        f"{name} {option.opts[0]}"
        for name, command in commands()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]

    assert silent == []
