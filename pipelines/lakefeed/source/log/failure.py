"""Why the log can't be read, and what to do about it."""

from __future__ import annotations

import re
from typing import Self

from lakefeed.errors import LakefeedError, SourceUnreachable
from lakefeed.source.connections.connection import Connection

_SETUP = "run `lakefeed cdc setup`"
_RELOAD = "then read its tables again in full: lakefeed run --select … --full-refresh"

_NO_REPLICATION = re.compile(r"replication role|start WAL sender|must be superuser", re.IGNORECASE)
_NO_SENDER = re.compile(r"max_wal_senders", re.IGNORECASE)
_POOLER = re.compile(
    r"unsupported startup parameter[^\n]*replication|replication connections? (?:is|are) not"
    r"|does not support replication|not support[^\n]*replication",
    re.IGNORECASE,
)
_DIRECT = (
    "use a URL that leads to the server directly, past the pooler: PgBouncer passes replication "
    "connections on from version 1.23"
)


class LogUnreadable(LakefeedError):
    """PostgreSQL's log can't be read; nothing was confirmed."""


class SlotMissing(LogUnreadable):
    """There is no slot of this name."""

    @classmethod
    def named(cls, slot: str) -> Self:
        return cls(f"there is no replication slot `{slot}`", do=f"{_SETUP}, {_RELOAD}")


class SlotBusy(LogUnreadable):
    """Another session reads the slot."""

    @classmethod
    def named(cls, slot: str, pid: int | None) -> Self:
        who = f" by the session with pid {pid}" if pid else ""
        return cls(
            f"the replication slot `{slot}` is being read{who}",
            do="run again once it has ended. A slot belongs to one project: give each its own "
            "(`wal: {slot: …}`)",
        )


class SlotLost(LogUnreadable):
    """The server has removed what the slot would go on from."""

    @classmethod
    def named(cls, slot: str, why: str) -> Self:
        return cls(
            f"the replication slot `{slot}` is lost, and with it changes that weren't read yet: "
            f"{why}",
            do=f"run `lakefeed cdc drop` and `lakefeed cdc setup`, {_RELOAD}",
        )


def own_slot(source: str) -> str:
    """What to do where the slot of a source may be that of another project."""
    return (
        "name a slot and a publication of this project's own (sources.yaml: "
        f"sources.{source}.wal: {{slot: …, publication: …}}), then: lakefeed cdc setup --source "
        f"{source} --apply. If no other project uses it any more, make it anew: lakefeed cdc drop "
        f"--source {source} --apply, then the same setup"
    )


def no_publication(name: str) -> LogUnreadable:
    """The error for a publication that isn't there, or wasn't when changes were made.

    PostgreSQL 18 leaves out changes that were made before their publication, and says so in a
    warning only; earlier versions end the stream.
    """
    return LogUnreadable(
        f"the publication `{name}` doesn't exist, or didn't when tables were changed that it has "
        "now: the log can't be read from the slot's position on",
        do="run `lakefeed cdc drop` and `lakefeed cdc setup`, which make publication and slot in "
        "this order, then read the tables again in full: lakefeed run --select … --full-refresh",
    )


def not_opened(connection: Connection, message: str) -> SourceUnreachable:
    """The error for a replication connection that couldn't be opened.

    Args:
        message: of libpq or the server. Only its kind is used; it is never shown.
    """
    shown, where = connection.shown, connection.address
    if _NO_REPLICATION.search(message):
        return SourceUnreachable(
            f"the role may not read the log of {shown} ({where})",
            do="run `alter role … replication`; on Amazon RDS `grant rds_replication to …`; on "
            "Cloud SQL `alter role … with replication`, as a role of `cloudsqlsuperuser`",
        )
    if _NO_SENDER.search(message):
        return SourceUnreachable(
            f"{shown} has as many replication connections as `max_wal_senders` allows ({where})",
            do="end others, or raise the server's `max_wal_senders`",
        )
    if _POOLER.search(message):
        return no_replication(connection)
    return connection.failure(message)


def no_replication(connection: Connection) -> SourceUnreachable:
    """The error for a pooler that refuses replication connections, or takes them for others."""
    return SourceUnreachable(
        f"{connection.shown} is reached through a pooler that has no replication connections "
        f"({connection.address}), by which the log is read",
        do=_DIRECT,
    )
