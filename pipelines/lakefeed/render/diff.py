"""How `lakefeed diff` tells what a change touches: plain, as Markdown, or as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from lakefeed.render.wording import counted

if TYPE_CHECKING:
    from lakefeed.orchestration.impact.diff import (
        DiffReport,
        NodeChange,
        SettingChange,
        TableChange,
    )

# Of the tests of a new project there are hundreds; JSON has them all.
_MOST_LISTED = 20
_NONE = "none"


@dataclass(frozen=True)
class _Form:
    """How a title, a heading, an item at a depth (from 1 on), and a name or a value are written."""

    title: Callable[[str], str]
    heading: Callable[[str], str]
    item: Callable[[int, str], str]
    code: Callable[[str], str]
    prose: Callable[[str], str]


def _span(text: str) -> str:
    """A code span of Markdown, which holds text with backticks between two of them."""
    plain = " ".join(text.split())
    return f"`` {plain} ``" if "`" in plain else f"`{plain}`"


_PLAIN = _Form(
    title=str,
    heading=lambda text: f"\n{text}",
    item=lambda depth, text: "  " * depth + text,
    code=str,
    prose=str,
)
_MARKDOWN = _Form(
    title=lambda text: f"### Lakefeed: {text}",
    heading=lambda text: f"\n#### {text.capitalize()}\n",
    item=lambda depth, text: "  " * (depth - 1) + f"- {text}",
    code=_span,
    prose=lambda text: text.replace("<", "&lt;"),
)


def show_diff(report: DiffReport, *, as_json: bool, as_markdown: bool) -> None:
    """Prints the report."""
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        click.echo("\n".join(render_diff(report, as_markdown=as_markdown)))


def render_diff(report: DiffReport, *, as_markdown: bool = False) -> Iterator[str]:
    """The lines of the report."""
    form = _MARKDOWN if as_markdown else _PLAIN
    since = f"since {form.code(report.revision)} ({report.commit[:9]})"
    yield form.title(f"nothing is touched {since}" if report.is_empty else f"touched {since}")
    if report.is_first:
        yield form.item(1, "there was no project at that revision: all of it is new")
    if report.stale:
        names = counted(len(report.stale), "generated file")
        yield form.item(1, f"{names} to be written by lakefeed sync count as written")
    if report.settings:
        yield form.heading("settings")
        for setting in report.settings:
            yield from _setting_lines(form, setting, depth=1)
    if report.tables:
        yield form.heading("tables")
        for table in report.tables:
            yield from _table_lines(form, table)
    for title, nodes in (
        ("models", report.models),
        ("tests", report.tests),
        ("exposures", report.exposures),
    ):
        if nodes:
            yield form.heading(title)
            yield from _node_lines(form, nodes, title.removesuffix("s"))


def _setting_lines(form: _Form, one: SettingChange, depth: int) -> Iterator[str]:
    before, now = (_NONE if value == "-" else form.code(value) for value in (one.before, one.now))
    values = f"{before} → {now}"
    means = f": {form.prose(one.means)}" if one.means else ""
    yield form.item(depth, f"{form.code(one.setting)} {values} ({one.where}){means}")


def _table_lines(form: _Form, table: TableChange) -> Iterator[str]:
    was = f", was {form.code(table.was)}" if table.was else ""
    where = f" ({table.where})" if table.where else ""
    yield form.item(1, f"{table.how} {form.code(table.name)}{was}{where}")
    for setting in table.settings:
        yield from _setting_lines(form, setting, depth=2)
    for line in table.source:
        yield form.item(2, f"in the database: {form.prose(line)}")
    for line in table.next_run:
        yield form.item(2, f"the next run: {form.prose(line)}")
    if table.models:
        yield form.item(2, f"feeds {_listed(form, table.models)}")


def _node_lines(form: _Form, nodes: Sequence[NodeChange], noun: str) -> Iterator[str]:
    touched = [node for node in nodes if node.how != "below"]
    for node in touched[:_MOST_LISTED]:
        yield form.item(1, f"{node.how} {form.code(node.name)} ({node.where})")
    if len(touched) > _MOST_LISTED:
        yield form.item(1, f"and {len(touched) - _MOST_LISTED} more")
    below = [node.name for node in nodes if node.how == "below"]
    if below:
        # Tests have long names, and nobody asks which are run again.
        which = "" if noun == "test" else f": {_listed(form, below)}"
        yield form.item(1, f"{counted(len(below), noun)} below{which}")


def _listed(form: _Form, names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(map(form.code, names[:_MOST_LISTED])) + more
