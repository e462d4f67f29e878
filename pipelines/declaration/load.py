"""`sources.yaml` validated: either a `Declaration`, or every mistake in it at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelines.declaration.document import Document, YamlPath, read_document
from pipelines.declaration.models import (
    Airflow,
    Columns,
    Cursor,
    Declaration,
    Freshness,
    Raw,
    SourceDeclaration,
    TableDeclaration,
    TableSettings,
    Warehouse,
)
from pipelines.errors import DeclarationError, Problem

DECLARATION_FILE = "sources.yaml"

_ENVIRONMENT_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_URL_PASSWORD = re.compile(r"://[^:@/\s]*:([^@/\s]+)@")
_KEYWORD_PASSWORD = re.compile(r"\bpassword\s*=\s*(\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class Declared:
    """A valid declaration and the document it was read from."""

    document: Document
    declaration: Declaration


def load_declaration(root: Path) -> Declared:
    """Reads and validates the declaration of the project in `root`.

    Raises:
        DeclarationError: with every mistake, each with file, line and column.
    """
    return validate(read_document(root / DECLARATION_FILE, DECLARATION_FILE))


def validate(document: Document) -> Declared:
    """Validates a document that was read; see `load_declaration`."""
    if not isinstance(document.data, dict):
        raise DeclarationError(
            problems=[document.problem((), "expected a mapping with `version` and `sources`")]
        )
    problems: list[Problem] = list(_secrets_in_file(document))
    try:
        declaration = Declaration.model_validate(document.data)
    except ValidationError as error:
        problems += [_translate(document, detail) for detail in error.errors()]
        raise DeclarationError(problems=problems) from None
    if problems:
        raise DeclarationError(problems=problems)
    return Declared(document, declaration)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?` for the closest known name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def _secrets_in_file(document: Document) -> Iterable[Problem]:
    sources = document.data.get("sources")
    for name, source in sources.items() if isinstance(sources, dict) else ():
        connection = source.get("connection") if isinstance(source, dict) else None
        if not isinstance(connection, str):
            continue
        without_references = _ENVIRONMENT_REFERENCE.sub("", connection)
        if _URL_PASSWORD.search(without_references) or _KEYWORD_PASSWORD.search(without_references):
            yield document.problem(
                ("sources", name, "connection"),
                "`connection` holds a password; move the URL into .env and write "
                f"${{{name.upper()}_DATABASE_URL}} here",
                value=True,
            )


def _translate(document: Document, detail: ErrorDetails) -> Problem:
    path = _path_in_document(document, detail["loc"])
    key = str(path[-1]) if path else "the file"
    kind = detail["type"]
    if kind == "extra_forbidden":
        return document.problem(path, _unknown_key(path))
    if kind == "missing":
        missing = str(detail["loc"][-1])
        return document.problem(path[:-1], f"`{missing}` is missing")
    if detail["loc"] and detail["loc"][-1] == "[key]":
        message = f"`{key}`: a source is named with letters, digits and underscores"
        return document.problem(path, message)
    return document.problem(
        path, f"`{key}`: found {_shown(detail['input'])}, expected {_expected(detail)}", value=True
    )


def _path_in_document(document: Document, location: tuple[int | str, ...]) -> YamlPath:
    """A pydantic location without the parts that name types rather than keys."""
    path: YamlPath = ()
    for index, part in enumerate(location):
        if (*path, part) in document.values or index == len(location) - 1:
            path = (*path, part)
    return path if path in document.values or not path else _trim(document, path)


def _trim(document: Document, path: YamlPath) -> YamlPath:
    return path if path[:-1] in document.values and isinstance(path[-1], str) else path[:-1]


def _unknown_key(path: YamlPath) -> str:
    known = _known_keys(path[:-1])
    key = str(path[-1])
    listed = ", ".join(sorted(known))
    return f"unknown key `{key}`{nearest(key, known)} (known here: {listed})"


_CHILDREN: dict[type[BaseModel], dict[str, type[BaseModel]]] = {
    Declaration: {
        "raw": Raw,
        "warehouse": Warehouse,
        "airflow": Airflow,
        "defaults": TableSettings,
    },
    SourceDeclaration: {"defaults": TableSettings},
    TableSettings: {"cursor": Cursor, "columns": Columns, "freshness": Freshness},
    TableDeclaration: {"cursor": Cursor, "columns": Columns, "freshness": Freshness},
}


def _known_keys(path: YamlPath) -> list[str]:
    model: type[BaseModel] = Declaration
    rest = list(path)
    while rest:
        part = rest.pop(0)
        if model is Declaration and part == "sources":
            model, rest = SourceDeclaration, rest[1:]
        elif model is SourceDeclaration and part == "tables":
            model, rest = TableDeclaration, rest[1:]
        else:
            model = _CHILDREN.get(model, {}).get(str(part), model)
    return [field.alias or name for name, field in model.model_fields.items()]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    return f"`{value}`" if not isinstance(value, bool) else f"`{str(value).lower()}`"


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "tuple_type": "a list such as [a, b]",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "string_too_short": "a name",
    "too_short": "at least one entry",
    "date_from_datetime_parsing": "a date such as 2026-01-31",
    "date_type": "a date such as 2026-01-31",
}


def _expected(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "value_error":
        return str(context["error"])
    if detail["type"] == "literal_error":
        found = str(detail["input"])
        choices = str(context["expected"]).replace("'", "`")
        return choices + nearest(found, re.findall(r"`([^`]+)`", choices))
    if detail["type"] == "string_pattern_mismatch":
        return "a name of letters, digits and underscores"
    return _EXPECTED.get(detail["type"], detail["msg"])
