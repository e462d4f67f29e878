"""The raw files of loads as Spark must be told of them: where they are, and what is in them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Location
from lakefeed.errors import Refused
from lakefeed.loading.object_store.file_cache import cache_folder, copy_of
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.scan import is_compact
from lakefeed.transformation.dbt_adapter.announcement import log_of
from lakefeed.transformation.dbt_adapter.spark.types import RawColumn, lake_type_of

_MOST_REQUESTS = 8
# Hadoop takes paths as patterns, in which a backslash makes a sign stand for itself.
_SIGNS = re.compile(r"([*?\[\]{}\\])")
# Footers are shorter than this, as a rule.
_TAIL_BYTES = 65_536


@dataclass(frozen=True)
class FileGroup:
    """Files with the same columns of the same types, as paths that Spark takes.

    `named` has, for files that may contain rows of other loads, the load ids that name each file,
    by its name without folders.
    """

    columns: tuple[RawColumn, ...]
    paths: tuple[str, ...]
    named: Mapping[str, Collection[str]]


def grouped_files(
    loads: Sequence[Mapping[str, Any]], wanted: Collection[str], raw: Location | None
) -> list[FileGroup]:
    """The files that these loads of one table name, by the wanted columns that they have.

    Raises:
        Refused: a file has a column of a type that Spark can't be told how to read.
    """
    naming: dict[str, set[str]] = defaultdict(set)
    for load in loads:
        for file in load["files"]:
            naming[file].add(load["load_id"])
    if not naming:
        return []
    log = log_of(loads[0]["folder"], raw)
    groups: dict[tuple[RawColumn, ...], list[str]] = defaultdict(list)
    with ThreadPoolExecutor(1 if log.raw.is_local else _MOST_REQUESTS) as threads:
        schemas = threads.map(lambda file: _schema(log, file), naming)
        for file, schema in zip(naming, schemas, strict=True):
            groups[_columns(file, schema, wanted)].append(file)
    return [
        FileGroup(
            columns,
            tuple(_seen_by_spark(log, file) for file in files),
            {f.rpartition("/")[2]: naming[f] for f in files if is_compact(f)},
        )
        for columns, files in groups.items()
    ]


def _schema(log: CommitLog, file: str) -> Any:
    """The Arrow schema in a file's footer, of its copy on this machine if there is one."""
    from pyarrow.parquet import read_schema

    if log.raw.is_local:
        return read_schema(f"{log.folder}/{file}")
    copy = copy_of(cache_folder(log.raw, log.lake_name), file)
    if copy.exists() and not is_compact(file):
        return read_schema(copy)
    options = {"cache_type": "none", "block_size": _TAIL_BYTES}
    with log.filesystem.open(f"{log.folder}/{file}", "rb", **options) as opened:
        return read_schema(opened)


def _columns(file: str, schema: Any, wanted: Collection[str]) -> tuple[RawColumn, ...]:
    columns = []
    for field in schema:
        if field.name not in wanted:
            continue
        lake_type = lake_type_of(field.type)
        if lake_type is None:
            raise Refused(
                f"column {field.name} has the type {field.type}, which Spark can't read",
                where=file,
                do="reload the table: lakefeed run --full-refresh",
            )
        columns.append(RawColumn(field.name, lake_type))
    return tuple(sorted(columns, key=lambda column: column.name))


def _seen_by_spark(log: CommitLog, file: str) -> str:
    """The path of a file as Hadoop's file systems name it, taken literally."""
    if log.raw.is_local:
        return "file:" + _SIGNS.sub(r"\\\1", str(Path(log.folder, file).resolve()))
    scheme, _, path = f"{log.raw.url}/{log.lake_name}/{file}".partition("://")
    return f"{'s3a' if scheme == 's3' else scheme}://" + _SIGNS.sub(r"\\\1", path)
