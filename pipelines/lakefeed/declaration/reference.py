"""Generates the JSON Schema and the Markdown reference of `sources.yaml` from the models."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from lakefeed.declaration.explain import shown
from lakefeed.declaration.models.columns import EACH, PAIR, Columns, ColumnSettings, Hash
from lakefeed.declaration.models.declaration import (
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
from lakefeed.declaration.models.wal import Wal

_INTRODUCTION = """\
<!-- Written by `make docs` from the docstrings in pipelines/lakefeed/declaration/models. -->
# sources.yaml

`sources.yaml` declares what Lakefeed loads. `lakefeed check` reports all mistakes at once, with
line and column, before it connects to anything. With the first line of this example, editors that
support YAML schemas complete and validate keys as you type:

```yaml
# yaml-language-server: $schema=docs/sources.schema.json
version: 1
raw: {url: data/raw}                      # or any dlt filesystem URL
warehouse: {path: data/warehouse.duckdb}
airflow: {dag_id: de_batch_pipeline, schedule: "0 * * * *"}

sources:
  shop:
    connection: ${SHOP_DATABASE_URL}      # never a secret in the file
    schema: public
    defaults: {cursor: updated_at, lookback: 30m}
    tables:
      customers:                          # empty: takes the defaults
      orders:
        lookback: 2h
        tags: [core]
        tests: {columns: {status: {accepted_values: [placed, paid]}}}   # see quality.md
      order_items: {primary_key: [order_id, line_number]}
      countries: {mode: full_refresh}
      page_views: {cursor: {column: viewed_at, initial_value: 2026-01-01}, columns: {exclude: [ip]}}
      "audit.*": {mode: full_refresh, cursor: null}   # null removes a default
```

Settings are merged in this order, later ones taking precedence: the file's `defaults`, the source's
`defaults`, wildcards from least to most specific, and the table's own entry. To see the effective
settings of a table and the line that sets each of them, run `lakefeed explain shop.orders`.

A duration is a number and a unit: `90s`, `30m`, `2h` or `3d`.

## Variables

Every value, but no name, may refer to variables: `${NAME}`, or `${NAME:-default}` for when it is
unset or empty. Values come from the environment or else from `.env`, or from the file of [an
environment](environments.md).

```yaml
warehouse:
  path: ${WAREHOUSE:-data/warehouse.duckdb}
  keep: ${KEEP:-3}                          # as if there were a 3: a number
defaults: {cursor: updated_at, lookback: "${LOOKBACK:-30m}"}
```

- Within `{…}` and `[…]`, YAML needs quotes around a reference. They don't make it a string: YAML
  decides on the resulting text what it is, so that `"${KEEP:-3}"` is a number as well, and nothing,
  as in `"${LIMIT:-}"`, is `null`.
- `connection`, `catalog_url`, `remote`, the `url` of a warehouse, the `key` of a hash and the top
  level's `notify` are secrets: they are looked up when they are used, so that `lakefeed check`,
  `diff` and the DAG need none of them. All other values are looked up when the file is read, and
  `lakefeed explain` and `diff` show what they stand for. There, a variable without a value and
  without a default is a mistake.
- To write the text `${NAME}` itself, double its dollar sign: `$${NAME}`.

"""

_SECTIONS: dict[str, type[BaseModel]] = {
    "The file": Declaration,
    "`sources.<name>`": SourceDeclaration,
    "`wal`": Wal,
    "`tables.<name>` and `defaults`": TableDeclaration,
    "`cursor`": Cursor,
    "`columns`": Columns,
    f"`columns.{EACH}`": ColumnSettings,
    "`hash`": Hash,
    "`freshness`": Freshness,
    "`max_shrink`": Shrink,
    "`tests`": Tests,
    "`tests.columns.<name>`": ColumnTests,
    "`range`": Range,
    "`tests.expressions.<name>`": Expression,
    "`tests.rows` and `tests.new_rows`": RowBounds,
    "`raw`": Raw,
    "`warehouse`": Warehouse,
    "`airflow`": Airflow,
    "`airflow.dags.<id>`": Dag,
}


def json_schema_text() -> str:
    """The JSON Schema of `sources.yaml`."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= Declaration.model_json_schema(by_alias=True)
    for name, entry in {**schema["$defs"], Declaration.__name__: schema}.items():
        _describe(entry, name)
    _open_to_any_column(schema["$defs"])
    for model in (TableDeclaration, TableSettings):
        properties = schema["$defs"][model.__name__]["properties"]
        for name, field in model.model_fields.items():
            properties[name] = _as_written(properties[name], field.get_default())
    schema = _or_references(schema)
    schema["$defs"] = {name: _or_references(entry) for name, entry in schema["$defs"].items()}
    schema["$defs"]["Reference"] = {"type": "string", "pattern": r"\$\{", "title": "${VARIABLE}"}
    return json.dumps(schema, indent=2) + "\n"


