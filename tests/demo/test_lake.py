"""Which lake in `data/` the demo may use, and by which process."""

from __future__ import annotations

import pytest

from lakefeed.demo.lake import demo_lake, empty_lake
from lakefeed.errors import Refused
from tests.conftest import Lake


def test_an_empty_folder_becomes_the_demos(shop: Lake) -> None:
    (shop.root / "data").mkdir()
    (shop.root / "data" / ".gitkeep").touch()

    with demo_lake(shop.project):
        (shop.root / "data" / "loaded").touch()
    with demo_lake(shop.project):
        pass


def test_committed_files_are_kept_when_the_lake_is_emptied(shop: Lake) -> None:
    data = shop.root / "data"
    (data / "raw" / "below").mkdir(parents=True)
    (data / ".lakefeed-demo").touch()
    for name in (".gitkeep", "warehouse.duckdb"):
        (data / name).touch()

    with demo_lake(shop.project):
        empty_lake(shop.project)
        left = {path.name for path in data.iterdir()}

    assert left == {".gitkeep", ".lakefeed-demo", ".lakefeed-demo.lock"}


def test_only_one_process_may_use_the_lake(shop: Lake) -> None:
    with demo_lake(shop.project):
        demo = shop.process("demo")
    assert demo.returncode == 1
    assert "is already running in" in demo.stderr


def test_another_lake_is_refused(shop: Lake) -> None:
    (shop.root / "data").mkdir()
    (shop.root / "data" / "precious").touch()

    with pytest.raises(Refused, match="isn't the demo's"), demo_lake(shop.project):
        pass
    assert [path.name for path in (shop.root / "data").iterdir()] == ["precious"]
