"""Generates the dbt sources, staging models, their YAML and the profile.

Everything here is a pure function of the declaration and the catalogue; `sync` compares the result
with the files on disk. Files are generated whole; a file without the header is hand-written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from lakefeed.declaration.document.quoting import yaml_text as dumped
from lakefeed.declaration.environment.references import Template
from lakefeed.declaration.models.table_settings import Cursor
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.source.inspection.equality import comparable
from lakefeed.source.inspection.types import lake_type
from lakefeed.source.statement import tables_read
from lakefeed.transformation.generate.data_tests import tests_of_column, tests_of_table
from lakefeed.transformation.generate.staged_columns import (
    StagedColumn,
    declared_columns,
    forms_of,
    readings_of,
    staged_columns,
    staged_names,
)
from lakefeed.transformation.model_names import staging_model
from lakefeed.transformation.targets.profile import output_of

# Marks a file as generated. Existing projects contain this text: if it changes, their files would
# be taken for hand-written ones.
HEADER = "Written by `lakefeed sync` from sources.yaml; a file without this line is left alone."

# Jinja's delimiters, and a trailing newline, which Jinja drops.
_JINJA = re.compile(r"\{[{%#]|\n\Z")
_DELETED_AT = {
    "_deleted_at": "When the row was first found deleted in the source; null for existing rows."
}
_DELETED_AT_BY_LOG = {
    "_deleted_at": "When the row was deleted in the source: the time of the commit, unless it was "
    "found by reading the table; null for existing rows."
}
_PROTECTED = {
    "hash": "; loaded as the SHA-256 of its text",
    "keyed hash": "; loaded as the HMAC-SHA-256 of its text with a secret key",
    "mask": "; masked",
    "truncate": "; only the beginning of its text is loaded",
}
_LAKE_COLUMNS = {
    "_dlt_load_id": "Id of the load that contains this version of the row.",
    "_staged_batch": "Number of the build that last changed this row.",
}


def staging_model_name(table: Table) -> str:
    return staging_model(table.lake_name)


def generated_files(project: Project) -> dict[str, str]:
    """Text by path below `dbt/`, for every table in the catalogue."""
    known = [table for table in project.tables if table.catalogue]
    files = {
        "profiles.yml": yaml_text(profile(project)),
        "macros/declared_sources.sql": _declared_sources(project),
    }
    for source in project.declaration.sources:
        tables = [table for table in known if table.source == source]
        if not tables:
            continue
        folder = PurePosixPath("models/staging") / source
        files[str(folder / f"_{source}__sources.yml")] = _sources_yaml(project, source, tables)
        files[str(folder / f"_{source}__models.yml")] = _models_yaml(tables, known)
        for table in tables:
            files[str(folder / f"{staging_model_name(table)}.sql")] = macro_call("staging", table)
    return files


def macro_call(macro: str, table: Table, *more: str) -> str:
    """A model that consists of one macro call, with the table's source, key and cursor."""
    arguments = [f"source('{table.source}', '{table.short_name}')"]
    if table.key:
        listed = ", ".join(map(jinja_text, staged_names(table, table.key)))
        arguments.append(f"unique_key=[{listed}]")
    if table.cursor:
        arguments.append(f"cursor={_jinja_cursor(table, table.cursor)}")
    body = ",\n".join(f"    {argument}" for argument in [*arguments, *more])
    return f"-- {HEADER}\n{{{{ lakefeed.{macro}(\n{body}\n) }}}}\n"


def _jinja_cursor(table: Table, cursor: Cursor) -> str:
    """The cursor as the macros take it: a column, or `{'coalesce': ['a', 'b']}`."""
    listed = ", ".join(map(jinja_text, staged_names(table, cursor.columns)))
    return f"{{'{cursor.function}': [{listed}]}}" if cursor.function else listed


def described(table: Table) -> str:
    """What the table is in its source: its name, or the query and the tables that it reads."""
    if table.query is None:
        return table.qualified
    read = ", ".join(tables_read(table))
    return f"the query `{table.short_name}`" + (f" of {read}" if read else "")


def _sources_yaml(project: Project, source: str, tables: list[Table]) -> str:
    entries = [
        {
            "name": table.short_name,
            "description": f"Raw row versions of {described(table)}: one row per loaded version.",
            "config": {
                "tags": list(table.settings.tags),
                "meta": {"lakefeed": _raw_meta(project, table)},
            },
        }
        for table in tables
    ]
    return yaml_text(
        {
            "version": 2,
            "sources": [
                {
                    "name": source,
                    "schema": "raw",
                    "description": f"Raw tables of the source `{source}`.",
                    "tables": entries,
                }
            ],
        }
    )


def _raw_place(project: Project) -> str:
    """The raw layer seen from the dbt project, or the reference that the plugin replaces."""
    written = project.reference_at("raw", "url")
    return written or project.seen_from_dbt(project.declaration.raw.url)


