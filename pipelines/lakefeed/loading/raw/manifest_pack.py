"""The pack: copies of a table's load manifests in one file, to avoid one request per past load.

    raw/shop__orders/_lakefeed_loads/<load id>.json   the manifest of one load; final once committed
    raw/shop__orders/_lakefeed_loads/packed           copies of most manifests

The pack is only a cache. Listings alone decide which loads are committed and have a manifest, and a
load that isn't in the pack is read from its own file. So a pack may be outdated, lost, truncated or
replaced during a read without an effect on the result. Code that changes the manifest of a
committed load must remove the pack first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakefeed.documents import Format, to_fields
from lakefeed.errors import NewerFormat
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.load_manifest import MANIFEST, Load

NAME = "packed"

# The pack is rewritten when this many committed loads are missing from it.
MOST_UNPACKED = 20


@dataclass(frozen=True)
class _Pack:
    """The fields of each load, in which `read_as` is an index into the read contracts."""

    read_as: tuple[ReadContract | None, ...]
    loads: tuple[dict[str, Any], ...]


PACK = Format(_Pack, "manifest pack")


def pack(loads: list[Load]) -> str:
    """The text of a pack with these loads.

    `read_as` is stored once for consecutive loads, since it seldom changes and is long for wide
    tables. Manifests by a newer version aren't packed: the copy would lack the fields that this
    version ignores.
    """
    read_as: list[ReadContract | None] = []
    packed = []
    for load in (one for one in loads if one.is_wholly_known):
        if not read_as or read_as[-1] != load.read_as:
            read_as.append(load.read_as)
        in_flight = vars(load.in_flight) if load.in_flight else None
        fields = {**vars(load), "read_as": len(read_as) - 1, "in_flight": in_flight}
        packed.append({**fields, "range": to_fields(load.range) if load.range else None})
    return PACK.text(_Pack(tuple(read_as), tuple(packed)))


def unpack(text: bytes) -> dict[str, Load]:
    """The loads in a pack by id; empty if it is truncated or has a newer format."""
    try:
        found = PACK.read(text, NAME)
        fields = ({**one, "read_as": found.read_as[one["read_as"]]} for one in found.loads)
        loads = [MANIFEST.from_fields(one, NAME) for one in fields]
    except (ValueError, KeyError, TypeError, IndexError, NewerFormat):
        return {}
    return {load.load_id: load for load in loads}
