"""The columns of a staging model: their names and types there, and how they are read from raw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.flattened import Flattened, flattened_of
from lakefeed.declaration.table import Table
from lakefeed.source.inspection.equality import comparable
from lakefeed.source.inspection.types import lake_type
from lakefeed.source.json_value import JsonForm, json_form, parts_in
from lakefeed.source.staged_form import StagedForm, form_of
from lakefeed.sql import quote


@dataclass(frozen=True)
class StagedColumn:
    """A column of a staging model, and the column of raw that it is read from.

    Attributes:
        name: its name in staging.
        loaded: the column in raw, with the source's name and the type that it is loaded as.
        form: how it is read from text in raw; None for a cast that changes nothing.
        flattened: the value in the column of raw that it has; None if it has all of it.
    """

    name: str
    loaded: Column
    form: StagedForm | None = None
    flattened: Flattened | None = None

    @property
    def type(self) -> str:
        """DuckDB's type in staging."""
        return self.form.type if self.form else lake_type(self.loaded.type).duckdb

    @property
    def compared_as(self) -> str | None:
        """How its values are compared; None if by themselves."""
        return None if self.form else comparable(self.loaded.type)


def staged_columns(table: Table) -> list[StagedColumn]:
    """The columns of staging that come from the source: each of its columns, in their order, with
    those that it is flattened to behind it."""
    assert table.catalogue is not None
    return [
        staged
        for column in table.catalogue.columns
        if table.loads(column.name)
        for staged in (_whole(table, column), *_flattened(table, column))
    ]


def whole_columns(table: Table) -> list[StagedColumn]:
    """The same without those that columns are flattened to."""
    return [column for column in staged_columns(table) if not column.flattened]


def _whole(table: Table, column: Column) -> StagedColumn:
    loaded = table.as_loaded(column)
    return StagedColumn(table.staged_name(column.name), loaded, form_of(table, loaded, table.key))


def _flattened(table: Table, column: Column) -> Iterator[StagedColumn]:
    loaded = table.as_loaded(column)
    for value in flattened_of(table, column.name):
        form = json_form(value.steps, value.type, may_repeat=loaded.type != "jsonb")
        yield StagedColumn(value.name, loaded, form, value)


def forms_of(table: Table) -> dict[str, dict[str, str]]:
    """How columns that are text in raw are read, by their name in staging, for the macros.

    Those that have only a value of a column name it (`of`), and how it is read (`as`, by
    `readings_of`).
    """
    forms: dict[str, dict[str, str]] = {}
    for column in staged_columns(table):
        if isinstance(column.form, JsonForm) and column.flattened:
            kind = column.flattened.type
            forms[column.name] = {"of": column.loaded.name, "at": column.form.at, "as": kind}
        elif column.form:
            forms[column.name] = {"value": column.form.value, "inexact": column.form.inexact}
    return forms


def readings_of(table: Table) -> dict[str, dict[str, Any]]:
    """How values are read that columns are flattened to: by type, and the parts that these name."""
    kinds: dict[str, dict[str, str]] = {}
    parts: dict[str, str] = {}
    for column in staged_columns(table):
        if isinstance(column.form, JsonForm) and column.flattened:
            form = column.form
            kinds[column.flattened.type] = {"value": form.value, "inexact": form.inexact}
            parts |= parts_in(form)
    return {"kinds": kinds, "parts": parts} if kinds else {}


def staged_names(table: Table, columns: Sequence[str]) -> list[str]:
    """The names in staging of these columns of the source."""
    return [table.staged_name(name) for name in columns]


def as_in_raw(table: Table, staged: str) -> str:
    """A staging model, given as a from-clause item, with the names that its columns have in raw."""
    renamed = [
        f"{quote(column.name)} as {quote(column.loaded.name)}"
        for column in whole_columns(table)
        if column.name != column.loaded.name
    ]
    return f"(select * rename ({', '.join(renamed)}) from {staged})" if renamed else staged


def declared_columns(table: Table) -> dict[str, dict[str, Any]]:
    """What `sources.yaml` says about columns of the staging model, by their name in raw.

    A build records it, so that the next run tells whether to build the model again.
    """
    if not any(settings.in_staging for settings in table.each_column.values()):
        return {}
    dumped = {
        column.loaded.name: table.settings_of(column.loaded.name).in_staging
        for column in whole_columns(table)
    }
    return {name: settings for name, settings in dumped.items() if settings}
