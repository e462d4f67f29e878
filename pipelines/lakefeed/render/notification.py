"""What people are told of a run, in a message of plain text."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lakefeed.declaration.environment.variables import environment
from lakefeed.orchestration.notifications.channels import Delivery, Kind, Message
from lakefeed.render.build import kept_lines
from lakefeed.render.parts.grouping import grouped, of_failures
from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project
    from lakefeed.orchestration.notifications.news import News
    from lakefeed.orchestration.reports.run_report import RunReport

# Services cut long messages, and people don't read them.
_MOST_LINES = 5
_MOST_LETTERS = 400


def message_of(project: Project, command: str, report: RunReport, news: News) -> Message:
    """What a run has to tell: what failed and what to do, what recovered, what changed."""
    title, kind = _headline(command, report, news)
    return _message(project, title, kind, _lines(report, news))


def message_of_stop(project: Project, command: str, error: str) -> Message:
    """What an error has to tell that ended a command; empty for an error that we don't know."""
    told = error or "it ended with an unexpected error, which its output has"
    return _message(project, f"{command} failed", "failure", iter([_short(told)]))


def test_message(project: Project) -> Message:
    """What people get to see when someone tries whether they can be told."""
    told = "This is a test: failures of lakefeed run, load and build will be told here."
    return _message(project, "test", "info", iter([told]))


def render_delivery(delivery: Delivery) -> str:
    """Where a test message couldn't be sent, and to how many addresses it was."""
    errors = [f"error: {error}" for error in delivery.undelivered]
    if not delivery.sent and not errors:
        return "nobody to notify: `notify` in sources.yaml names nobody, or variables left empty"
    return "\n".join([*errors, f"sent {counted(delivery.sent, 'test message')}"])


def _headline(command: str, report: RunReport, news: News) -> tuple[str, Kind]:
    if report.exit_code:
        return f"{command} failed", "failure"
    if news.failing:
        return "models are held back", "warning"
    if news.recovered:
        return f"{command} recovered", "success"
    return "a source changed", "warning"


def _message(project: Project, title: str, kind: Kind, lines: Iterator[str]) -> Message:
    env = f" ({environment()})" if environment() else ""
    page = project.data / "docs" / "index.html"
    report = [f"report: {page}"] if page.exists() else []
    place = f"project: {project.root} on {platform.node()}"
    return Message(f"{project.root.name}{env}: {title}", "\n".join([*lines, place, *report]), kind)


def _lines(report: RunReport, news: News) -> Iterator[str]:
    if report.failures:
        tables = counted(len(report.tables), "table")
        yield f"{len(report.failures)} of {tables} failed to load"
    yield from _first([*grouped(of_failures(report.failures))])
    if report.build_error:
        yield _short(str(report.build_error))
    if report.build:
        yield from _first([f"{n.kind} {n.name} failed: {n.told}" for n in report.build.failures])
    yield from kept_lines(report).split("\n")[1:]
    yield from _first([f"changed in the source: {line}" for line in news.drift])
    if news.drift and report.synced:
        yield "adopted; to keep the change, review and commit sources.lock.yaml and dbt/"
    if news.recovered:
        yield f"recovered: {_named(news.recovered)}"


def _first(texts: Sequence[str]) -> Iterator[str]:
    yield from map(_short, texts[:_MOST_LINES])
    if len(texts) > _MOST_LINES:
        yield f"… and {len(texts) - _MOST_LINES} more"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_LINES} more" if len(names) > _MOST_LINES else ""
    return ", ".join(names[:_MOST_LINES]) + more
