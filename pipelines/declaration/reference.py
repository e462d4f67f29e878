"""`sources.yaml` as editors and readers see it, made from the models: JSON Schema, Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from pipelines.declaration.explain import shown
from pipelines.declaration.models import (
    Airflow,
    Columns,
    Cursor,
    Declaration,
    Freshness,
    Raw,
    SourceDeclaration,
    TableDeclaration,
    Warehouse,
)

_SECTIONS: dict[str, type[BaseModel]] = {
    "The file": Declaration,
    "`sources.<name>`": SourceDeclaration,
    "`tables.<name>`, `defaults`": TableDeclaration,
    "`cursor`": Cursor,
    "`columns`": Columns,
    "`freshness`": Freshness,
    "`raw`": Raw,
    "`warehouse`": Warehouse,
    "`airflow`": Airflow,
}


def json_schema_text() -> str:
    """The JSON Schema of `sources.yaml`."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= Declaration.model_json_schema(by_alias=True)
    _allow_null(schema)
    return json.dumps(schema, indent=2)


def markdown_reference() -> str:
    """docs/sources-yaml.md: every key, its default and what it does."""
    return "\n".join(line for title, model in _SECTIONS.items() for line in _section(title, model))


def _section(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield from (f"## {title}", "", "| key | default | meaning |", "|---|---|---|")
    for name, field in model.model_fields.items():
        key = field.alias or name
        default = "required" if field.is_required() else _default(field.get_default())
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        yield f"| `{key}` | {default} | {meaning} |"
    yield ""


def _default(value: Any) -> str:
    if value is None or value == ():
        return ""
    return "see below" if isinstance(value, BaseModel) else f"`{shown(value)}`"


def _allow_null(schema: dict[str, Any]) -> None:
    """`null` takes a setting back, so every setting of a table may be null."""
    for model in ("TableDeclaration", "TableSettings"):
        for name, field in schema["$defs"][model]["properties"].items():
            options = field.pop("anyOf", None) or [
                {
                    key: field.pop(key)
                    for key in ("type", "enum", "pattern", "items")
                    if key in field
                }
            ]
            if {"type": "null"} not in options:
                options = [*options, {"type": "null"}]
            schema["$defs"][model]["properties"][name] = {"anyOf": options, **field}
