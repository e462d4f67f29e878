"""The raw files of loads by what is in them, for engines that must be told a file's columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from lakefeed.declaration.project import Location
from lakefeed.errors import Refused
from lakefeed.loading.object_store.file_cache import cache_folder, copy_of
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.scan import is_compact
from lakefeed.transformation.dbt_adapter.announcement import log_of
from lakefeed.transformation.dbt_adapter.ranges import RawFile, refuse_out_of_range

_MOST_REQUESTS = 8
# Footers are shorter than this, as a rule.
_TAIL_BYTES = 65_536
_UUID_BYTES = 16
_BY_ARROW = {
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "float": "float",
    "double": "double",
    "bool": "boolean",
    "string": "varchar",
    "large_string": "varchar",
    "binary": "blob",
    "large_binary": "blob",
    "date32[day]": "date",
    "time64[us]": "time",
    "extension<arrow.uuid>": "uuid",
}


@dataclass(frozen=True)
class FileGroup:
    """Files with the same columns of the same lake types, named from the table's folder.

    `named` has, for files that may contain rows of other loads, the load ids that name each file.
    """

    columns: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    named: Mapping[str, Collection[str]]


def grouped_files(
    loads: Sequence[Mapping[str, Any]],
    wanted: Collection[str],
    raw: Location | None,
    engine: str,
    *,
    has_short_ranges: bool = False,
) -> list[FileGroup]:
    """The files that these loads of one table name, by the wanted columns that they have.

    Args:
        engine: what reads them, as errors name it.
        has_short_ranges: its days end with the year 9999, and so on (ranges.py).

    Raises:
        Refused: a file has a column of a type that no lake type stands for, or a value that the
            engine hasn't.
    """
    naming: dict[str, set[str]] = defaultdict(set)
    for load in loads:
        for file in load["files"]:
            naming[file].add(load["load_id"])
    if not naming:
        return []
    log = log_of(loads[0]["folder"], raw)
    groups: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    with ThreadPoolExecutor(1 if log.raw.is_local else _MOST_REQUESTS) as threads:
        footers = threads.map(lambda file: footer_of(log, file), naming)
        for file, footer in zip(naming, footers, strict=True):
            columns = _columns(file, footer.schema.to_arrow_schema(), wanted, engine)
            if has_short_ranges:
                found = RawFile(file, footer, partial(_integers, log, file))
                refuse_out_of_range(found, columns, engine)
            groups[columns].append(file)
    return [
        FileGroup(columns, tuple(files), {f: naming[f] for f in files if is_compact(f)})
        for columns, files in groups.items()
    ]


def footer_of(log: CommitLog, file: str) -> Any:
    """The metadata in a file's footer, of its copy on this machine if there is one."""
    from pyarrow.parquet import read_metadata

    if log.raw.is_local:
        return read_metadata(f"{log.folder}/{file}")
    copy = copy_of(cache_folder(log.raw, log.lake_name), file)
    if copy.exists() and not is_compact(file):
        return read_metadata(copy)
    options = {"cache_type": "none", "block_size": _TAIL_BYTES}
    with log.filesystem.open(f"{log.folder}/{file}", "rb", **options) as opened:
        return read_metadata(opened)


def _integers(log: CommitLog, file: str, column: str) -> list[int | None]:
    """The values of a column of times as they are stored."""
    import pyarrow as pa
    from pyarrow.parquet import read_table

    with log.filesystem.open(f"{log.folder}/{file}", "rb") as opened:
        values = read_table(opened, columns=[column]).column(0).combine_chunks()
    stored = pa.int32() if pa.types.is_date32(values.type) else pa.int64()
    found: list[int | None] = values.view(stored).to_pylist()
    return found


def _columns(
    file: str, schema: Any, wanted: Collection[str], engine: str
) -> tuple[tuple[str, str], ...]:
    columns = []
    for field in schema:
        if field.name not in wanted:
            continue
        lake_type = lake_type_of(field.type)
        if lake_type is None:
            raise Refused(
                f"column {field.name} has the type {field.type}, which {engine} can't read",
                where=file,
                do="reload the table: lakefeed run --full-refresh",
            )
        columns.append((field.name, lake_type))
    return tuple(sorted(columns))


def lake_type_of(kind: Any) -> str | None:
    """The lake type with which a Parquet column of an Arrow type was written; None for no such."""
    import pyarrow.types as arrow

    if arrow.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if arrow.is_timestamp(kind):
        return ("timestamptz" if kind.tz else "timestamp") if kind.unit == "us" else None
    if arrow.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        return "uuid"
    return _BY_ARROW.get(str(kind))
