"""Opens the rows of loads in BigQuery, from exactly the files that the loads name.

A load job takes files of one schema. So the files are grouped by their columns, each group is
loaded as what it is into a table of its own, and the groups are cast to the declared types where
they are read. These tables are in a dataset whose tables expire by themselves.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefeed.declaration.project import Location
from lakefeed.errors import Refused
from lakefeed.loading.dlt_settings.schemes import scheme_of
from lakefeed.loading.raw.scan import LOAD_ID
from lakefeed.transformation.dbt_adapter.announcement import log_of
from lakefeed.transformation.dbt_adapter.bigquery.types import RawColumn, bigquery_type
from lakefeed.transformation.dbt_adapter.file_groups import FileGroup, grouped_files
from lakefeed.transformation.targets.bigquery import (
    quoted,
    start_loading,
    text_literal,
    translated,
)

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

# Of each row: the first column whose value its declared type would round or lose; null for none.
LOST = "_lakefeed_lost"
# The dataset of rows that are being staged; names that begin so are hidden in the console.
LOADING = "_lakefeed_loading"

_DELETED_AT = "_deleted_at"
_EXPIRES_AFTER = 86_400_000
# https://cloud.google.com/bigquery/docs/schemas#flexible-column-names
_NOT_IN_NAMES = frozenset('!"$()*,./;?@[\\]^`{}~')


@dataclass(frozen=True)
class OpenedRows:
    """Rows of loads.

    Attributes:
        query: the select of these columns, `_deleted_at`, `_dlt_load_id` and `_lakefeed_lost`.
        changed: for each column whose values may be lost: the lake types in its files.
        tables: what the query reads, which may be dropped once they are staged.
    """

    query: str
    changed: dict[str, str]
    tables: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """Files of one schema, and the loads whose rows in them count; None if all do."""

    group: FileGroup
    files: tuple[str, ...]
    counting: frozenset[str] | None

    @property
    def columns(self) -> list[RawColumn]:
        return [RawColumn(name, kind) for name, kind in self.group.columns]

    @property
    def loaded(self) -> dict[str, str]:
        """The types that load jobs write, by column."""
        return {column.name: column.loaded_as for column in self.columns}


def open_rows(
    client: Client,
    loads: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    raw: Location | None,
) -> OpenedRows:
    """Loads the files of these loads into tables of their own.

    A row counts only for a load that names its file. A value that its declared type can't hold is
    null, and its column is named in `_lakefeed_lost`.

    Args:
        loads: of one table, as announced (announcement.py).
        columns: the declared lake types, by name.
        raw: the raw layer, as for `announce`.

    Raises:
        Refused: raw isn't where BigQuery reads it; or a file has a column or a value that BigQuery
            doesn't have.
        StatementFailed: BigQuery refused a load job.
    """
    wanted = {**columns, _DELETED_AT: "timestamptz", LOAD_ID: "varchar"}
    _refuse_names(columns)
    if raw is None or scheme_of(raw) != "gs":
        raise raw_elsewhere(raw)
    groups = grouped_files(loads, wanted, raw, "BigQuery", has_short_ranges=True)
    parts = [part for group in groups for part in _parts(group)]
    folder = f"{raw.url}/{log_of(loads[0]['folder'], raw).lake_name}" if loads else ""
    tables = [f"{LOADING}.rows_{uuid.uuid4().hex}" for _ in parts]
    with translated(client):
        jobs = [
            job
            for table, part in zip(tables, parts, strict=True)
            for job in start_loading(
                client, table, part.loaded, [f"{folder}/{f}" for f in part.files]
            )
        ]
        for job in jobs:
            job.result()
    selects = [_select(table, part, wanted) for table, part in zip(tables, parts, strict=True)]
    query = "\nunion all\n".join(selects) if selects else _no_rows(wanted)
    return OpenedRows(query, _changed(groups, wanted), tuple(tables))


def raw_elsewhere(raw: Location | None) -> Refused:
    """The error for a raw layer that BigQuery can't read."""
    place = raw.url if raw else "a folder on this machine"
    return Refused(
        f"BigQuery loads raw files from Google's object store, and raw is in {place}",
        where="sources.yaml: raw.url",
        do="declare `raw: {url: gs://bucket/raw}`, with a bucket in the warehouse's location",
    )


def make_loading_dataset(client: Client) -> None:
    """Creates the dataset of rows that are being staged, unless it exists."""
    from google.cloud.bigquery import Dataset

    dataset = Dataset(f"{client.project}.{LOADING}")
    dataset.location = client.location
    dataset.default_table_expiration_ms = _EXPIRES_AFTER
    with translated(client):
        client.create_dataset(dataset, exists_ok=True)


def _refuse_names(columns: Mapping[str, str]) -> None:
    for name in columns:
        if signs := _NOT_IN_NAMES.intersection(name):
            raise Refused(
                f"column {name} has {''.join(sorted(signs))} in its name, which BigQuery's names "
                "can't have: leave the column out (`columns: {exclude: …}`), or load it under "
                "another name by a query"
            )


def _parts(group: FileGroup) -> list[_Part]:
    """A group's files, apart by the loads that name them, where a file has rows of several."""
    by_loads: dict[frozenset[str] | None, list[str]] = defaultdict(list)
    for file in group.files:
        by_loads[frozenset(group.named[file]) if file in group.named else None].append(file)
    return [_Part(group, tuple(files), counting) for counting, files in by_loads.items()]


def _select(table: str, part: _Part, wanted: Mapping[str, str]) -> str:
    present = {column.name: column for column in part.columns}
    values, lost = [], []
    for name, declared in wanted.items():
        wanted_type, column = bigquery_type(declared), present.get(name)
        if column is None:
            values.append(f"cast(null as {wanted_type}) as {quoted(name)}")
            continue
        value = column.read_by(f"files.{quoted(name)}")
        same = bigquery_type(column.lake_type) == wanted_type
        fitted = value if same else f"safe_cast({value} as {wanted_type})"
        values.append(f"{fitted} as {quoted(name)}")
        if condition := column.lost_in(declared, value):
            lost.append(f"when {condition} then {text_literal(name)}")
    first_lost = f"case {' '.join(lost)} end" if lost else "cast(null as string)"
    listed = ",\n    ".join([*values, f"{first_lost} as {LOST}"])
    rows = f"select\n    {listed}\nfrom {quoted(*table.split('.'))} as files"
    if part.counting is None:
        return rows
    loads = ", ".join(text_literal(load) for load in sorted(part.counting))
    return f"{rows}\nwhere files.{LOAD_ID} in ({loads})"


def _no_rows(wanted: Mapping[str, str]) -> str:
    values = [
        f"cast(null as {bigquery_type(kind)}) as {quoted(name)}" for name, kind in wanted.items()
    ]
    listed = ", ".join([*values, f"cast(null as string) as {LOST}"])
    return f"select {listed} from (select 1) where false"


def _changed(groups: Sequence[FileGroup], wanted: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, set[str]] = defaultdict(set)
    for group in groups:
        for name, kind in group.columns:
            if RawColumn(name, kind).lost_in(wanted[name], name):
                found[name].add(kind)
    return {name: " and ".join(sorted(types)) for name, types in found.items()}
