"""Opening a project takes work in proportion to its tables, as the DAG's parser does so often."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest

from lakefeed.declaration.project import open_project

DECLARED = {
    "plain": "      t{0}: {{cursor: at}}\n",
    "with tests": (
        "      t{0}: {{cursor: at, tests: {{columns: {{id: {{relationships: shop.t0.id}}}}}}}}\n"
    ),
    "in schemas": "      s{0}.t: {{cursor: at, name: t{0}}}\n",
}


def calls(folder: Path, entry: str, tables: int) -> int:
    """How many Python functions are called to open a project with so many tables, once again.

    Again, since names that were seen before are cached: the first time, the count depends on
    which names other tests of this process have used.
    """
    entries = "".join(entry.format(number) for number in range(tables))
    (folder / "sources.yaml").write_text(
        f"version: 1\nsources:\n  shop:\n    connection: ${{URL}}\n    tables:\n{entries}"
    )
    open_project(folder)
    count = 0

    def counting(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counting)
    try:
        assert len(open_project(folder).tables) == tables
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("entry", DECLARED.values(), ids=DECLARED)
def test_four_times_the_tables_take_four_times_the_work(tmp_path: Path, entry: str) -> None:
    few, many = calls(tmp_path, entry, 100), calls(tmp_path, entry, 400)

    assert many < 4.5 * few
