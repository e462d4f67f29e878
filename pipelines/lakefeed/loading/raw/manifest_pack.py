"""The pack: copies of a table's descriptions in one file, so that past loads cost no request each.

    raw/shop__orders/_lakefeed_loads/<load id>.json   what one load holds; final once committed
    raw/shop__orders/_lakefeed_loads/packed           what most of them hold, once more

It only saves reading. Which loads are committed and described is decided by listings alone, and a
load that the pack doesn't have is read from its own file. So a pack may be old, lost, torn, or
replaced while it is read: what is found is the same. Whoever changes the description of a committed
load has to remove the pack before.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from lakefeed.documents import from_fields
from lakefeed.errors import TableFailed
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.load_manifest import Load

NAME = "packed"

# A pack is written anew when this many committed loads are missing from it.
MOST_UNPACKED = 20

_VERSION = 1


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
    told = [one and asdict(one) for one in read_as]
    return json.dumps({"version": _VERSION, "read_as": told, "loads": packed})


def unpack(text: bytes) -> dict[str, Load]:
    """The loads in a pack, by id; none where it isn't whole, or another version wrote it."""
    try:
        data: dict[str, Any] = json.loads(text)
        if data["version"] != _VERSION:
            return {}
        read_as = [one and from_fields(ReadContract, one) for one in data["read_as"]]
        fields = ({**one, "read_as": read_as[one["read_as"]]} for one in data["loads"])
        return {load.load_id: load for load in map(Load.from_fields, fields)}
    except (ValueError, KeyError, TypeError, IndexError, TableFailed):
        return {}
