"""The documentation as a site, as `make docs-site` builds it: every link leads somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ZENSICAL = Path(sys.executable).with_name("zensical")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built where a link or an anchor that leads nowhere is an error."""
    folder = tmp_path_factory.mktemp("documentation")
    shutil.copy(REPOSITORY / "mkdocs.yml", folder)
    shutil.copytree(REPOSITORY / "docs", folder / "docs")
    built = subprocess.run(
        [str(ZENSICAL), "build", "--strict"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder / "site"


def test_every_page_is_in_the_navigation(site: Path) -> None:
    navigation = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [
        str(page.relative_to(REPOSITORY / "docs")) for page in (REPOSITORY / "docs").rglob("*.md")
    ]

    assert [page for page in pages if page not in navigation] == []
    assert (site / "index.html").exists()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=\"?((?:https?:)?//[^\" >]+)"
    )

    assert [
        (page.parent.name, url)
        for page in site.rglob("*.html")
        for url in loads.findall(page.read_text(encoding="utf-8"))
    ] == []
