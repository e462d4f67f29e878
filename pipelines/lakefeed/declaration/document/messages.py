"""Turns pydantic's errors into messages about `sources.yaml`: found …, expected …."""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Iterable

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from lakefeed.declaration.document.passwords import holds_password
from lakefeed.declaration.document.positions import Document, YamlPath, tag_of
from lakefeed.declaration.environment.references import is_reference
from lakefeed.declaration.models.columns import PAIR, Columns, ColumnSettings, Hash
from lakefeed.declaration.models.declaration import (
    DAG_ID,
    Airflow,
    Dag,
    Declaration,
    Raw,
    SourceDeclaration,
    Warehouse,
)
from lakefeed.declaration.models.quality import ColumnTests, Expression, Range, RowBounds, Tests
from lakefeed.declaration.models.table_settings import (
    Cursor,
    Freshness,
    Shrink,
    TableDeclaration,
    TableSettings,
)
from lakefeed.declaration.models.value_types import IDENTIFIER
from lakefeed.errors import Problem


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?` with the most similar known name; empty if none is similar."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    wanted = name.lower()
    close = difflib.get_close_matches(wanted, by_lower_case, n=1, cutoff=0.6)
    if not close and len(wanted) > 2:
        close = [candidate for candidate in by_lower_case if candidate.startswith(wanted)]
    return f"; did you mean `{by_lower_case[close[0]]}`?" if close else ""


def problem_of(document: Document, detail: ErrorDetails) -> Problem:
    """One of pydantic's errors as a problem at its position in the document."""
    location, kind = detail["loc"], detail["type"]
    if location and location[-1] == "[key]" and location[-3] == "flatten":
        path = _path_in_document(document, location[:-1])
        message = f"`flatten`: found `{path[-1]}`, expected {_expected(path, detail)}"
        return document.problem(path, message)
    if location and location[-1] == "[key]":
        return _misnamed(document, location[:-1])
    path = _path_in_document(document, location)
    if kind == "extra_forbidden":
        return document.problem(path, _unknown_key(path))
    if kind == "missing":
        return document.problem(path[:-1], _missing(path))
    if isinstance(detail["input"], list) and _is_column(path):
        return document.problem(path, _list_of_columns(str(path[-1])))
    found, expected = _found(document, path, detail), _expected(path, detail)
    reference = document.references.get(path)
    origin = f" (from `{reference}`)" if reference and not holds_password(reference) else ""
    message = f"{_named(path)}: found {found}{origin}, expected {expected}"
    return document.problem(path, message, value=True)


def _is_column(path: YamlPath) -> bool:
    """Whether this is the place of the settings of a column."""
    return _model_at(path[:-1]) is Columns and path[-1] not in PAIR


def _list_of_columns(key: str) -> str:
    """The message for `columns: {exlude: [a, b]}`, where any other key is a column's name."""
    hint = nearest(key, PAIR) or "; did you mean `exclude`?"
    return (
        f"`{key}`: found a list, expected the settings of a column, such as {{hash: sha256}}{hint}"
    )


def _path_in_document(document: Document, location: tuple[int | str, ...]) -> YamlPath:
    """A pydantic location without the parts that are types rather than keys."""
    path: YamlPath = ()
    for index, part in enumerate(location):
        if (*path, part) in document.values or index == len(location) - 1:
            path = (*path, part)
    return path


def _named(path: YamlPath) -> str:
    """The setting's name in a sentence: `tags`, an entry of `tags`."""
    if path and isinstance(path[-1], int):
        return f"an entry of {_named(path[:-1])}"
    return f"`{path[-1]}`" if path else "the file"


def _misnamed(document: Document, path: YamlPath) -> Problem:
    """The problem of an invalid name of a source or an expression, or of a DAG's ID."""
    name, what, expected = str(path[-1]), _NAMES[str(path[-2])], "letters, digits and underscores"
    usable = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    if path[-2] == "dags":
        expected = _PATTERNS[DAG_ID].removeprefix("a name of ")
    elif not re.match("[A-Za-z]", usable):
        usable = f"{what.split()[-1]}_{usable}".strip("_")
    return document.problem(
        path, f"found `{name}` as the {what}, expected {expected}, such as `{usable}`"
    )


_NAMES = {
    "sources": "name of a source",
    "expressions": "name of an expression",
    "dags": "ID of a DAG",
}


def _missing(path: YamlPath) -> str:
    key = str(path[-1])
    if path == ("version",):
        return "`version` is missing, expected `version: 1`"
    parent = f" in {_named(path[:-1])}" if path[:-1] else ""
    return f"`{key}` is missing{parent}, expected {_MISSING.get(key) or _MAPPINGS[key]}"


_SETTINGS: dict[str, type[BaseModel]] = {
    "cursor": Cursor,
    "columns": Columns,
    "freshness": Freshness,
    "max_shrink": Shrink,
    "tests": Tests,
}
_CHILDREN: dict[type[BaseModel], dict[str, type[BaseModel]]] = {
    Declaration: {
        "raw": Raw,
        "warehouse": Warehouse,
        "airflow": Airflow,
        "defaults": TableSettings,
    },
    SourceDeclaration: {"defaults": TableSettings},
    TableSettings: _SETTINGS,
    TableDeclaration: _SETTINGS,
    Tests: {"rows": RowBounds, "new_rows": RowBounds},
    ColumnTests: {"range": Range},
    ColumnSettings: {"hash": Hash},
}

# Keys whose children are names that the user chooses, and the model of each child.
_NAMED: dict[tuple[type[BaseModel], str], type[BaseModel]] = {
    (Declaration, "sources"): SourceDeclaration,
    (Airflow, "dags"): Dag,
    (SourceDeclaration, "tables"): TableDeclaration,
    (Tests, "columns"): ColumnTests,
    (Tests, "expressions"): Expression,
}


def _unknown_key(path: YamlPath) -> str:
    model = _model_at(path[:-1])
    known, key = _keys_of(model), str(path[-1])
    hint = nearest(key, known)
    word = key.partition(":")[0]
    if word in known:
        hint = f"; is a space missing after `{word}:`?"
    elif not hint and key in _keys_of(TableDeclaration):
        or_defaults = "" if key in ("name", "query") else " or `defaults`"
        hint = f"; set it for a table{or_defaults}"
    return f"unknown key `{key}`{hint} (valid keys here: {', '.join(sorted(known))})"


def _model_at(path: YamlPath) -> type[BaseModel]:
    model: type[BaseModel] = Declaration
    rest = list(path)
    while rest:
        part = str(rest.pop(0))
        if model is Columns:
            model = ColumnSettings
        elif named := _NAMED.get((model, part)):
            model, rest = named, rest[1:]
        else:
            model = _CHILDREN.get(model, {}).get(part, model)
    return model


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _found(document: Document, path: YamlPath, detail: ErrorDetails) -> str:
    value = detail["input"]
    if isinstance(value, (dict, list, tuple)):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    if value is None:
        return "no value"
    word = document.words.get(path, str(value))
    if _is_secret(path) and not is_reference(word):
        return "a value in the file"
    if holds_password(word):
        return "a connection with a password"
    if isinstance(value, bool) and word.lower() not in ("true", "false"):
        return f"`{word}` (which YAML reads as {str(value).lower()})"
    return f'`"{word}"`' if isinstance(value, str) and _reads_otherwise(word) else f"`{word}`"


def _is_secret(path: YamlPath) -> bool:
    """Whether any text at this place may be a secret."""
    is_key = _model_at(path[:-1]) is Hash and path[-1] == "key"
    return is_key or path[0] == "notify"


def _reads_otherwise(word: str) -> bool:
    """Whether YAML would read this text as something else if it weren't quoted."""
    return tag_of(word) != "tag:yaml.org,2002:str"


_MAPPINGS = {
    "sources": "a mapping with an entry for each database, such as `shop:`",
    "tables": "a mapping with an entry for each table, such as `orders:`",
    "flatten": "a mapping such as {customer_id: bigint, address.city: text}",
    "cursor": "a column, a list of columns, or a mapping such as {column: updated_at}",
    "column": "the name of a column",
    "algorithm": "`sha256`",
    "primary_key": "a column, or a list such as [order_id, line_number]",
    "connection": "a string such as ${SHOP_DATABASE_URL}",
    "expressions": "a mapping such as {totals_are_positive: total >= 0}",
    "condition": "a condition such as total >= 0",
    "notify": "a mapping such as {SmtpNotifier: {to: team@example.org}}",
}

_MISSING = {"select": 'a list such as ["tag:core"]'}

_NOTIFY = 'a list such as ["${SLACK_URL}"] (Airflow\'s notifiers: `airflow.notify`)'

_EXAMPLES = {
    "Cursor": "{column: updated_at}",
    "Columns": "{exclude: [notes]}",
    "ColumnSettings": "{hash: sha256}",
    "Hash": "{algorithm: sha256}",
    "Freshness": "{error_after: 1d}",
    "Tests": "{columns: {status: {not_null: true}}}",
    "ColumnTests": "{not_null: true}",
    "Expression": "{condition: total >= 0}",
    "Range": "{min: 0}",
    "RowBounds": "{min: 1}",
    "TableSettings": "{cursor: updated_at}",
    "TableDeclaration": "{cursor: updated_at}",
    "SourceDeclaration": "{connection: ${DATABASE_URL}, tables: {orders: {cursor: updated_at}}}",
    "Raw": "{url: data/raw}",
    "Warehouse": "{path: data/warehouse.duckdb}",
    "Airflow": '{schedule: "0 * * * *"}',
}

_PATTERNS: dict[str | None, str] = {
    IDENTIFIER: "a name of letters, digits and underscores that starts with a letter",
    DAG_ID: "a name of letters, digits, `_`, `.` and `-`",
}

_EXPECTED = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "greater_than_equal": "an integer of {ge} or more",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_too_short": "a string that isn't empty",
    "tuple_type": "a list such as [a, b]",
    "too_short": "a list such as [a, b]",
    "dict_type": "a mapping",
    "date_type": "a date such as 2026-01-31",
    "date_from_datetime_parsing": "a date such as 2026-01-31",
    "date_from_datetime_inexact": "a date such as 2026-01-31, without a time",
}


def _expected(path: YamlPath, detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    key = str(path[-1]) if path else ""
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "`")
        return choices + nearest(str(detail["input"]), re.findall(r"`([^`]+)`", choices))
    if kind == "string_type":
        return _MAPPINGS.get(key, "a string") + (" (put it in quotes)" if _is_bare(detail) else "")
    if key in _MAPPINGS:
        return _NOTIFY if path == ("notify",) else _MAPPINGS[key]
    if kind in ("model_type", "model_attributes_type"):
        return f"a mapping such as {_EXAMPLES[str(context['class_name'])]}"
    expected = _EXPECTED.get(kind, "").replace("{ge}", str(context.get("ge")))
    return _PATTERNS.get(context.get("pattern")) or expected or str(detail["msg"])


def _is_bare(detail: ErrorDetails) -> bool:
    """Whether the value would be a string if it were quoted: a number, a date, `on`."""
    return isinstance(detail["input"], (bool, int, float, dt.date))
