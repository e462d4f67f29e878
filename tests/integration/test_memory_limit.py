"""A comparison of keys runs in little memory, and its engine gets its own limit back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import duckdb
import pytest

from lakefeed.loading.extract.delete_detection import limited_memory
from lakefeed.loading.sessions.duckdb_engine import open_engine
from lakefeed.loading.sessions.session import SourceSession


def limit_of(engine: Any) -> str:
    return str(engine.execute("select current_setting('memory_limit')").fetchall()[0][0])


@pytest.mark.parametrize("limit", ["1GB", "1.9GiB", "18.8GiB", "12345MB"])
def test_an_engine_gets_its_memory_back_after_a_failed_comparison(
    tmp_path: Path, limit: str
) -> None:
    engine = open_engine(tmp_path).duckdb
    engine.execute(f"set memory_limit = '{limit}'")
    before = limit_of(engine)

    for _ in range(5):
        with pytest.raises(duckdb.Error), limited_memory(cast(SourceSession, engine)):
            assert limit_of(engine) != before
            engine.execute("select error('no')")

    assert limit_of(engine) == before
