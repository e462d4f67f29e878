"""docs/ci.md, "The next run, before it runs", and docs/airflow.md, "Several DAGs", carried out."""

from __future__ import annotations

import re
import shlex
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from lakefeed.demo.shop import create_shop, generate_shop
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.orchestration.project.dags import tables_of_dags
from tests.conftest import Database, Lake

DOCS = Path(__file__).resolve().parents[2] / "docs"
TABLES = """
orders: {cursor: updated_at, tags: [core]}
products: {mode: full_refresh}
"""


def section_of(page: str, title: str) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.mark.builds
def test_a_full_read_is_planned_reviewed_and_carried_out(database: Database, lake: Lake) -> None:
    with closing(psycopg2.connect(database.url)) as session:
        create_shop(session, generate_shop(1, 7))
    lake.declare(TABLES).run()
    (commands,) = blocks(section_of("ci.md", "The next run, before it runs"), "sh")

    for command in commands.splitlines():
        done = lake.command(*shlex.split(command)[1:])
        assert done.returncode == 0, done.stdout + done.stderr

    loads = CommitLog(lake.project.raw, "shop__orders").loads()
    assert [load.supersedes for load in loads] == [False, True]


def test_the_tables_of_a_tag_get_a_dag_of_their_own(lake: Lake) -> None:
    (declared,) = blocks(section_of("airflow.md", "Several DAGs"), "yaml")
    lake.declare(TABLES)
    path = lake.root / "sources.yaml"
    path.write_text(path.read_text(encoding="utf-8") + declared, encoding="utf-8")

    dags = tables_of_dags(lake.project)

    assert {name: [table.shown for table in tables] for name, tables in dags.items()} == {
        "de_batch_pipeline": ["shop.products"],
        "core": ["shop.orders"],
    }
