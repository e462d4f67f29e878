"""docs/python.md: its Python runs, as one script, and says what the package offers."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

import lakefeed
from lakefeed.demo.shop import create_shop, generate_shop
from tests.conftest import Database, copy_shop_project

PAGE = Path(__file__).resolve().parents[2] / "docs/python.md"


def code_of(page: Path) -> str:
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return "\n".join(blocks)


@pytest.fixture
def shop(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's project and its database."""
    with closing(psycopg2.connect(database.url)) as session:
        create_shop(session, generate_shop(0.05, 7))
    monkeypatch.setenv("SHOP_DATABASE_URL", database.url)
    return copy_shop_project(tmp_path)


def test_the_code_of_the_page_runs_as_one_script(shop: Path) -> None:
    script = shop / "page.py"
    script.write_text(code_of(PAGE), encoding="utf-8")

    ended = subprocess.run(
        [sys.executable, script], cwd=shop, capture_output=True, text=True, check=False
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "shop.orders loaded" in ended.stdout
    assert "did you mean `shop.orders`?" in ended.stdout


def test_the_page_has_every_argument_of_run() -> None:
    page = PAGE.read_text(encoding="utf-8")
    arguments = set(inspect.signature(lakefeed.Project.run).parameters) - {"self"}

    assert {name for name in arguments if f"`{name}`" not in page} == set()
