"""docs/append.md: its declaration is loaded, and its commands run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Database, Lake, failures

PAGE = Path(__file__).resolve().parents[2] / "docs/append.md"


def blocks_of(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.builds
def test_the_declaration_of_the_page_is_loaded_by_its_commands(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(
        "create table page_views (session_id int, viewed_at timestamptz default now())",
        "insert into page_views select 1 from generate_series(1, 9)",
    )
    monkeypatch.setenv("SHOP_DATABASE_URL", database.url)
    (declared,) = blocks_of("yaml")
    (lake.root / "sources.yaml").write_text(declared, encoding="utf-8")
    lines = [re.sub(r"\s+#.*", "", line) for line in blocks_of("sh")[0].splitlines()]

    assert failures(lake, [tuple(line.split()[1:]) for line in lines]) == {}
    assert lake.query("select count(*) from staging.stg_shop__page_views") == [(9,)]
