"""Copies the rows of loads into temporary tables, from exactly the files that the loads name.

Files are grouped by their columns; each group is copied into a table of these columns' own types,
and the groups are cast to the declared types where they are united. COPY takes at most 1,000 named
files (https://docs.snowflake.com/en/sql-reference/sql/copy-into-table).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakefeed.declaration.project import Location
from lakefeed.loading.raw.scan import LOAD_ID
from lakefeed.source.inspection.types import widens
from lakefeed.transformation.dbt_adapter.announcement import log_of
from lakefeed.transformation.dbt_adapter.file_groups import FileGroup, grouped_files
from lakefeed.transformation.dbt_adapter.snowflake.types import RawColumn, snowflake_type
from lakefeed.transformation.targets.snowflake_names import quoted, text_literal

# Of each row: the first column whose value its declared type would round or lose; null for none.
LOST = "_lakefeed_lost"

_DELETED_AT = "_deleted_at"
_MOST_FILES = 1000
_OPTIONS = (
    "file_format = (type = parquet use_vectorized_scanner = true) "
    "match_by_column_name = case_insensitive on_error = abort_statement force = true"
)

Execute = Callable[[str], Any]


@dataclass(frozen=True)
class Stage:
    """A stage and the path of the raw layer below it; that ends with a slash, or is empty."""

    name: str
    path: str


@dataclass(frozen=True)
class _Landing:
    """A table that files of the same columns are copied into.

    `loads` are those that name the files, if these may have rows of others.
    """

    table: str
    columns: tuple[RawColumn, ...]
    files: tuple[str, ...]
    loads: tuple[str, ...] = ()


def open_rows(
    execute: Execute,
    view: str,
    loads: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    raw: tuple[Location | None, Stage],
) -> dict[str, str]:
    """Makes a temporary view of the rows of these loads: these columns, `_deleted_at`,
    `_dlt_load_id`, and `_lakefeed_lost`.

    A row counts only for a load that names its file. A value that its declared type can't hold is
    null, and its column is named in `_lakefeed_lost`.

    Args:
        execute: runs one statement.
        loads: of one table, as announced (announcement.py).
        columns: the declared lake types, by name.
        raw: the raw layer, as for `announce`, and the stage over it.

    Returns:
        for each column whose values may be lost: the lake types in its files.

    Raises:
        Refused: a file has a column of a type, or a value, that Snowflake hasn't.
    """
    location, stage = raw
    wanted = {**columns, _DELETED_AT: "timestamptz", LOAD_ID: "varchar"}
    groups = grouped_files(loads, wanted, location, "Snowflake", has_short_ranges=True)
    landings = list(_landings(view, groups))
    for landing in landings:
        lake_name = log_of(loads[0]["folder"], location).lake_name
        for statement in copies(landing, f"@{stage.name}/{stage.path}{lake_name}/"):
            execute(statement)
    selects = [_select(landing, wanted) for landing in landings]
    united = "\nunion all\n".join(selects) if selects else _no_rows(wanted)
    execute(f"create or replace temporary view {quoted(view)} as\n{united}")
    return _changed(groups, wanted)


def copies(landing: _Landing, folder: str) -> Iterator[str]:
    """The statements that make the table and copy the files into it, all or none."""
    typed = ", ".join(f"{quoted(one.name)} {one.landed}" for one in landing.columns)
    yield f"create or replace temporary table {quoted(landing.table)} ({typed})"
    for first in range(0, len(landing.files), _MOST_FILES):
        files = ", ".join(map(text_literal, landing.files[first : first + _MOST_FILES]))
        yield f"copy into {quoted(landing.table)} from {folder} files = ({files}) {_OPTIONS}"


def _landings(view: str, groups: Sequence[FileGroup]) -> Iterator[_Landing]:
    number = 0
    for group in groups:
        by_loads: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for file in group.files:
            by_loads[tuple(sorted(group.named.get(file, ())))].append(file)
        columns = tuple(RawColumn(name, kind) for name, kind in group.columns)
        for loads, files in by_loads.items():
            yield _Landing(f"{view}_{number}", columns, tuple(files), loads)
            number += 1


def _select(landing: _Landing, wanted: Mapping[str, str]) -> str:
    present = {column.name: column for column in landing.columns}
    values, lost = [], []
    for name, declared in wanted.items():
        wanted_type, column = snowflake_type(declared), present.get(name)
        if column is None or column.lake_type == declared:
            value = column.read_by(quoted(name)) if column else "null"
            values.append(f"cast({value} as {wanted_type}) as {quoted(name)}")
            continue
        value = column.read_by(quoted(name))
        # try_cast takes texts only.
        fitted = f"try_cast(to_varchar({value}) as {wanted_type})"
        values.append(f"{fitted} as {quoted(name)}")
        if _may_lose(column, declared):
            back = f"try_cast(to_varchar({fitted}) as {snowflake_type(column.lake_type)})"
            lost.append(f"when {value} is distinct from {back} then {text_literal(name)}")
    first_lost = f"case {' '.join(lost)} end" if lost else "cast(null as varchar)"
    listed = ",\n    ".join([*values, f"{first_lost} as {quoted(LOST)}"])
    loads = ", ".join(map(text_literal, landing.loads))
    named = f"\nwhere {quoted(LOAD_ID)} in ({loads})" if landing.loads else ""
    return f"select\n    {listed}\nfrom {quoted(landing.table)}{named}"


def _may_lose(column: RawColumn, declared: str) -> bool:
    is_same = snowflake_type(column.lake_type) == snowflake_type(declared)
    return not is_same and not widens(column.lake_type, declared)


def _no_rows(wanted: Mapping[str, str]) -> str:
    values = [
        f"cast(null as {snowflake_type(kind)}) as {quoted(name)}" for name, kind in wanted.items()
    ]
    return f"select {', '.join(values)}, cast(null as varchar) as {quoted(LOST)} where false"


def _changed(groups: Sequence[FileGroup], wanted: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        for name, kind in group.columns:
            declared = wanted[name]
            if kind != declared and _may_lose(RawColumn(name, kind), declared):
                found[name].append(kind)
    return {name: " and ".join(sorted(set(types))) for name, types in found.items()}
