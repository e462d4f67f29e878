"""What raw holds of a table: the newest version of each row among a run of committed loads."""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.declaration.catalogue import Column
from lakefeed.loading.plan.table_plan import DELETED_AT, TablePlan
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.scan import Named, rows_of
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.equality import compared_key, named_key, names_of_key, same_key
from lakefeed.source.inspection.types import lake_type
from lakefeed.sql import literal, quote

# Columns beside the table's own: at which place a row's load counts; since when its key is gone.
POSITION = "_lakefeed_position"
GONE = "_lakefeed_gone"


@dataclass(frozen=True)
class LatestRows:
    """Committed loads of a table, in the order in which they count, and the files they name."""

    loads: tuple[Load, ...]
    files: tuple[Named, ...]

    @classmethod
    def of(cls, log: CommitLog, loads: list[Load]) -> LatestRows:
        """These loads, with paths that DuckDB can open."""
        named = [Named(load.load_id, log.path_of(f)) for load in loads for f in load.files]
        return cls(tuple(loads), tuple(named))

    def __bool__(self) -> bool:
        return bool(self.files)

    @property
    def relation(self) -> str:
        """All rows of these loads, as a from-clause item."""
        return rows_of(self.files)

    @property
    def position(self) -> str:
        """An expression: at which place the load of a row counts, from 1."""
        listed = ", ".join(literal(load.load_id) for load in self.loads)
        return f"list_position([{listed}], _dlt_load_id)"

    def types(self, session: SourceSession) -> dict[str, str]:
        """DuckDB's type of each column, by its name in lower case."""
        described = session.execute(f"describe from {self.relation}").fetchall()
        return {row[0].lower(): row[1] for row in described}

    def newest_rows(self, session: SourceSession, plan: TablePlan, among: str | None = None) -> str:
        """A query for the newest version of each row that was not found deleted since.

        Without a key: all rows. A single load holds each row once.

        Args:
            among: a table with the keys to look for; all where None.
        """
        types = self.types(session)
        alive = f"where {_deleted_at(types)} is null"
        one_version = len(self.loads) == 1 or not plan.key
        if one_version or any(name.lower() not in types for name in plan.key):
            return f"select {columns_of(plan, types)} from {self.relation} {alive}"
        keys = ", ".join(compared_key(plan.key_columns))
        same = same_key(plan.key_columns, "held", among) if among else ""
        wanted = f"semi join {among} on {same}" if among else ""
        return (
            f"select {columns_of(plan, types)} from (from {self.relation} as held {wanted} "
            f"qualify row_number() over (partition by {keys} order by {self.position} desc) = 1) "
            f"{alive}"
        )

    def keys(self, session: SourceSession, plan: TablePlan) -> str:
        """A query for each key, as `named_key` has it, with the POSITION of its newest version, and
        since when it is GONE.
        """
        keys = ", ".join(names_of_key(plan.key_columns))
        gone = _deleted_at(self.types(session))
        return (
            f"select {keys}, max({POSITION}) as {POSITION}, "
            f"arg_max_null({gone}, {POSITION}) as {GONE} from (select *, "
            f"{named_key(plan.key_columns)}, {self.position} as {POSITION} from {self.relation}) "
            f"group by {keys}"
        )

    def as_planned(self, session: SourceSession, plan: TablePlan) -> str:
        """The plan's columns with the types that they have now, as a select list.

        A value that its column can't hold any more is null; the row's earlier version keeps it.
        """
        types = self.types(session)
        return ", ".join(
            f"try_cast({quote(column.name) if column.name.lower() in types else 'null'} "
            f"as {lake_type(column.type).duckdb}) as {quote(column.name)}"
            for column in plan.columns
        )


def columns_of(plan: TablePlan, types: dict[str, str]) -> str:
    """The plan's columns as a select list; null where the files have none of that name."""
    return ", ".join(
        quote(column.name)
        if column.name.lower() in types
        else f"cast(null as {lake_type(column.type).duckdb}) as {quote(column.name)}"
        for column in plan.columns
    )


def as_compared(column: Column, relation: str) -> str:
    """The column as it is compared: to DuckDB 0.0 equals -0.0, but their texts differ."""
    name = f"{relation}.{quote(column.name)}"
    return f"{name}::varchar" if lake_type(column.type).duckdb in ("float", "double") else name


def _deleted_at(types: dict[str, str]) -> str:
    return DELETED_AT if DELETED_AT in types else "null::timestamptz"
