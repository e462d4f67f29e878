"""The pack: copies of a table's descriptions in one file, so that past loads cost no request each.

    raw/shop__orders/_lakefeed_loads/<load id>.json   what one load holds; final once committed
    raw/shop__orders/_lakefeed_loads/packed           what most of them hold, once more

It only saves reading. Which loads are committed and described is decided by listings alone, and a
load that the pack doesn't have is read from its own file. So a pack may be old, lost, torn, or
replaced while it is read: what is found is the same. Whoever changes the description of a committed
load has to remove the pack before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakefeed.documents import Format
from lakefeed.errors import NewerFormat
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.load_manifest import MANIFEST, Load

NAME = "packed"

# A pack is written anew when this many committed loads are missing from it.
MOST_UNPACKED = 20


@dataclass(frozen=True)
class _Pack:
    """The fields of each load; `read_as` there is a place in the list of how loads were read."""

    read_as: tuple[ReadContract | None, ...]
    loads: tuple[dict[str, Any], ...]


PACK = Format(_Pack, "manifest pack")


def pack(loads: list[Load]) -> str:
    """The text of a pack with these loads.

    How they were read is the same for most of them, and long for a wide table: kept once. What a
    newer version described isn't packed: what this one ignores would be missing in the copy.
    """
    read_as: list[ReadContract | None] = []
    packed = []
    for load in (one for one in loads if one.is_wholly_known):
        if not read_as or read_as[-1] != load.read_as:
            read_as.append(load.read_as)
        in_flight = vars(load.in_flight) if load.in_flight else None
        place = len(read_as) - 1
        packed.append({**vars(load), "read_as": place, "in_flight": in_flight})
    return PACK.text(_Pack(tuple(read_as), tuple(packed)))


def unpack(text: bytes) -> dict[str, Load]:
    """The loads in a pack, by id; none where it isn't whole, or is of a newer format."""
    try:
        found = PACK.read(text, NAME)
        fields = ({**one, "read_as": found.read_as[one["read_as"]]} for one in found.loads)
        loads = [MANIFEST.from_fields(one, NAME) for one in fields]
    except (ValueError, KeyError, TypeError, IndexError, NewerFormat):
        return {}
    return {load.load_id: load for load in loads}
