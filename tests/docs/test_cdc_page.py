"""docs/cdc.md: its declaration is set up, loaded and left by its commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Database, Lake, failures

PAGE = Path(__file__).resolve().parents[2] / "docs/cdc.md"


def blocks_of(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def commands_of(block: str) -> list[tuple[str, ...]]:
    lines = [re.sub(r"\s+#.*", "", line) for line in block.splitlines()]
    return [tuple(line.split()[1:]) for line in lines]


@pytest.mark.builds
def test_the_declaration_of_the_page_is_set_up_loaded_and_left_by_its_commands(
    logical_database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    logical_database.execute(
        "create table orders (id int primary key)",
        "create table customers (id int primary key, city text)",
        "insert into orders select generate_series(1, 9)",
        "insert into customers values (1, 'Vienna')",
    )
    monkeypatch.setenv("SHOP_DATABASE_URL", logical_database.url)
    declared, *_ = blocks_of("yaml")
    (lake.root / "sources.yaml").write_text(declared, encoding="utf-8")
    set_up, watch, again, leave = map(commands_of, blocks_of("sh"))

    assert failures(lake, set_up) == {}
    logical_database.execute("delete from orders where id > 5")
    assert failures(lake, [("run",), *watch]) == {}
    assert lake.query("select count(*) from staging.stg_shop__orders") == [(5,)]
    assert failures(lake, [*again, *leave]) == {}
    assert (
        logical_database.rows(
            "select 1 from pg_replication_slots where database = current_database()"
        )
        == []
    )


def test_the_other_settings_of_the_page_are_valid(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, named = blocks_of("yaml")
    tables = "    tables: {orders: {cursor: wal}}\n"
    (lake.root / "sources.yaml").write_text(f"version: 1\n{named}{tables}", encoding="utf-8")
    monkeypatch.setenv("LAKEFEED_ENV", "prod")
    (lake.root / ".env.prod").write_text("SHOP_DATABASE_URL=postgresql://localhost/shop\n")

    settings = lake.project.wal_of("shop")

    assert (settings.slot, settings.max_wal) == ("lakefeed_shop_prod", 5_000_000_000)
