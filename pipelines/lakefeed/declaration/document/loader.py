"""Reads and validates `sources.yaml`, reporting all mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lakefeed.declaration.document.messages import holds_password, problem_of
from lakefeed.declaration.document.positions import Document, read_document
from lakefeed.declaration.environment.references import Lookup
from lakefeed.declaration.models.declaration import Declaration
from lakefeed.errors import DeclarationError, Problem

DECLARATION_FILE = "sources.yaml"


@dataclass(frozen=True)
class Declared:
    """A valid declaration and the document that it was read from."""

    document: Document
    declaration: Declaration


def load_declaration(root: Path, variables: Lookup) -> Declared:
    """Reads and validates the declaration of the project in `root`.

    Args:
        variables: gives the values of the variables that it refers to, except secrets; called only
            if it refers to any.

    Raises:
        DeclarationError: with every mistake, each with file, line and column.
    """
    return validate(read_document(root / DECLARATION_FILE, DECLARATION_FILE, variables))


def validate(document: Document) -> Declared:
    """Validates a parsed document; see `load_declaration`."""
    if not isinstance(document.data, dict):
        message = "expected a mapping with `version` and `sources`"
        raise DeclarationError(problems=[*document.problems, document.problem((), message)])
    problems = [*document.problems, *_secrets_in_file(document)]
    try:
        declaration = Declaration.model_validate(document.data)
    except ValidationError as error:
        found = [problem_of(document, detail) for detail in error.errors()]
        # A value that is missing isn't wrong as well.
        problems += [p for p in found if (p.line, p.column) not in document.unset]
        raise DeclarationError(problems=problems) from None
    if problems:
        raise DeclarationError(problems=problems)
    return Declared(document, declaration)


def _secrets_in_file(document: Document) -> Iterator[Problem]:
    sources = document.data.get("sources")
    for name, source in sources.items() if isinstance(sources, dict) else ():
        connection = source.get("connection") if isinstance(source, dict) else None
        if isinstance(connection, str) and holds_password(connection):
            yield document.problem(
                ("sources", name, "connection"),
                "`connection` contains a password; move the URL to .env and write "
                f"${{{name.upper()}_DATABASE_URL}} here",
                value=True,
            )
    warehouse = document.data.get("warehouse")
    catalogue = warehouse.get("catalog_url") if isinstance(warehouse, dict) else None
    if isinstance(catalogue, str) and holds_password(catalogue):
        yield document.problem(
            ("warehouse", "catalog_url"),
            "`catalog_url` contains a password; move the URL to .env and write "
            "${LAKE_CATALOG_URL} here",
            value=True,
        )
    for path in document.references:
        if holds_password(document.words[path]) and path != ("raw", "url"):
            yield document.problem(
                path,
                "found a connection with a password, which only `connection` and `catalog_url` may "
                "refer to",
                value=True,
            )
    raw = document.data.get("raw")
    url = raw.get("url") if isinstance(raw, dict) else None
    if isinstance(url, str) and holds_password(url):
        yield document.problem(
            ("raw", "url"),
            "`url` contains a password; remove it and set dlt's credentials in .env: "
            "DESTINATION__FILESYSTEM__CREDENTIALS__…",
            value=True,
        )
