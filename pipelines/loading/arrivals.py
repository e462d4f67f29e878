"""Rows that are in the source, and not in raw, though nothing that a cursor shows has changed.

They come with a partition that was attached, with a table that took another's name, or are restored
below the checkpoint. They are read by their places, at the snapshot that their keys were compared
at: a row stays in its place as long as a transaction can see it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.loading.deletes import ARRIVED, little_memory
from pipelines.loading.engine import literal
from pipelines.loading.plan import TablePlan
from pipelines.loading.queries import PART, PLACE, addresses_query, rows_query
from pipelines.loading.session import SourceSession
from pipelines.source.equality import named_key, names_of_key

# Makes a query of some 150 kB.
_PLACES_AT_A_TIME = 10_000


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
