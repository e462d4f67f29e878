"""The JSON Schema for editors and the reference page, both made from the models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lakefeed.declaration.models.table_settings import TableDeclaration
from lakefeed.declaration.reference import json_schema_text, markdown_reference

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(json_schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_shipped_declaration_fits_the_schema(validator: Any) -> None:
    shipped = yaml.safe_load((REPOSITORY / "sources.yaml").read_text(encoding="utf-8"))

    assert list(validator.iter_errors(shipped)) == []


def test_the_example_of_the_page_fits_the_schema(validator: Any) -> None:
    example = markdown_reference().partition("```yaml\n")[2].partition("```")[0]
    # A date in YAML is a date to Python, and text to an editor.
    read = json.loads(json.dumps(yaml.safe_load(example), default=str))

    assert list(validator.iter_errors(read)) == []


@pytest.mark.parametrize(
    "table",
    ["null", "{cursor: updated_at}", "{cursor: null, mode: full_refresh}", "{lookback: 30m}",
     "{max_shrink: 5%}", "{max_shrink: {share: 5%, rows: 10}}", "{primary_key: id}",
     "{primary_key: [a, b]}", "{deletes: null}",
     "{freshness: {warn_after: 1h}}", "{cursor: {column: at, timezone: UTC}}",
     "{retention: 90d}", "{retention: null}", "{only: true}",
     '{lookback: "${LOOKBACK:-30m}"}', '{parallel: "${PARALLEL}"}', '{deletes: "${DELETES}"}',
     '{tests: {rows: {min: "${LEAST:-1}"}}}', '{enabled: "${ENABLED:-true}"}',
     "{cursor: [a, b]}", "{cursor: {column: [a, b], greatest: true}}",
     "{columns: {exclude: [ip]}}",
     "{columns: {exclude: [ip], email: {hash: sha256}, note: {mask: x}, b: {truncate: 3}}}",
     "{columns: {include: {mask: x}, email: null}}",
     "{columns: {email: {hash: {algorithm: sha256, key: '${HASH_KEY}'}}}}"],
)  # fmt: skip
def test_the_schema_takes(validator: Any, table: str) -> None:
    written = json.loads(json.dumps(yaml.safe_load(table)))

    document = {"version": 1, "sources": {"shop": {"tables": {"orders": written}}}}

    assert list(validator.iter_errors(document)) == []


@pytest.mark.parametrize(
    "table",
    ["{curser: updated_at}", "{lookback: soon}", "{mode: merge}", "{max_shrink: half}",
     "{max_shrink: {rows: -1}}", "{max_shrink: {share: 0.2}}",
     "{primary_key: []}", "{cursor: []}", "{cursor: {initial_value: 1}}",
     "updated_at", "{where: ''}",
     "{only: sometimes}", "{retention: 0d}", "{retention: 90}", "{retention: -90d}",
     "{columns: {exlude: [ip]}}", "{columns: {email: {hash: md5}}}",
     "{columns: {email: {truncate: 0}}}"],
)  # fmt: skip
def test_the_schema_refuses(validator: Any, table: str) -> None:
    document = {"version": 1, "sources": {"shop": {"tables": {"orders": yaml.safe_load(table)}}}}

    assert list(validator.iter_errors(document))


def test_the_files_that_make_docs_writes_are_current() -> None:
    schema = (REPOSITORY / "docs/sources.schema.json").read_text(encoding="utf-8")
    page = (REPOSITORY / "docs/sources-yaml.md").read_text(encoding="utf-8")

    assert schema == json_schema_text()
    assert page == markdown_reference()


def test_the_page_describes_every_setting_of_a_table() -> None:
    rows = [row for row in markdown_reference().splitlines() if row.startswith("| `")]

    for name in TableDeclaration.model_fields:
        meanings = [r.split(" | ")[-1] for r in rows if r.startswith(f"| `{name}` |")]
        assert meanings
        assert all(len(meaning) > 10 for meaning in meanings)
