"""Reads the register from its table, and replaces it there."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, TypeVar

from lakefeed.documents import refuse_newer
from lakefeed.errors import Refused
from lakefeed.transformation.warehouse.base.format import FORMAT
from lakefeed.transformation.warehouse.base.lease import Lease
from lakefeed.transformation.warehouse.registered.register import (
    RECORDS,
    REGISTER,
    ApartSchemas,
    Mark,
    Placed,
    Register,
    RegisterRow,
    RegisterTable,
    StoredVersion,
)

_TRIES = 20

S = TypeVar("S", bound=Placed)


def read_register(table: RegisterTable[S]) -> Register[S]:
    """The register as it is now; empty if there is none.

    Raises:
        NewerFormat: a newer version of Lakefeed wrote it.
    """
    row = table.row()
    return Register() if row is None else _parsed(table, *row)


def change_register(
    table: RegisterTable[S], change: Callable[[Register[S]], Register[S]]
) -> Register[S]:
    """Replaces the register by what `change` makes of it; returns the new one.

    `change` is called again with the newest register if another writer was faster.

    Raises:
        Refused: others have changed it all the time; and whatever `change` raises.
    """
    for _ in range(_TRIES):
        row = table.row()
        if row is None:
            _create(table)
            continue
        known = _parsed(table, *row)
        wanted = replace(change(known), revision=known.revision + 1)
        if _replaced(table, known.revision, wanted):
            return wanted
    raise Refused(
        "the register of the warehouse couldn't be changed: others change it all the time",
        do="run again",
    )


def _replaced(table: RegisterTable[S], revision: int, wanted: Register[S]) -> bool:
    """Whether this register took the place of that revision. Lost if another writer was faster."""
    # Two writers may write the same; the token tells whose row it is.
    token = uuid.uuid4().hex
    failure = None
    try:
        table.replace(revision, _row_of(table, wanted, token))
    except Exception as error:  # noqa: BLE001 - a conflict, or an answer that was lost
        failure = error
    row = table.row()
    if row is not None and json.loads(row[1])["token"] == token:
        return True
    if (
        failure is not None
        and row is not None
        and row[0] == revision
        and not table.is_conflict(failure)
    ):
        raise failure
    return False


def _create(table: RegisterTable[S]) -> None:
    """Creates the register; of several writers that do, the engine lets one."""
    empty: Register[S] = Register()
    try:
        table.create(_row_of(table, empty, ""))
    except Exception:
        if table.row() is None:
            raise


def _row_of(table: RegisterTable[S], register: Register[S], token: str) -> RegisterRow:
    current = register.current
    document = {
        "format": FORMAT,
        "token": token,
        "lease": asdict(register.lease) if register.lease else None,
        "mark": _mark_document(register.mark) if register.mark else None,
        "has_begun": register.has_begun,
        "versions": [_version_document(table, version) for version in register.versions],
        "apart": [{**asdict(found), "as_of": _iso(found.as_of)} for found in register.apart],
        "rollback": register.rollback,
    }
    return RegisterRow(
        register.revision,
        json.dumps(document),
        published_at=current.published_at.isoformat() if current else None,
        is_whole=current is not None and current.is_whole,
    )


def _mark_document(mark: Mark) -> dict[str, Any]:
    return {**asdict(mark), "started_from": _iso(mark.started_from)}


def _version_document(table: RegisterTable[S], version: StoredVersion[S]) -> dict[str, Any]:
    return {
        "published_at": _iso(version.published_at),
        "is_undone": version.is_undone,
        "is_current": version.is_current,
        "is_whole": version.is_whole,
        "relations": [table.written(relation) for relation in version.relations],
    }


def _parsed(table: RegisterTable[S], revision: int, text: str) -> Register[S]:
    document = json.loads(text)
    refuse_newer("warehouse", document["format"], reads=FORMAT, where=f"{RECORDS}.{REGISTER}")
    lease, mark = document["lease"], document["mark"]
    return Register(
        revision,
        lease=Lease(**lease) if lease else None,
        mark=Mark(**{**mark, "started_from": _time(mark["started_from"])}) if mark else None,
        has_begun=document["has_begun"],
        versions=tuple(_version(table, found) for found in document["versions"]),
        apart=tuple(
            ApartSchemas(**{**found, "as_of": _time(found["as_of"])})
            for found in document.get("apart", ())
        ),
        rollback=document.get("rollback", ""),
    )


def _version(table: RegisterTable[S], found: dict[str, Any]) -> StoredVersion[S]:
    return StoredVersion(
        dt.datetime.fromisoformat(found["published_at"]),
        is_undone=found["is_undone"],
        relations=tuple(table.read(written) for written in found["relations"]),
        is_current=found["is_current"],
        is_whole=found["is_whole"],
    )


def _iso(moment: dt.datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
