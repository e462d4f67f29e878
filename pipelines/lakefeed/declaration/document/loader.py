"""Reads and validates `sources.yaml`, reporting all mistakes at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lakefeed.declaration.document.messages import problem_of
from lakefeed.declaration.document.passwords import holds_password
from lakefeed.declaration.document.positions import Document, YamlPath, read_document
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
    problems += _raw_out_of_reach(document, declaration)
    if problems:
        raise DeclarationError(problems=problems)
    return Declared(document, declaration)


def _raw_out_of_reach(document: Document, declaration: Declaration) -> Iterator[Problem]:
    """A mistake if the warehouse reads raw from elsewhere, and raw is a folder."""
    kind, url = declaration.warehouse.type, declaration.raw.url
    if declaration.warehouse.reads_stores and "://" not in url:
        path = ("raw", "url") if "raw" in document.data else ("warehouse", "type")
        message = (
            f"raw is a folder, `{url}`, which `warehouse: {{type: {kind}}}` can't read: declare an "
            "object store, such as `raw: {url: s3://bucket/raw}`"
        )
        yield document.problem(path, message, value=True)


def _secrets_in_file(document: Document) -> Iterator[Problem]:
    sources = document.data.get("sources")
    for name in sources if isinstance(sources, dict) else ():
        variable = f"{str(name).upper()}_DATABASE_URL"
        yield from _secret_at(document, ("sources", name, "connection"), _to_variable(variable))
    yield from _secret_at(document, ("warehouse", "catalog_url"), _to_variable("LAKE_CATALOG_URL"))
    yield from _secret_in_remote(document)
    yield from _raw_where_bigquery_is(document)
    yield from _secret_at(document, ("warehouse", "url"), _to_variable("SNOWFLAKE_URL"))
    for path in document.references:
        if holds_password(document.words[path]) and path != ("raw", "url"):
            yield document.problem(
                path,
                "found a connection with a password, which only `connection` and `catalog_url` may "
                "refer to",
                value=True,
            )
    to_dlt = "remove it and set dlt's credentials in .env: DESTINATION__FILESYSTEM__CREDENTIALS__…"
    yield from _secret_at(document, ("raw", "url"), to_dlt)


def _secret_in_remote(document: Document) -> Iterator[Problem]:
    """A mistake if the URL of a Spark contains a token or a password."""
    warehouse = document.data.get("warehouse")
    remote = warehouse.get("remote") if isinstance(warehouse, dict) else None
    if not isinstance(remote, str):
        return
    secret = "token" if "token=" in remote.lower() else "password" if holds_password(remote) else ""
    if secret:
        message = f"`remote` contains a {secret}; {_to_variable('SPARK_REMOTE')}"
        yield document.problem(("warehouse", "remote"), message, value=True)


def _raw_where_bigquery_is(document: Document) -> Iterator[Problem]:
    """A mistake if BigQuery can't load raw files from where they are."""
    warehouse, raw = document.data.get("warehouse"), document.data.get("raw")
    if not isinstance(warehouse, dict) or warehouse.get("type") != "bigquery":
        return
    url = raw.get("url", "") if isinstance(raw, dict) else ""
    if not str(url).startswith("gs://"):
        message = (
            "`type: bigquery` loads raw files from Google's object store alone; declare "
            "`raw: {url: gs://bucket/raw}`"
        )
        yield document.problem(("raw", "url") if url else ("warehouse", "type"), message)


def _to_variable(name: str) -> str:
    return f"move the URL to .env and write ${{{name}}} here"


def _secret_at(document: Document, path: YamlPath, remedy: str) -> Iterator[Problem]:
    """A mistake if the URL at this path contains a password."""
    found = document.data
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str) and holds_password(found):
        message = f"`{path[-1]}` contains a password; {remedy}"
        yield document.problem(path, message, value=True)
