"""Positions in PostgreSQL's log: numbers here and in raw, `0/16B3748` in files and messages."""

from __future__ import annotations

import re

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def parse_lsn(text: str) -> int:
    """The number of a position that PostgreSQL writes as `0/16B3748`.

    Raises:
        ValueError: it isn't one.
    """
    if (found := _LSN.fullmatch(text)) is None:
        raise ValueError(f"`{text}` isn't a position in PostgreSQL's log, such as 0/16B3748")
    return int(found[1], 16) << 32 | int(found[2], 16)


def lsn_text(lsn: int) -> str:
    """A position as PostgreSQL writes it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
