"""Translates declared tests to dbt's generic tests, and dbt's tests back to their declaration.

A test's `meta` contains the path of its declaration in sources.yaml. It doesn't contain the line,
since the generated file would then change with every line inserted above.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lakefeed.declaration.models.quality import ColumnTests, Range, Severity
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.declaration.table_names import lake_name_of
from lakefeed.transformation.generate.staged_columns import StagedColumn, staged_columns
from lakefeed.transformation.model_names import staging_model

# The schema in which tests store their failing rows.
FAILURES_SCHEMA = "test_failures"


@dataclass(frozen=True)
class DataTest:
    """A generic dbt test: its kind, its arguments, and the declaration it comes from.

    `declared` is the path of its declaration below the table's `tests`.
    """

    kind: str
    declared: tuple[str, ...]
    severity: Severity
    arguments: dict[str, Any]

    def entry(self, table: Table) -> dict[str, Any]:
        """The test's entry in dbt's YAML."""
        config: dict[str, Any] = {
            "severity": self.severity,
            "store_failures": True,
            "schema": FAILURES_SCHEMA,
        }
        if table.settings.deletes == "mark":
            config["where"] = "_deleted_at is null"
        config["meta"] = {"lakefeed": {"table": table.lake_name, "tests": list(self.declared)}}
        arguments = {"arguments": self.arguments} if self.arguments else {}
        return {self.kind: {"name": self._name(table), **arguments, "config": config}}

    def _name(self, table: Table) -> str:
        """`shop__orders__status__accepted_values`: also names its table of failing rows."""
        parts = self.declared[1:] if len(self.declared) > 1 else self.declared
        if self.declared[0] == "expressions":
            parts = (*parts, "expression")
        return "__".join([table.lake_name, *map(_plain, parts)])


def tests_of_column(
    table: Table, column: StagedColumn, known: Sequence[Table]
) -> list[dict[str, Any]]:
    """The declared tests of a column, without those that every key gets anyway.

    Args:
        known: all tables that have a staging model.
    """
    declared = table.settings.tests.columns.get(column.name) if table.settings.tests else None
    if declared is None:
        return []
    return [test.entry(table) for test in _tests_of(table, column, declared, known)]


def tests_of_table(table: Table) -> list[dict[str, Any]]:
    """The declared tests of a table as a whole."""
    declared = table.settings.tests
    if declared is None:
        return []
    tests = [
        DataTest(
            "lakefeed.meets",
            ("expressions", name),
            expression.severity,
            {"condition": expression.condition},
        )
        for name, expression in declared.expressions.items()
    ]
    for name, kind, bounds in (
        ("rows", "lakefeed.row_count", declared.rows),
        ("new_rows", "lakefeed.new_row_count", declared.new_rows),
    ):
        if bounds:
            arguments = _without_none({"least": bounds.min, "most": bounds.max})
            tests.append(DataTest(kind, (name,), bounds.severity, arguments))
    return [test.entry(table) for test in tests]


def declared_at(project: Project, meta: Mapping[str, Any]) -> str:
    """`file:line` of a test's declaration; empty if it isn't declared in sources.yaml."""
    declared = meta.get("lakefeed", {})
    table = next((t for t in project.tables if t.lake_name == declared.get("table")), None)
    path = table.paths.get("tests") if table else None
    return project.declared.document.where((*path, *declared["tests"])) if path else ""


def _tests_of(
    table: Table, column: StagedColumn, declared: ColumnTests, known: Sequence[Table]
) -> Iterator[DataTest]:
    def test(kind: str, name: str, **arguments: Any) -> DataTest:
        return DataTest(kind, ("columns", column.name, name), declared.severity, arguments)

    of_key = () if column.flattened else table.key
    if declared.not_null and column.loaded.name not in of_key:
        yield test("not_null", "not_null")
    if declared.unique and of_key != (column.loaded.name,):
        yield test("unique", "unique")
    if declared.accepted_values:
        values = [str(value) for value in declared.accepted_values]
        yield test("lakefeed.one_of", "accepted_values", values=values)
    if declared.relationships:
        shown, field = declared.refers_to
        for target in known:
            if target.shown == shown:
                to = f"ref('{staging_model(target.lake_name)}')"
                how = _compared_alike(column, target, field)
                yield test("lakefeed.refers_to", "relationships", to=to, field=field, **how)
    if declared.range:
        yield test("lakefeed.in_range", "range", **_range(column, declared.range))


def _compared_alike(column: StagedColumn, target: Table, field: str) -> dict[str, str]:
    """How a column and its referenced column are compared, if not by their values."""
    form = column.compared_as
    referred = (found.compared_as for found in staged_columns(target) if found.name == field)
    return {"compared_as": form} if form and form in referred else {}


def _range(column: StagedColumn, declared: Range) -> dict[str, Any]:
    """Arguments of a range test. A number that the lake stores as text is compared as a number."""
    bounds = _without_none({"least": _as_yaml(declared.min), "most": _as_yaml(declared.max)})
    is_number = all(isinstance(bound, (int, float)) for bound in bounds.values())
    if is_number and column.type == "varchar":
        bounds["compare_as"] = "double"
    return bounds


def _as_yaml(bound: int | Decimal | dt.date | None) -> int | float | str | None:
    if isinstance(bound, Decimal):
        return float(bound)
    return str(bound) if isinstance(bound, dt.date) else bound


def _without_none(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _plain(name: str) -> str:
    """A unique name of letters, digits and underscores."""
    plain = re.sub(r"[^a-z0-9_]", "", lake_name_of(name))
    if plain == name:
        return plain
    return f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:6]}".lstrip("_")
