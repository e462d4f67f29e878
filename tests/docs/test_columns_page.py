"""docs/columns.md: its declaration loads, and gives the values that the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, Lake

PAGE = Path(__file__).resolve().parents[2] / "docs/columns.md"
ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", re.MULTILINE)


def test_the_declaration_of_the_page_gives_the_values_of_the_page(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (declared,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    shown = {name: (before, now) for name, before, now in ROW.findall(page)}
    clear = ", ".join(f"'{before}'::text as {name}" for name, (before, _) in shown.items())
    more = "1 as id, now() as updated_at"
    database.execute(
        f"create table customers as select {clear}, {more}",
        f"create table newsletters as select 'ann@example.org' as email, {more}",
        "alter table customers add primary key (id)",
        "alter table newsletters add primary key (id)",
    )
    monkeypatch.setenv("HASH_KEY", "any")
    indented = "".join(f"    {line}" for line in declared.splitlines(keepends=True))
    (lake.root / "sources.yaml").write_text(
        f"version: 1\nsources:\n  shop:\n    connection: ${{{CONNECTION_VARIABLE}}}\n{indented}"
    )

    assert lake.run().exit_code == 0

    (columns,) = lake.query("select c from staging.stg_shop__customers as c")
    (found,) = columns
    assert isinstance(found, dict)
    expected = {name: now for name, (_, now) in shown.items() if name not in ("email", "ip")}
    assert {name: found[name] for name in expected} == expected
    assert "ip" not in found
    assert re.fullmatch("[0-9a-f]{64}", found["email"])
    assert lake.query("select email from staging.stg_shop__newsletters") == [("ann@example.org",)]
