"""Workers are started for the cores that a container may use, not for those of its machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lakefeed.orchestration.ingest.table_loads import cores_of_container


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000", sys.maxsize),
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("", sys.maxsize),
    ],
)
def test_the_limit_of_a_container_is_read(tmp_path: Path, limit: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(limit)

    assert cores_of_container(tmp_path / "cpu.max") == cores


def test_a_machine_without_control_groups_has_no_limit(tmp_path: Path) -> None:
    assert cores_of_container(tmp_path / "cpu.max") == sys.maxsize
