"""How `lakefeed diff` prints what a change affects: as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.orchestration.impact.diff import (
        DiffReport,
        NodeChange,
        SettingChange,
        TableChange,
    )

# A new project has hundreds of tests; `--json` lists them all.
_MOST_LISTED = 20
_NONE = "none"


@dataclass(frozen=True)
class _Form:
    """How titles, headings, items (`depth` starts at 1), names and prose are formatted."""

    title: Callable[[str], str]
    heading: Callable[[str], str]
    item: Callable[[int, str], str]
    code: Callable[[str], str]
    prose: Callable[[str], str]


def _span(text: str) -> str:
    """A Markdown code span, also for text that contains backticks."""
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
    yield form.title(f"nothing affected {since}" if report.is_empty else f"affected {since}")
    if report.is_first:
        yield form.item(1, "no project at that revision: everything is new")
    if report.stale:
        names = counted(len(report.stale), "generated file")
        yield form.item(1, f"{names} out of date: compared as `lakefeed sync` would write them")
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


def _setting_lines(form: _Form, change: SettingChange, depth: int) -> Iterator[str]:
    both = (change.before, change.now)
    before, now = (_NONE if value == "-" else form.code(value) for value in both)
    means = f": {form.prose(change.means)}" if change.means else ""
    yield form.item(depth, f"{form.code(change.setting)} {before} → {now} ({change.where}){means}")


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
    changed = [node for node in nodes if node.how != "below"]
    for node in changed[:_MOST_LISTED]:
        yield form.item(1, f"{node.how} {form.code(node.name)} ({node.where})")
    if len(changed) > _MOST_LISTED:
        yield form.item(1, f"and {len(changed) - _MOST_LISTED} more")
    downstream = [node.name for node in nodes if node.how == "below"]
    if downstream:
        # Tests have long names, and which of them run again is of no interest.
        which = "" if noun == "test" else f": {_listed(form, downstream)}"
        yield form.item(1, f"{counted(len(downstream), noun)} downstream{which}")


def _listed(form: _Form, names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(map(form.code, names[:_MOST_LISTED])) + more
