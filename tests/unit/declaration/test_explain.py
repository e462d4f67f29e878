"""`lakefeed explain` lists what applies to a table, and where each setting comes from."""

from __future__ import annotations

from pathlib import Path

from lakefeed.declaration.explain import table_as_json
from lakefeed.declaration.project import open_project

_DECLARED = """\
version: 1
defaults: {columns: {exclude: [ip, note], email: {mask: "*"}, phone: {mask: "*"}}}
sources:
  shop:
    connection: ${URL}
    defaults: {cursor: at}
    tables:
      orders: {columns: {total: {type: text}}}
      unknown: {columns: {id: {hash: sha256}}}
"""
_CATALOGUE = """\
version: 1
sources:
  shop:
    public.orders:
      kind: table
      primary_key: [id]
      columns: {id: integer not null, at: date, email: text, note: text, total: numeric}
"""


def columns_of(root: Path, table: str) -> dict[str, tuple[str, str]]:
    """Value and origin of each setting of columns."""
    (root / "sources.yaml").write_text(_DECLARED)
    (root / "sources.lock.yaml").write_text(_CATALOGUE)
    settings = table_as_json(open_project(root).table(table), None)["settings"]
    return {
        name: (setting["value"], setting["from"])
        for name, setting in settings.items()
        if name.startswith("columns")
    }


def test_defaults_for_columns_that_a_table_lacks_are_left_out(tmp_path: Path) -> None:
    assert columns_of(tmp_path, "shop__orders") == {
        "columns": ("{exclude: [note]}", "sources.yaml:2"),
        "columns.email": ("{mask: *}", "sources.yaml:2"),
        "columns.total": ("{type: text}", "sources.yaml:8"),
    }


def test_as_long_as_the_columns_are_unknown_defaults_apply_if_the_table_has_them(
    tmp_path: Path,
) -> None:
    assert columns_of(tmp_path, "shop__unknown") == {
        "columns": ("{exclude: [ip, note]}", "sources.yaml:2"),
        "columns.email": ("{mask: *}", "sources.yaml:2, if the table has it"),
        "columns.phone": ("{mask: *}", "sources.yaml:2, if the table has it"),
        "columns.id": ("{hash: sha256}", "sources.yaml:9"),
    }
