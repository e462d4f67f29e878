"""The record of what was pruned from a table's raw folder.

raw/shop__orders/_lakefeed_pruned.json
"""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.documents import Format

PRUNED_NOTE = "_lakefeed_pruned.json"


@dataclass(frozen=True)
class Pruned:
    """Since when raw is complete, and when row versions were last pruned; ISO 8601, in UTC."""

    complete_since: str
    pruned_at: str | None = None


PRUNED = Format(Pruned, "pruning record")
