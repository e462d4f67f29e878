"""The demo's project, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Lake, copy_shop_project


@pytest.fixture
def shop(tmp_path: Path) -> Lake:
    return Lake(copy_shop_project(tmp_path / "shop"))
