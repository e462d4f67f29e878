"""The ways by which people are told, through Apprise; only this module imports it.

An address is a secret as a whole, since services have their tokens in any part of the URL. It is
resolved when a message is sent, and appears in no message of ours.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from lakefeed.declaration.environment.references import is_optional_reference
from lakefeed.declaration.project import Project
from lakefeed.errors import EXIT_OK, DeclarationError, ExtraMissing, LakefeedError
from lakefeed.extras import require
from lakefeed.source.connections.credentials import interpolate, unset_in

if TYPE_CHECKING:
    from apprise import NotifyBase

Kind = Literal["info", "success", "warning", "failure"]

_EXAMPLE = "slack://token/channel"
_WEBHOOK = "webhook"
_NEEDED_FOR = "`notify` in sources.yaml"
# Shorter parts of an address, such as `https` or a port, give nothing away.
_SHORTEST_SECRET = 6
# Their host is that of a server; in the URL of a service, a token may take its place.
_WITH_HOST = ("http", "https", "json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos")


@dataclass(frozen=True)
class Message:
    """A message in plain text; `kind` chooses the colour or the icon where a service has them."""

    title: str
    body: str
    kind: Kind


@dataclass(frozen=True)
class Delivery:
    """How sending went: how many addresses have it, and why each of the others doesn't."""

    sent: int
    undelivered: tuple[LakefeedError, ...] = ()

    @property
    def exit_code(self) -> int:
        return max((error.exit_code for error in self.undelivered), default=EXIT_OK)


def send(project: Project, message: Message) -> Delivery:
    """Sends a message to every address of `notify`. Never fails: it says what couldn't be sent."""
    sent, undelivered = 0, []
    for where, reference in _addresses(project):
        try:
            if channel := _channel(project, where, reference):
                _send(channel, message, where)
                sent += 1
        except LakefeedError as error:
            undelivered.append(error)
    return Delivery(sent, tuple(undelivered))


def unusable_addresses(project: Project) -> Iterator[LakefeedError]:
    """Why nothing can be sent to an address of `notify` whose variable is set; sends nothing."""
    for where, reference in _addresses(project):
        try:
            if not unset_in(project, reference):
                _channel(project, where, reference)
        except ExtraMissing as error:
            yield error
            return
        except DeclarationError as error:
            yield error


def unset_addresses(project: Project) -> Iterator[tuple[str, str]]:
    """The place and the variable of each address of `notify` that isn't set."""
    for where, reference in _addresses(project):
        yield from ((where, name) for name in unset_in(project, reference))


def _addresses(project: Project) -> Iterator[tuple[str, str]]:
    document = project.declared.document
    for index, reference in enumerate(project.declaration.notify):
        yield document.where(("notify", index)), reference


def _channel(project: Project, where: str, reference: str) -> NotifyBase | None:
    """What sends to an address; None if it is left empty on purpose.

    Raises:
        DeclarationError: the variable isn't set, or its value isn't an address.
        ExtraMissing: Apprise isn't installed.
    """
    address = interpolate(project, reference, where, example=_EXAMPLE)
    if not address and is_optional_reference(reference):
        return None
    require("apprise.plugins", "notify", _NEEDED_FOR)
    with _silent():
        channel = _made(address)
    if channel is None:
        raise DeclarationError(
            f"the value of `{reference}` isn't an address that Apprise knows",
            where=where,
            do="write a webhook's URL, or one as https://appriseit.com/services/ lists them",
        )
    return channel


def _made(address: str) -> NotifyBase | None:
    from apprise import Apprise, AppriseAsset

    # By default, messages have Apprise's logo, from a server of its own.
    asset = AppriseAsset(app_id="Lakefeed", app_desc="Lakefeed", image_url_mask="")
    try:
        known = Apprise.instantiate(address, asset=asset)
        return known or Apprise.instantiate(_as_webhook(address), asset=asset)
    except (TypeError, ValueError):
        return None


def _as_webhook(address: str) -> dict[str, Any] | str:
    """Apprise's parts of a plain URL, whose message it posts as JSON.

    Its own spelling, `jsons://…`, would lose the query.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    return {
        "schema": "jsons" if parts.scheme == "https" else "json",
        "host": parts.hostname,
        "port": parts.port,
        "user": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "fullpath": parts.path or "/",
        "params": dict(parse_qsl(parts.query, keep_blank_values=True)),
    }


def _send(channel: NotifyBase, message: Message, where: str) -> None:
    from apprise import NotifyFormat, NotifyType

    with _silent() as told:
        try:
            sent = channel.notify(
                body=message.body,
                title=message.title,
                notify_type=NotifyType(message.kind),
                body_format=NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001 - a message must never fail a run
            sent = False
            told.append(type(error).__name__)
    if not sent:
        service = _WEBHOOK if channel.service_name == "JSON" else channel.service_name
        raise LakefeedError(
            f"the notification wasn't sent ({service}): {_reason(told, channel)}",
            where=where,
            do="to try again: lakefeed notify",
        )


@contextmanager
def _silent() -> Iterator[list[str]]:
    """Collects Apprise's warnings, which would be printed otherwise."""
    log, told = logging.getLogger("apprise"), _Collector()
    before = log.propagate, log.level
    log.addHandler(told)
    log.propagate = False
    log.setLevel(logging.WARNING)
    try:
        yield told.texts
    finally:
        log.removeHandler(told)
        log.propagate, log.level = before


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def _reason(told: list[str], channel: NotifyBase) -> str:
    """Apprise's last warning, unless it has a part of the address."""
    text = " ".join(told[-1].split()).rstrip(".") if told else ""
    secrets = _secrets_in(str(channel.url()))  # type: ignore[no-untyped-call]
    return text if text and not any(part in text for part in secrets) else "it wasn't accepted"


def _secrets_in(address: str) -> set[str]:
    """The parts of an address that may be secrets, as they are written and as they are meant."""
    parts = urlsplit(address)
    known = {parts.hostname} if parts.scheme in _WITH_HOST else set()
    rest = address.partition("://")[2]
    found = {piece for text in (rest, unquote(rest)) for piece in re.split(r"[^\w.-]+", text)}
    return {piece for piece in found - known if len(piece) >= _SHORTEST_SECRET}
