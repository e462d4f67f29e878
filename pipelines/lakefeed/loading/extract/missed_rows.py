"""Reads rows that are in the source but not in raw, and that the cursor doesn't reveal.

They appear when a partition is attached, when another table takes the name, or when rows below the
checkpoint are restored. They are read by physical location (`ctid`) at the snapshot at which their
keys were compared: a row keeps its location as long as a transaction can see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lakefeed.declaration.catalogue import Part
from lakefeed.loading.extract.delete_detection import ARRIVED, Moved, limited_memory
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
from lakefeed.wording import counted, named

# Makes a query of about 150 kB.
_PLACES_AT_A_TIME = 10_000


def read_anyway(plan: TablePlan, by_cursor: str, parts: Mapping[Part, str]) -> str:
    """A condition in the source's SQL for rows that this load reads anyway, or that no load reads.

    Args:
        by_cursor: the condition for the rows that the cursor selects.
        parts: parts with further rows to read, each with the condition for these rows.
    """
    of_parts = (f"tableoid = {part.oid} and ({rows})" for part, rows in parts.items())
    return " or ".join([f"({by_cursor})", f"not ({ever_loaded(plan)})", *of_parts])


def queries_for_parts(plan: TablePlan, by_cursor: str, parts: Mapping[Part, str]) -> list[str]:
    """Queries for the rows of these parts that the cursor doesn't select."""
    return [
        part_query(plan, part, f"({rows}) and not coalesce({by_cursor}, false)")
        for part, rows in parts.items()
    ]


def note_of_arrived(moved: Moved) -> str:
    """The note about rows that only the comparison of keys found."""
    rows = counted(moved.arrived, "row")
    return (
        f"loaded {rows} that appeared or reappeared below the cursor's checkpoint (an attached "
        "partition, a swapped table, a restore)"
    )


def notes_of_parts(plan: TablePlan, changes: ContractChanges) -> Iterator[str]:
    """The notes about parts that were added or rewritten since the latest load."""
    new = [part.name for part in plan.parts if part.oid in changes.new_parts]
    rewritten = [part.name for part in plan.parts if part.oid in changes.rewritten_parts]
    if new:
        yield f"{named(new)} added since the last load: reading it whole"
    if rewritten:
        yield (
            f"{named(rewritten)} truncated or rewritten since the last load: reading all rows "
            "written since, whatever their cursor value"
        )


def queries_for_arrived(session: SourceSession, plan: TablePlan, read: str) -> Iterator[str]:
    """Queries for the rows with a key in the temporary table `ARRIVED`.

    Memory stays bounded: only the rows' locations are kept, where DuckDB can spill them to disk.

    Args:
        read: the condition for rows that can't be among them.
    """
    keys = ", ".join(names_of_key(plan.key_columns))
    unread = session.rows_of(addresses_query(plan, f"not coalesce({read}, false)"))
    with limited_memory(session):
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
