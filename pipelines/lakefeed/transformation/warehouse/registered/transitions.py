"""How the register changes when a build begins, publishes or is undone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

from lakefeed.errors import Overtaken, Refused
from lakefeed.transformation.warehouse.base.lease import NOTHING_LOST
from lakefeed.transformation.warehouse.base.versions import after_return, kept_beside_new
from lakefeed.transformation.warehouse.registered.register import (
    Mark,
    Placed,
    Register,
    StoredVersion,
)

_ANOTHER = "another run has started to build the warehouse and discarded what this run built"

S = TypeVar("S", bound=Placed)


def mark_of(register: Register[S], build: str) -> Mark:
    """The mark that an earlier step of this build left.

    Raises:
        Overtaken: another build has started since, or another version was published.
    """
    mark, current = register.mark, register.current
    if mark is None or mark.build != build:
        raise Overtaken(_ANOTHER, do="nothing is lost: the next run builds what is missing")
    if (current.published_at if current else None) != mark.started_from:
        raise Overtaken(
            "another version was published while this run was building", do=NOTHING_LOST
        )
    return mark


def refuse_if_overtaken(found: Register[S], mark: Mark) -> None:
    """Checks that no other build has begun since this one.

    Raises:
        Refused: one has.
    """
    if found.mark is None or found.mark.build != mark.build:
        raise Refused(_ANOTHER, do=NOTHING_LOST)


def with_mark(found: Register[S], mark: Mark) -> Register[S]:
    """The register with what a build has recorded since it began.

    Raises:
        Refused: another build has begun since.
    """
    refuse_if_overtaken(found, mark)
    return replace(found, mark=mark)


def with_published(
    found: Register[S], mark: Mark, new: StoredVersion[S], *, keep: int
) -> Register[S]:
    """The register once what this build has made is published.

    Args:
        keep: the most earlier versions that stay.

    Raises:
        Refused: another build has begun since.
    """
    refuse_if_overtaken(found, mark)
    return replace(found, mark=None, versions=(*kept_beside_new(found.versions, keep), new))


def returned(found: Register[S], to: dt.datetime) -> Register[S]:
    """The register once the version of `to` is published again; readers are yet to see it."""
    versions = (
        replace(version, is_whole=version.is_whole and version.published_at != to)
        for version in after_return(found.versions, to)
    )
    return replace(found, mark=None, versions=tuple(versions))


def without_earlier(found: Register[S]) -> Register[S]:
    """The register once all versions but the published one are forgotten."""
    return replace(found, versions=tuple(v for v in found.versions if v.is_current))


def without_apart(found: Register[S], prefixes: Collection[str]) -> Register[S]:
    """The register once these schemas apart are dropped."""
    return replace(found, apart=tuple(one for one in found.apart if one.prefix not in prefixes))
