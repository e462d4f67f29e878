"""Opens the rows of loads in Spark, from exactly the files that the loads name.

Spark unites files of different columns or types in several ways, each of which fails or changes
values for some (docs/spark.md). So the files are grouped by their columns, each group is read as
what it is, and the groups are cast to the declared types before they are united.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lakefeed.declaration.project import Location
from lakefeed.loading.raw.scan import LOAD_ID
from lakefeed.source.inspection.types import widens
from lakefeed.transformation.dbt_adapter.file_groups import FileGroup, grouped_files
from lakefeed.transformation.dbt_adapter.spark.raw_files import patterns_of
from lakefeed.transformation.dbt_adapter.spark.types import RawColumn, spark_type
from lakefeed.transformation.targets.spark import (
    Session,
    quoted,
    setting,
    text_literal,
    values,
)

# Of each row: the first column whose value its declared type would round or lose; null for none.
LOST = "_lakefeed_lost"

_DELETED_AT = "_deleted_at"
_FILE = "_lakefeed_file"
# A temporary view of files doesn't have their `_metadata`.
_NAME = "substring_index(input_file_name(), '/', -1)"

# Spark's reader of whole columns refuses an encoding of floats that DuckDB writes
# (BYTE_STREAM_SPLIT); its reader of rows knows it. Iceberg's tables have readers of their own.
_FAST_READER = "spark.sql.parquet.enableVectorizedReader"


def open_rows(
    session: Session,
    view: str,
    loads: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    raw: Location | None,
) -> dict[str, str]:
    """Makes a temporary view of the rows of these loads: these columns, `_deleted_at`,
    `_dlt_load_id`, and `_lakefeed_lost`.

    A row counts only for a load that names its file. A value that its declared type can't hold is
    null, and its column is named in `_lakefeed_lost`.

    Args:
        session: one alone, to which the view belongs, and a setting with which it must be read.
        loads: of one table, as announced (announcement.py).
        columns: the declared lake types, by name.
        raw: the raw layer, as for `announce`.

    Returns:
        for each column whose values may be lost: the lake types in its files.

    Raises:
        Refused: a file has a column of a type that Spark can't be told how to read.
    """
    wanted = {**columns, _DELETED_AT: "timestamptz", LOAD_ID: "varchar"}
    groups = grouped_files(loads, wanted, raw, "Spark")
    session.run(setting(_FAST_READER, str(not _has_floats(groups)).lower()))
    selects = []
    for number, group in enumerate(groups):
        rows = _open(session, f"{view}_{number}", group, loads, raw)
        selects.append(_select(rows, group, wanted))
    united = "\nunion all\n".join(selects) if selects else _no_rows(wanted)
    session.run(f"create or replace temporary view {quoted(view)} as\n{united}")
    return _changed(groups, wanted)


def _has_floats(groups: Sequence[FileGroup]) -> bool:
    return any(kind in ("float", "double") for group in groups for _, kind in group.columns)


def _open(
    session: Session,
    view: str,
    group: FileGroup,
    loads: Sequence[Mapping[str, Any]],
    raw: Location | None,
) -> str:
    """Makes temporary views of a group's files.

    Returns:
        The rows in them as a from-clause item, without those of loads that don't name their file.
    """
    columns = [RawColumn(name, kind) for name, kind in group.columns]
    schema = ", ".join(f"{quoted(c.name)} {c.declared}" for c in columns)
    opened = []
    for number, pattern in enumerate(patterns_of(group.files, loads, raw)):
        opened.append(quoted(f"{view}_{number}"))
        # Otherwise, Spark adds a column for the day in the name of a file's folder.
        options = f"path {text_literal(pattern)}, recursiveFileLookup 'true'"
        session.run(
            f"create or replace temporary view {opened[-1]} ({schema}) "
            f"using parquet options ({options})"
        )
    if not group.named:
        return f"({' union all '.join(f'select * from {one}' for one in opened)})"
    rows = " union all ".join(f"select *, {_NAME} as {_FILE} from {one}" for one in opened)
    return f"(select * from ({rows}) where {_counts(group.named)})"


def _counts(named: Mapping[str, Collection[str]]) -> str:
    """The condition that a load names the file that a row of it is in."""
    # Spark names a file without its folders.
    by_name = {file.rpartition("/")[2]: " ".join(sorted(ids)) for file, ids in named.items()}
    files = ", ".join(map(text_literal, by_name))
    pairs = values([(text_literal(file), text_literal(ids)) for file, ids in by_name.items()])
    # A file of one load needs no pair.
    return (
        f"{_FILE} not in ({files}) or ({_FILE}, {LOAD_ID}) in "
        f"(select file, explode(split(ids, ' ')) from values {pairs} as named (file, ids))"
    )


def _select(rows: str, group: FileGroup, wanted: Mapping[str, str]) -> str:
    present = {name: RawColumn(name, kind) for name, kind in group.columns}
    read, lost = [], []
    for name, declared in wanted.items():
        wanted_type, column = spark_type(declared), present.get(name)
        value = column.read_by(quoted(name)) if column else "null"
        if column is None or column.lake_type == declared:
            read.append(f"cast({value} as {wanted_type}) as {quoted(name)}")
            continue
        fitted = f"try_cast({value} as {wanted_type})"
        read.append(f"{fitted} as {quoted(name)}")
        if _may_lose(column, declared):
            back = f"try_cast({fitted} as {spark_type(column.lake_type)})"
            lost.append(f"when {value} is distinct from {back} then {text_literal(name)}")
    first_lost = f"case {' '.join(lost)} end" if lost else "cast(null as string)"
    listed = ",\n    ".join([*read, f"{first_lost} as {LOST}"])
    return f"select\n    {listed}\nfrom {rows}"


def _may_lose(column: RawColumn, declared: str) -> bool:
    is_same = spark_type(column.lake_type) == spark_type(declared)
    return not is_same and not widens(column.lake_type, declared)


def _no_rows(wanted: Mapping[str, str]) -> str:
    nulls = [f"cast(null as {spark_type(kind)}) as {quoted(name)}" for name, kind in wanted.items()]
    return f"select {', '.join(nulls)}, cast(null as string) as {LOST} where false"


def _changed(groups: Sequence[FileGroup], wanted: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, list[str]] = defaultdict(list)
    for group in groups:
        for name, kind in group.columns:
            declared = wanted[name]
            if kind != declared and _may_lose(RawColumn(name, kind), declared):
                found[name].append(kind)
    return {name: " and ".join(sorted(set(types))) for name, types in found.items()}
