"""Checks the settings of single columns against the live table, and collects what they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.column_checks import problems_of_columns
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import DeclarationError, TableFailed
from lakefeed.source.connections.credentials import interpolate, unset_in
from lakefeed.source.exact_cast import can_cast
from lakefeed.source.inspection.equality import comparable
from lakefeed.source.inspection.types import lake_type
from lakefeed.source.protection import Protection
from lakefeed.source.staged_form import can_stage


def check_columns(table: Table, live: CatalogueTable, key: Sequence[str]) -> None:
    """Refuses settings of columns that don't fit the table or its key.

    Raises:
        TableFailed: names the column and its line.
    """
    for name, message in problems_of_columns(table, live):
        raise TableFailed(
            message,
            where=table.where_of(f"columns.{name}").removesuffix(" (null)"),
            do=f"the columns are: {', '.join(column.name for column in live.columns)}",
        )
    for column in live.columns:
        if column.name in key:
            _check_key_column(table, column)
        _check_type(table, column)


def _check_key_column(table: Table, column: Column) -> None:
    how, where = table.settings_of(column.name).protection, f"columns.{column.name}"
    if how in ("mask", "truncate"):
        raise TableFailed(
            f"`{column.name}` is in the primary key of {table.shown}, and `{how}` would make "
            "different keys equal",
            where=table.where_of(where),
            do="hash it instead (`hash: sha256`)",
        )
    if table.settings_of(column.name).type:
        raise TableFailed(
            f"`{column.name}` is in the primary key of {table.shown}, which keeps the source's "
            "types",
            where=table.where_of(where),
            do="remove its `type`",
        )
    is_decimal = lake_type(column.type).duckdb.startswith("decimal")
    if how and comparable(column.type) and not is_decimal:
        raise TableFailed(
            f"`{column.name}` is in the primary key of {table.shown} and can't be hashed: equal "
            f"values of type {column.type} can have different texts, and so different hashes",
            where=table.where_of(where),
            do="use other columns as the key (`primary_key: [a, b]`), or leave it clear",
        )


def _check_type(table: Table, column: Column) -> None:
    declared, where = table.settings_of(column.name).type, f"columns.{column.name}"
    possible = can_stage if table.settings_of(column.name).is_text_in_raw else can_cast
    if declared and not possible(column.type, declared):
        raise TableFailed(
            f"`{column.name}` of {table.shown} is {column.type} in the source, which can't be read "
            f"as {declared}",
            where=table.where_of(where),
            do="remove its `type`, or convert it in a model",
        )


def retyped_columns(table: Table, columns: Sequence[Column]) -> dict[str, str]:
    """The source's types of the columns that are loaded as another, declared type, by name."""
    return {
        column.name: column.type
        for column in columns
        if table.as_loaded(column).type != column.type
        and not table.settings_of(column.name).protection
    }


def protections_of(
    table: Table, columns: Sequence[Column], keys: Mapping[str, bytes]
) -> dict[str, Protection]:
    """How the values of these columns are protected, by name; clear ones are left out."""
    declared = {column.name: table.settings_of(column.name) for column in columns}
    return {
        name: Protection(settings, keys.get(name))
        for name, settings in declared.items()
        if settings.protection
    }


def hash_keys(project: Project, table: Table) -> dict[str, bytes]:
    """The keys of the table's keyed hashes by column, from the environment or `.env`.

    Those of columns that the table lacks, which defaults may name, needn't be set.

    Raises:
        TableFailed: a variable isn't set.
    """
    return {
        name: _key_of(project, table, name, declared.hash.key)
        for name, declared in table.each_column.items()
        if declared.hash and declared.hash.key
        if not (table.lacks(name) and unset_in(project, declared.hash.key))
    }


def _key_of(project: Project, table: Table, column: str, reference: str) -> bytes:
    where = table.where_of(f"columns.{column}")
    try:
        return interpolate(project, reference, where, example="a secret of 32 characters").encode()
    except DeclarationError as error:
        raise TableFailed(error.what, where=error.where, do=error.do) from None
