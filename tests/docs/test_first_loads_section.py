"""docs/adding-a-table.md, "A first run that takes hours": its declaration is loaded in ranges."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from lakefeed.demo.shop import create_shop, generate_shop
from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import Database, Lake

PAGE = Path(__file__).resolve().parents[2] / "docs/adding-a-table.md"


@pytest.mark.builds
def test_the_declaration_of_the_section_is_loaded_in_ranges(database: Database, lake: Lake) -> None:
    with closing(psycopg2.connect(database.url)) as session:
        create_shop(session, generate_shop(1, 7))
    section = PAGE.read_text(encoding="utf-8").split("### A first run that takes hours")[1]
    declared = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[0].strip()
    assert "resume_above: 2 GB" in declared

    lake.declare(declared.replace("2 GB", "32 kB"))
    plan = lake.command("plan").stdout
    lake.load()

    loads = CommitLog(lake.project.raw, "shop__orders").loads()
    assert re.search(r"first load, in about \d+ ranges", plan)
    assert len(loads) > 1
    assert [load.range.number for load in loads if load.range] == list(range(1, len(loads) + 1))
