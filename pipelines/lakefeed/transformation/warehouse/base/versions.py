"""Which versions are kept, for warehouses that record them all, the published one among them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from lakefeed.transformation.warehouse.base.warehouse import Version


@dataclass(frozen=True)
class RecordedVersion(Version):
    """A version in such a record. `is_current`: it is the published one."""

    is_current: bool = False


V = TypeVar("V", bound=RecordedVersion)


def published_among(versions: Iterable[V]) -> V | None:
    """The published version, if there is one."""
    return next((version for version in versions if version.is_current), None)


def earlier_than(versions: Sequence[V], current: Version | None) -> V | None:
    """The newest version before this one, not counting undone ones.

    Args:
        versions: oldest first.
    """
    earlier = [
        version
        for version in versions
        if not version.is_undone
        and not version.is_current
        and (current is None or version.published_at < current.published_at)
    ]
    return earlier[-1] if earlier else None


def kept_beside_new(versions: Iterable[V], most: int) -> list[V]:
    """The versions that stay once a new one is published: at most so many that weren't undone.

    Those that were undone before all of these go as well.
    """
    earlier = [replace(version, is_current=False) for version in versions]
    done = [version for version in earlier if not version.is_undone]
    kept = done[max(len(done) - most, 0) :]
    return [
        version
        for version in earlier
        if version in kept
        or (version.is_undone and kept and version.published_at > kept[0].published_at)
    ]


def after_return(versions: Iterable[V], to: dt.datetime) -> list[V]:
    """The versions once that of `to` is published again.

    The current one is undone, and those between the two go.
    """
    return [
        replace(
            version,
            is_current=version.published_at == to,
            is_undone=version.is_undone or version.is_current,
        )
        for version in versions
        if version.is_undone or version.is_current or version.published_at <= to
    ]
