"""Notifies of runs that failed or are late, through the Airflow notifiers named in `notify`."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from types import SimpleNamespace
from typing import Any

from airflow.sdk import BaseNotifier
from airflow.sdk.definitions.callback import SyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.explain import shown
from lakefeed.declaration.project import Project
from lakefeed.errors import DeclarationError

_PROVIDERS = "apache_airflow_provider"

log = logging.getLogger(__name__)


class _NoNotifier(Exception):
    """A name and its arguments that give no notifier; the message is the reason."""


def notifiers_of(project: Project) -> list[BaseNotifier]:
    """The notifiers that `airflow.notify` declares.

    Raises:
        DeclarationError: with each notifier that is unknown or has wrong arguments, and its line.
    """
    document = project.declared.document
    made, problems = [], []
    for name, arguments in project.declaration.airflow.notify.items():
        try:
            made.append(_make(name, arguments or {}))
        except _NoNotifier as error:
            problems.append(document.problem(("airflow", "notify", name), str(error)))
    if problems:
        raise DeclarationError(problems=problems)
    return made


def deadline_of(
    deadline: dt.timedelta | None, notify: Mapping[str, dict[str, Any] | None]
) -> DeadlineAlert | None:
    """The alert for runs that take longer than this; None if there is no deadline.

    Its callback is synchronous, since the executor runs those: an asynchronous one would need a
    triggerer, which the stack doesn't have.
    """
    if deadline is None:
        return None
    arguments = {"notify": dict(notify), "allowed": shown(deadline)}
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=deadline,
        callback=SyncCallback(tell_missed_deadline, kwargs=arguments),
    )


def tell_missed_deadline(
    context: dict[str, Any], notify: Mapping[str, dict[str, Any] | None], allowed: str
) -> None:
    """Calls every notifier, even if one fails.

    Airflow's context of a late run has no task instance, which the templates of most notifiers
    refer to, so they get a placeholder.
    """
    run = context["dag_run"]
    message = f"run {run['dag_run_id']} of {run['dag_id']} didn't finish within {allowed}"
    log.error(message)
    ti = SimpleNamespace(
        dag_id=run["dag_id"], task_id="(deadline)", run_id=run["dag_run_id"], state="late",
        try_number=1, max_tries=0, hostname="", log_url="",
    )  # fmt: skip
    failed = []
    for name, arguments in notify.items():
        try:
            _make(name, arguments or {})({**context, "ti": ti, "exception": message})
        except Exception as error:  # noqa: BLE001 - the other notifiers must still be called
            failed.append(f"{name}: {error}")
    if failed:
        raise RuntimeError("; ".join(failed))


def _make(name: str, arguments: Mapping[str, Any]) -> BaseNotifier:
    found = _class_of(name)
    try:
        return found(**arguments)
    except TypeError as error:
        raise _NoNotifier(f"`{name}`: {str(error).partition('.__init__() ')[2] or error}") from None


def _class_of(name: str) -> type[BaseNotifier]:
    known = dict(_known_notifiers())
    path = name if "." in name else known.get(name)
    if path is None:
        installed = ", ".join(sorted(known))
        raise _NoNotifier(
            f"no installed provider has a notifier `{name}`{nearest(name, known)} (installed: "
            f"{installed}; for your own, write its import path, such as alerts.{name})"
        )
    module, _, attribute = path.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise _NoNotifier(f"`{name}` can't be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise _NoNotifier(f"`{name}` isn't a notifier: it must be a subclass of BaseNotifier")
    return found


def _known_notifiers() -> Iterator[tuple[str, str]]:
    """The name and import path of each notifier that installed providers register."""
    for provider in entry_points(group=_PROVIDERS):
        for path in provider.load()().get("notifications", ()):
            yield path.rpartition(".")[2], path