def markdown_reference() -> str:
    """docs/sources-yaml.md: every key, its default and what it does."""
    sections = (line for title, model in _SECTIONS.items() for line in _section(title, model))
    return _INTRODUCTION + "\n".join(sections).rstrip() + "\n"


def _section(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield from (f"## {title}", "", "| key | default | meaning |", "|---|---|---|")
    for name, field in model.model_fields.items():
        key = field.alias or name
        default = "required" if field.is_required() else _default(field.get_default())
        meaning = " ".join(_docstring(model, name).split()).replace("|", "\\|")
        yield f"| `{key}` | {default} | {meaning} |"
    yield ""


def _describe(entry: dict[str, Any], model: str) -> None:
    """Adds the docstrings of a model's fields to its JSON Schema."""
    all_models: list[type[BaseModel]] = [*_SECTIONS.values(), TableSettings]
    described = next(candidate for candidate in all_models if candidate.__name__ == model)
    for name, field in described.model_fields.items():
        written = entry["properties"][field.alias or name]
        written["description"] = _docstring(described, name)
        if isinstance(field.default, float):
            written["default"] = shown(field.default)


def _open_to_any_column(models: dict[str, Any]) -> None:
    """Any key of `columns` may be a column with its settings, even `include` and `exclude`."""
    properties = models[Columns.__name__]["properties"]
    column = properties.pop(EACH)["additionalProperties"]
    models[Columns.__name__]["additionalProperties"] = column
    for name in PAIR:
        properties[name]["anyOf"] += [kind for kind in column["anyOf"] if "$ref" in kind]


def _docstring(model: type[BaseModel], field: str) -> str:
    """The docstring of a field, from the model or one that it inherits from."""
    texts = _docstrings()
    return next(found for base in model.__mro__ if (found := texts.get((base.__name__, field))))


@cache
def _docstrings() -> dict[tuple[str, str], str]:
    """The docstring of each field, by class and field."""
    modules = {inspect.getmodule(model) for model in _SECTIONS.values()}
    trees = [ast.parse(inspect.getsource(module)) for module in modules if module]
    return {
        (owner.name, field.target.id): inspect.cleandoc(str(text.value.value))
        for tree in trees
        for owner in tree.body
        if isinstance(owner, ast.ClassDef)
        for field, text in pairwise(owner.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def _default(value: Any) -> str:
    if value in (None, (), {}):
        return ""
    if isinstance(value, BaseModel) and not value.model_fields_set:
        return "see below"
    return f"`{shown(value)}`"


def _as_written(entry: dict[str, Any], default: Any) -> dict[str, Any]:
    """A setting's schema as written in the file: a default in YAML, and `null` to unset it."""
    described = {key: entry[key] for key in ("title", "description") if key in entry}
    if default not in (None, ()):
        is_mapping = isinstance(default, BaseModel)
        described["default"] = yaml.safe_load(shown(default)) if is_mapping else shown(default)
    kinds = {key: value for key, value in entry.items() if key not in (*described, "default")}
    options = kinds.get("anyOf") or [kinds]
    if {"type": "null"} not in options:
        options = [*options, {"type": "null"}]
    return {"anyOf": options, **described}


def _or_references(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value, or of a reference to a variable in its place; never of a name."""
    reference = {"$ref": "#/$defs/Reference"}
    if "anyOf" in schema:
        options = [_within(option) for option in schema["anyOf"]]
        more = [reference] if any(map(_is_limited, schema["anyOf"])) else []
        return {**schema, "anyOf": [*options, *more]}
    if not _is_limited(schema):
        return _within(schema)
    about = {key: schema[key] for key in ("title", "description", "default") if key in schema}
    limits = {key: value for key, value in schema.items() if key not in about}
    return {"anyOf": [limits, reference], **about}


def _within(schema: dict[str, Any]) -> dict[str, Any]:
    found = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _or_references(found[key])
    if "properties" in found:
        found["properties"] = {n: _or_references(v) for n, v in found["properties"].items()}
    return found


def _is_limited(schema: dict[str, Any]) -> bool:
    """Whether it refuses some strings, such as `${VARIABLE}`."""
    is_scalar = schema.get("type") in ("integer", "number", "boolean")
    return is_scalar or bool(schema.keys() & {"pattern", "format", "enum", "const"})


def write_reference(folder: Path) -> None:
    """Writes the reference and the schema into `folder`."""
    (folder / "sources-yaml.md").write_text(markdown_reference(), encoding="utf-8")
    (folder / "sources.schema.json").write_text(json_schema_text(), encoding="utf-8")


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]))
