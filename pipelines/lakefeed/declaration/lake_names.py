"""How the lake spells the names of tables."""

from __future__ import annotations

import hashlib
import re

LONGEST_LAKE_NAME = 120
_ROOM_FOR_A_DIGEST = 20
# Windows reserves these names for devices, and dlt refuses them as file names.
RESERVED = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


def lake_name_of(name: str) -> str:
    """The lake's spelling of a name: lower case, with `_` for anything but letters and digits."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def default_name(source: str, name: str) -> str:
    """A table's name in the lake if none is declared: its lake spelling.

    With a digest if that is empty or too long, and with a trailing `_` if it is reserved.
    """
    if lake_name_of(name) in RESERVED:
        return f"{lake_name_of(name)}_"
    wanted, room = lake_name_of(name), LONGEST_LAKE_NAME - len(f"{source}__")
    if wanted and (len(wanted) <= room or room < _ROOM_FOR_A_DIGEST):
        return wanted
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{wanted[: room - 9] or 'table'}_{digest}"
