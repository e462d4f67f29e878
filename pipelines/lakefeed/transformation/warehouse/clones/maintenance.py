"""Removes the clones that no version needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from lakefeed.transformation.warehouse.clones.engine import Engine
from lakefeed.transformation.warehouse.clones.register import CloneVersion
from lakefeed.transformation.warehouse.clones.relations import HELD, held_since
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side

# How long a clone stays, since a reader's query may still be at it.
_STAYS = dt.timedelta(days=1)


def drop_unneeded(engine: Engine, versions: Sequence[CloneVersion], *, at_once: bool) -> None:
    """Drops the clones that none of these versions has, and schemas of which nothing is left.

    Args:
        at_once: all of them; else those of versions that were published more than a day ago.
    """
    needed = {one.place for version in versions for one in version.relations if one.held}
    now = dt.datetime.fromtimestamp(engine.clock() / 1_000_000, dt.UTC)
    for schema in sorted(name for name in engine.schemas() if name.startswith(HELD)):
        if not at_once and now - held_since(schema) < _STAYS:
            continue
        if not any(place[0] == schema for place in needed):
            engine.drop_schema(schema)
            continue
        clones = {(one.schema, one.name) for one in engine.stored([schema])}
        side_by_side(
            lambda clone: engine.rows(f"drop table if exists {engine.quoted(*clone)}"),
            sorted(clones - needed),
        )