def _raw_meta(project: Project, table: Table) -> dict[str, Any]:
    is_as_in_raw = project.declaration.warehouse.has_raws_columns
    forms = {} if is_as_in_raw else forms_of(table)
    declared = {} if is_as_in_raw else declared_columns(table)
    types = {
        column.name: lake_type(column.loaded.type).duckdb if is_as_in_raw else column.type
        for column in staged_columns(table)
    }
    return {
        "folder": f"{_raw_place(project)}/{table.lake_name}",
        "key": staged_names(table, table.key),
        **({"compared_as": compared} if (compared := compared_as(table)) else {}),
        "deletes": table.settings.deletes,
        **({"log": True} if table.reads_log else {}),
        "columns": types,
        **({"forms": forms} if forms else {}),
        **({"readings": readings} if (readings := readings_of(table)) and forms else {}),
        **({"declared": declared} if declared else {}),
    }


def compared_as(table: Table) -> dict[str, str]:
    """The key columns that aren't compared by their plain values, and how they are compared."""
    forms = {table.staged_name(key.name): comparable(key.type) for key in table.key_columns}
    return {name: form for name, form in forms.items() if form}


def _models_yaml(tables: list[Table], known: list[Table]) -> str:
    return yaml_text({"version": 2, "models": [_model_entry(table, known) for table in tables]})


def _model_entry(table: Table, known: list[Table]) -> dict[str, Any]:
    grain = "One row per row in the latest full refresh."
    if table.appends:
        grain = "Every row that was ever loaded; without a key, equal rows are all kept."
    if table.key:
        grain = f"One row per {', '.join(staged_names(table, table.key))}: its latest version."
    entry: dict[str, Any] = {
        "name": staging_model_name(table),
        "description": f"{described(table)} in `{table.source}`. {grain}",
        "config": {"schema": "staging", "tags": list(table.settings.tags)},
    }
    if tests := [*_key_tests(table), *tests_of_table(table)]:
        entry["data_tests"] = tests
    entry["columns"] = [_column_entry(table, column, known) for column in staged_columns(table)]
    lake_columns = dict(_LAKE_COLUMNS)
    if table.settings.deletes == "mark":
        deleted_at = _DELETED_AT_BY_LOG if table.reads_log else _DELETED_AT
        lake_columns = deleted_at | _LAKE_COLUMNS
    entry["columns"] += [{"name": name, "description": text} for name, text in lake_columns.items()]
    return entry


def _key_tests(table: Table) -> list[dict[str, Any]]:
    return [key_test(staged_names(table, table.key), compared_as(table))] if table.key else []


def key_test(key: Sequence[str], compared: Mapping[str, str]) -> dict[str, Any]:
    """The dbt test that these columns identify each row of a model."""
    arguments = {"columns": list(key), **({"compared_as": dict(compared)} if compared else {})}
    return {"lakefeed.primary_key": {"arguments": arguments}}


def _column_entry(table: Table, column: StagedColumn, known: list[Table]) -> dict[str, Any]:
    entry = column_entry(table, column)
    if tests := tests_of_column(table, column, known):
        entry["data_tests"] = tests
    return entry


def column_entry(table: Table, column: StagedColumn) -> dict[str, Any]:
    """A column's entry in a model's YAML."""
    loaded = column.loaded
    if taken := column.flattened:
        described = f"`{taken.path}` in `{loaded.name}`, as {taken.type}."
        return {"name": column.name, "description": described, "quote": True}
    found = table.catalogue.column(loaded.name) if table.catalogue else None
    is_text = lake_type(loaded.type).as_text and not column.form
    note = ", stored as PostgreSQL's text" if is_text else ""
    declared = table.settings_of(loaded.name)
    if protection := declared.protection:
        is_keyed = declared.hash is not None and declared.hash.key is not None
        note = _PROTECTED["keyed hash" if is_keyed else protection]
    named = f", named `{loaded.name}`" if loaded.name != column.name else ""
    return {
        "name": column.name,
        "description": f"{(found or loaded).type} in the source{named}{note}.",
        "quote": True,
    }


def profile(project: Project) -> dict[str, Any]:
    """What dbt's profiles.yml contains."""
    return {"lakefeed": {"target": "local", "outputs": {"local": output_of(project)}}}


def _declared_sources(project: Project) -> str:
    names = ", ".join(f"'{source}'" for source in project.declaration.sources)
    return (
        f"{{# {HEADER} #}}\n"
        "{# Whether sources.yaml declares this source. Marts of undeclared sources aren't built. #}"
        "\n"
        "{% macro source_is_declared(name) %}\n"
        f"    {{{{- return(name in [{names}]) -}}}}\n"
        "{% endmacro %}\n"
    )


def jinja_text(text: str) -> str:
    """A text as a Jinja string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unrendered(value: Any) -> Any:
    """Escapes strings that contain Jinja, since dbt renders the values (not keys) of its YAML."""
    if isinstance(value, dict):
        return {key: _unrendered(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unrendered(item) for item in value]
    if isinstance(value, Template):
        return str(value)
    if isinstance(value, str) and _JINJA.search(value):
        return f"{{{{ {jinja_text(value)} }}}}"
    return value


def yaml_text(data: dict[str, Any]) -> str:
    """A generated YAML file with Jinja escaped, so that dbt reads every string unchanged."""
    body = dumped(_unrendered(data), width=96)
    return f"# {HEADER}\n{body}"
