"""docs/queries.md: its declaration is loaded, and its commands run."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from lakefeed.demo.shop import create_shop, generate_shop
from tests.conftest import Database, Lake, failures

PAGE = Path(__file__).resolve().parents[2] / "docs/queries.md"


def blocks_of(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.builds
def test_the_declaration_of_the_page_is_loaded_by_its_commands(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(psycopg2.connect(database.url)) as session:
        create_shop(session, generate_shop(0.05, 7))
    monkeypatch.setenv("SHOP_DATABASE_URL", database.url)
    (declared,) = blocks_of("yaml")
    (lake.root / "sources.yaml").write_text(declared, encoding="utf-8")
    lines = [re.sub(r"\s+#.*", "", line) for line in blocks_of("sh")[0].splitlines()]
    query = lake.project.table("shop__big_spenders").query

    failed = failures(lake, [tuple(line.split()[1:]) for line in lines if "check" not in line])
    checked = lake.command("check", "--connect")

    assert failed == {}
    assert "the cursor `updated_at` of a query has no index" in " ".join(checked.stdout.split())
    staged = "select customer_id, spent::decimal(18, 2) from staging.stg_shop__big_spenders"
    assert lake.query(f"{staged} order by 1") == database.rows(
        f"select customer_id, spent from ({query}) as q order by 1"
    )
    assert lake.query("select count(*) from staging.stg_shop__country_names") == database.rows(
        "select count(*) from countries"
    )
