"""The latest version of each row of a table among consecutive committed loads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from lakefeed.declaration.catalogue import Column
from lakefeed.loading.plan.column_names import DELETED_AT
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.nearest_files import nearest_files
from lakefeed.loading.raw.scan import Named, change_of, has_changes, rows_of
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.equality import compared_key, named_key, names_of_key, same_key
from lakefeed.source.inspection.types import lake_type
from lakefeed.sql import literal, quote

# Additional columns: the position of a row's load in the order of loads; when its key was deleted.
POSITION = "_lakefeed_position"
GONE = "_lakefeed_gone"
# What `Detached.since` says of a row.
LEFT = "_lakefeed_left"


@dataclass(frozen=True)
class LatestRows:
    """Committed loads of a table in their effective order, and the files that they name."""

    loads: tuple[Load, ...]
    files: tuple[Named, ...]
    # Committed files don't change, so their types are asked for once.
    _types: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, log: CommitLog, loads: Sequence[Load]) -> LatestRows:
        """These loads, with paths that DuckDB can open."""
        paths = nearest_files(log, loads)
        named = [Named(load.load_id, paths[file]) for load in loads for file in load.files]
        return cls(tuple(loads), tuple(named))

    def __bool__(self) -> bool:
        return bool(self.files)

    @property
    def relation(self) -> str:
        """All rows of these loads, as a from-clause item."""
        return rows_of(self.files)

    @property
    def position(self) -> str:
        """An expression for the position of a row's load in the order of loads, from 1."""
        listed = ", ".join(literal(load.load_id) for load in self.loads)
        return f"list_position([{listed}], _dlt_load_id)"

    def types(self, session: SourceSession) -> dict[str, str]:
        """DuckDB's type of each column, by lower-case name."""
        if not self._types:
            described = session.execute(f"describe from {self.relation}").fetchall()
            self._types.update((row[0].lower(), row[1]) for row in described)
        return self._types

    def newest_rows(self, session: SourceSession, plan: TablePlan, among: str | None = None) -> str:
        """A query for the latest version of each row that hasn't been deleted since.

        Without a key, or with a single load that isn't from the log, each row has only one version.

        Args:
            among: a table with the keys to look for; None for all keys.
        """
        types = self.types(session)
        not_deleted = f"where {_deleted_at(types)} is null"
        is_read_once = len(self.loads) == 1 and not has_changes(types)
        has_one_version = is_read_once or not plan.key
        if has_one_version or any(name.lower() not in types for name in plan.key):
            return f"select {columns_of(plan, types)} from {self.relation} {not_deleted}"
        keys = ", ".join(compared_key(plan.key_columns))
        same = same_key(plan.key_columns, "versions", among) if among else ""
        with_keys = f"semi join {among} on {same}" if among else ""
        return (
            f"select {columns_of(plan, types)} from (from {self.relation} as versions {with_keys} "
            f"qualify row_number() over (partition by {keys} "
            f"order by {self._newest_first(types)}) = 1) "
            f"{not_deleted}"
        )

    def keys(self, session: SourceSession, plan: TablePlan, left: str = "0") -> str:
        """A query for each key, named as in `named_key`, with the POSITION of its latest version,
        the time of its deletion as GONE, and of this version the expression `left` as LEFT.
        """
        keys = ", ".join(names_of_key(plan.key_columns))
        types = self.types(session)
        deleted_at = _deleted_at(types)
        if has_changes(types):
            return (
                f"select {keys}, {POSITION}, {deleted_at} as {GONE}, {left} as {LEFT} from "
                f"(select *, {named_key(plan.key_columns)}, {self.position} as {POSITION} "
                f"from {self.relation}) qualify row_number() over (partition by {keys} "
                f"order by {self._newest_first(types)}) = 1"
            )
        return (
            f"select {keys}, max({POSITION}) as {POSITION}, "
            f"arg_max_null({deleted_at}, {POSITION}) as {GONE}, "
            f"arg_max_null({left}, {POSITION}) as {LEFT} from (select *, "
            f"{named_key(plan.key_columns)}, {self.position} as {POSITION} from {self.relation}) "
            f"group by {keys}"
        )

    def last_of_each_load(self, session: SourceSession, keys: str, rows: str) -> str:
        """A clause that leaves of each row in one load only the last version.

        Args:
            keys: the columns to tell rows by.
            rows: the alias of the rows, which are from one load for each key.
        """
        types = self.types(session)
        if not has_changes(types):
            return ""
        change = change_of(types, rows)
        return f"qualify row_number() over (partition by {keys} order by {change} desc) = 1"

    def _newest_first(self, types: dict[str, str]) -> str:
        """What to order versions of a row by."""
        change = f", {change_of(types)} desc" if has_changes(types) else ""
        return f"{self.position} desc{change}"

    def as_planned(
        self, session: SourceSession, plan: TablePlan, hidden: Collection[str] = ()
    ) -> str:
        """A select list of the plan's columns with their current types.

        A value that no longer fits its column becomes null; the row's earlier version keeps it.

        Args:
            hidden: columns that become null whatever their values.
        """
        known = {name for name in self.types(session) if name not in {h.lower() for h in hidden}}
        return ", ".join(
            f"try_cast({quote(column.name) if column.name.lower() in known else 'null'} "
            f"as {lake_type(column.type).duckdb}) as {quote(column.name)}"
            for column in plan.columns
        )


def columns_of(plan: TablePlan, types: dict[str, str]) -> str:
    """A select list of the plan's columns; columns that the files lack are null."""
    return ", ".join(
        quote(column.name)
        if column.name.lower() in types
        else f"cast(null as {lake_type(column.type).duckdb}) as {quote(column.name)}"
        for column in plan.columns
    )


def as_compared(column: Column, relation: str) -> str:
    """A column as an expression to compare by, as text for floats: DuckDB has 0.0 equal -0.0."""
    name = f"{relation}.{quote(column.name)}"
    return f"{name}::varchar" if lake_type(column.type).duckdb in ("float", "double") else name


def as_counted(column: Column, relation: str) -> str:
    """A column as an expression to count equal rows by: like `as_compared`, but -0.0 equals 0.0.

    DuckDB's Parquet writer keeps one of them for both where it encodes a column by a dictionary.
    """
    value = as_compared(column, relation)
    is_float = lake_type(column.type).duckdb in ("float", "double")
    return f"if({value} = '-0.0', '0.0', {value})" if is_float else value


def _deleted_at(types: dict[str, str]) -> str:
    return DELETED_AT if DELETED_AT in types else "null::timestamptz"
