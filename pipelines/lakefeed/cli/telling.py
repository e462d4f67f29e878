"""Tells people how a command ended, as `notify` in sources.yaml declares."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from lakefeed.errors import DeclarationError, LakefeedError
from lakefeed.interruption import is_interrupted

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project
    from lakefeed.orchestration.notifications.channels import Message
    from lakefeed.orchestration.notifications.news import News, Told
    from lakefeed.orchestration.reports.run_report import RunReport


def telling(project: Project, command: str, work: Callable[[], RunReport]) -> RunReport:
    """Does the work of a command, then tells people if it failed, recovered or found a change.

    Whoever typed a mistake sees it, and whoever pressed Ctrl-C knows, so neither is told. What
    can't be told is printed in a line, and changes nothing else.
    """
    if not project.declaration.notify:
        return work()
    try:
        report = work()
    except DeclarationError:
        raise
    except Exception as error:
        if not is_interrupted():
            _tell_of_stop(project, command, error)
        raise
    _tell_of(project, command, report)
    return report


def _tell_of(project: Project, command: str, report: RunReport) -> None:
    from lakefeed.orchestration.notifications.news import news_of, still_seen
    from lakefeed.orchestration.notifications.told import read_told
    from lakefeed.render.notification import message_of

    told, now = read_told(project), dt.datetime.now(dt.UTC)
    news = news_of(report, command, told, now)
    if news is None:
        _keep(project, told, still_seen(told, report))
    else:
        _tell(project, message_of(project, command, report, news), told, news)


def _tell_of_stop(project: Project, command: str, error: Exception) -> None:
    from lakefeed.orchestration.notifications.news import news_of_stop
    from lakefeed.orchestration.notifications.told import read_told
    from lakefeed.render.notification import message_of_stop

    told, now = read_told(project), dt.datetime.now(dt.UTC)
    if news := news_of_stop(command, told, now):
        # Any other error is a bug, whose text may have anything in it.
        text = str(error) if isinstance(error, LakefeedError) else ""
        _tell(project, message_of_stop(project, command, text), told, news)


def _tell(project: Project, message: Message, told: Told, news: News) -> None:
    from lakefeed.orchestration.notifications.channels import send
    from lakefeed.orchestration.notifications.news import after_telling

    delivery = send(project, message)
    for error in delivery.undelivered:
        click.echo(f"note: {'; '.join(str(error).split(chr(10) + '  '))}", err=True)
    if delivery.sent:
        _keep(project, told, after_telling(told, news, dt.datetime.now(dt.UTC)))


def _keep(project: Project, before: Told, now: Told) -> None:
    from lakefeed.orchestration.notifications.told import keep_told

    try:
        if now != before:
            keep_told(project, now)
    except OSError as error:
        click.echo(f"note: people will be told this again: {error}", err=True)
