"""The settings of single columns: merged across levels, and shown with the line of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.declaration.explain import effective_settings, explain_table
from lakefeed.declaration.models.columns import Columns
from lakefeed.declaration.project import open_project
from lakefeed.declaration.table import Table


def table(tmp_path: Path, columns: str, *, entry: str = "orders", more: str = "") -> Table:
    (tmp_path / "sources.yaml").write_text(
        "version: 1\n"
        "defaults: {mode: full_refresh, columns: {email: {hash: sha256}, note: {mask: '***'}}}\n"
        "sources:\n"
        "  shop:\n"
        f"    defaults: {{columns: {{exclude: [ip]}}}}\n{more}"
        "    tables:\n"
        f"      {entry}: {columns}\n",
        encoding="utf-8",
    )
    return open_project(tmp_path).tables[0]


def settings(of: Table) -> dict[str, str]:
    return {name: value for name, value in effective_settings(of) if name.startswith("columns")}


ALL = {
    "columns": "{exclude: [ip]}",
    "columns.email": "{hash: sha256}",
    "columns.note": "{mask: ***}",
}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("", ALL),
        ("{columns: null}", ALL | {"columns": "-"}),
        ("{columns: {exclude: [phone]}}", ALL | {"columns": "{exclude: [phone]}"}),
        ("{columns: {include: [email]}}", ALL | {"columns": "{include: [email]}"}),
        ("{columns: {exclude: null}}", ALL | {"columns": "-"}),
        ("{columns: {note: {}}}", ALL),
        ("{columns: {note: {truncate: 3}}}", ALL | {"columns.note": "{truncate: 3}"}),
        ("{columns: {email: null}}", {k: v for k, v in ALL.items() if k != "columns.email"}),
        ("{columns: {exclude: {mask: x}}}", ALL | {"columns.exclude": "{mask: x}"}),
    ],
)
def test_a_table_lifts_the_settings_of_a_column_only_by_its_name(
    tmp_path: Path, columns: str, expected: dict[str, str]
) -> None:
    assert settings(table(tmp_path, f"{{mode: full_refresh, {columns[1:]}" if columns else "")) == (
        expected
    )


def test_a_later_level_can_mask_a_column_that_is_called_as_a_setting(tmp_path: Path) -> None:
    declared = table(tmp_path, "{columns: {include: {mask: x}, exclude: [a]}}")

    assert settings(declared)["columns"] == "{exclude: [a]}"
    assert settings(declared)["columns.include"] == "{mask: x}"


def test_each_column_is_explained_with_the_line_that_sets_it(tmp_path: Path) -> None:
    lines = explain_table(table(tmp_path, "{columns: {phone: {truncate: 4}}}"), None).splitlines()

    told = [line.strip() for line in lines if "columns" in line]
    found = {line.split()[0]: line.partition("sources.yaml:")[2] for line in told}
    assert found == {
        "columns": "5",
        "columns.email": "2, if the table has it",
        "columns.note": "2, if the table has it",
        "columns.phone": "7",
    }


def test_only_the_entry_of_the_table_itself_vouches_for_its_columns(tmp_path: Path) -> None:
    own = table(tmp_path, "{columns: {phone: {mask: x}, note: null}}").own_columns

    assert own == ("note", "phone")


def test_the_settings_of_columns_are_empty_by_default() -> None:
    assert Columns().each == {}
