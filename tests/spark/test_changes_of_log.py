"""On Spark: several versions of a row in one load, as PostgreSQL's log has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Database, Lake
from tests.wal.conftest import publish
from tests.wal.test_several_versions import CHANGES, T

pytestmark = [pytest.mark.spark, pytest.mark.at_night, pytest.mark.timeout(900)]

Rows = Callable[[str], list[tuple[Any, ...]]]
STAGED = "select id, word from public.stg_shop__t order by id"
VERSIONS = (
    "select id, word, valid_from, valid_to, is_current, loaded_at, _changed_at, _was_deleted, "
    "_dlt_load_id from public.hst_shop__t order by id, valid_from"
)


def test_staging_has_the_last_change_and_history_every_committed_one(
    lake: Lake, spark: Rows, logical_database: Database
) -> None:
    logical_database.execute(*T)
    publish(logical_database, "t")
    lake.declare("t: {cursor: wal, history: true}")
    for changes in ((), CHANGES, CHANGES[:2], ("delete from t where id = 1",)):
        logical_database.execute(*changes)
        report = lake.run()
        assert report.exit_code == 0, report

    assert spark(STAGED) == logical_database.rows("select id, word from t order by id")
    grown = spark(VERSIONS)
    assert [row[1] for row in grown if row[0] == 1] == ["a", "aa", "aaa", "aa", "aaa"]
    assert [row[1] for row in grown if row[0] == 2] == ["b", "back"]

    assert lake.command("rebuild").returncode == 0
    assert spark(VERSIONS) == grown
