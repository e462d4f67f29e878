"""Rows that are in the source, and not in raw, though nothing that a cursor shows has changed.

They come with a partition that was attached, with a table that took another's name, or are restored
below the checkpoint. They are read by their places, at the snapshot that their keys were compared
at: a row stays in its place as long as a transaction can see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lakefeed.declaration.catalogue import Part
from lakefeed.loading.extract.delete_detection import ARRIVED, Moved, little_memory
from lakefeed.loading.plan.queries import (
    PART,
    PLACE,
    addresses_query,
    ever_loaded,
    part_query,
    rows_query,
)
from lakefeed.loading.plan.read_contract import ContractChanges
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.equality import named_key, names_of_key
from lakefeed.sql import literal

_MOST_NAMES = 3
# Makes a query of some 150 kB.
_PLACES_AT_A_TIME = 10_000


def read_anyway(plan: TablePlan, by_cursor: str, parts: Mapping[Part, str]) -> str:
    """The source's condition for rows that a load reads whatever raw holds, or that none reads.

    Args:
        by_cursor: the condition for those that the cursor leads to.
        parts: those with other rows to read, each with the condition for them.
    """
    of_parts = (f"tableoid = {part.oid} and ({rows})" for part, rows in parts.items())
    return " or ".join([f"({by_cursor})", f"not ({ever_loaded(plan)})", *of_parts])


def queries_for_parts(plan: TablePlan, by_cursor: str, parts: Mapping[Part, str]) -> list[str]:
    """Queries of the source for the rows of these parts that the cursor doesn't lead to."""
    return [
        part_query(plan, part, f"({rows}) and not coalesce({by_cursor}, false)")
        for part, rows in parts.items()
    ]


def note_of_arrived(moved: Moved) -> str:
    """What is to be said of rows that only a comparison of keys has found."""
    rows = "1 row" if moved.arrived == 1 else f"{moved.arrived:,} rows"
    return (
        f"{rows} came to it, or came back, without a change that its cursor shows (a partition "
        "attached, an exchange of tables, a restore); loaded as well"
    )


def notes_of_parts(plan: TablePlan, changes: ContractChanges) -> Iterator[str]:
    """What is to be said of parts that are others than at the newest load."""
    new = [part.name for part in plan.parts if part.oid in changes.new_parts]
    rewritten = [part.name for part in plan.parts if part.oid in changes.rewritten_parts]
    if new:
        yield f"{_listed(new)} came to it since the last load: read whole"
    if rewritten:
        yield (
            f"{_listed(rewritten)}: truncated or rewritten since the last load; what was written "
            "since is read, wherever its cursor lies"
        )


def _listed(names: list[str]) -> str:
    """The first few of them."""
    listed = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{listed} and {more:,} more" if more > 0 else listed


def queries_for_arrived(session: SourceSession, plan: TablePlan, read: str) -> Iterator[str]:
    """Queries of the source for the rows whose keys are in the temporary table `ARRIVED`.

    However many there are, only their places are held, where DuckDB can spill them.

    Args:
        read: the condition for all rows that can't be among them.
    """
    keys = ", ".join(names_of_key(plan.key_columns))
    unread = session.rows_of(addresses_query(plan, f"not coalesce({read}, false)"))
    with little_memory(session):
        session.execute(
            f"create or replace temp table places as select {PART}, {PLACE}, "
            f"(row_number() over (partition by {PART}) - 1) // {_PLACES_AT_A_TIME} as batch "
            f"from (select *, {named_key(plan.key_columns)} from {unread}) "
            f"semi join {ARRIVED} using ({keys})"
        )
    batches = session.execute(f"select distinct {PART}, batch from places order by all").fetchall()
    for part, batch in batches:
        (places,) = session.execute(
            f"select list({PLACE}) from places where {PART} = $part and batch = $batch",
            {"part": part, "batch": batch},
        ).fetchall()[0]
        listed = literal("{" + ",".join(f'"{place}"' for place in places) + "}")
        yield rows_query(plan, f"tableoid = {part} and ctid = any({listed}::tid[])")
