"""docs/partitions.md: its declaration is loaded, and its commands say what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Database, Lake

PAGE = Path(__file__).resolve().parents[2] / "docs/partitions.md"


def blocks_of(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.builds
def test_the_commands_of_the_page_say_what_it_says(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(
        "create table payments (id int, paid_at timestamptz, primary key (id, paid_at)) "
        "partition by range (paid_at)",
        "create table payments_2023 partition of payments for values from ('2023-01-01Z') "
        "to ('2024-01-01Z')",
        "create table payments_2024 partition of payments for values from ('2024-01-01Z') "
        "to ('2025-01-01Z')",
        "insert into payments select i, '2023-12-31 12:00Z'::timestamptz + i * interval '1h' "
        "from generate_series(1, 24) i",
    )
    monkeypatch.setenv("SHOP_DATABASE_URL", database.url)
    (declared,) = blocks_of("yaml")
    (lake.root / "sources.yaml").write_text(declared, encoding="utf-8")

    for line in blocks_of("sh")[0].splitlines():
        command, _, said = map(str.strip, line.partition("#"))
        if command.startswith("psql"):
            database.execute(command.split("'")[1])
            continue
        ended = lake.command(*command.split()[1:])
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert all(part.strip() in ended.stdout for part in said.split("…"))
