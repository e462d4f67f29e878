"""What sources.yaml declares of tables beyond columns and keys, staged on Spark as on DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from lakefeed.orchestration.checks.audit import audit
from tests.conftest import Database, Lake

pytestmark = [pytest.mark.spark, pytest.mark.at_night, pytest.mark.timeout(900)]

DECLARED = """
people:
  cursor: [changed, made]
  columns: {mail: {hash: sha256}, note: {mask: "***"}, postcode: {truncate: 3}}
latest: {cursor: {column: [changed, made], greatest: true}}
visits: {mode: append, cursor: at, lookback: 1h}
per_person:
  query: select person, count(*) as visits, max(at) as at from visits group by 1
  primary_key: [person]
  cursor: at
"""


@pytest.fixture
def staged(database: Database, lake: Lake) -> Lake:
    """All of it, loaded and built before and after changes."""
    for table in ("people", "latest"):
        database.execute(
            f"create table {table} (id int primary key, mail text, note text, postcode text,"
            " changed timestamptz, made timestamptz default now())",
            f"insert into {table} values (1, 'ann@example.org', 'rude', '10115'),"
            " (2, 'bob@example.org', 'kind', '20095')",
        )
    database.execute(
        "create table visits (person int, at timestamptz default now())",
        "insert into visits select 1 from generate_series(1, 3)",
    )
    first = lake.declare(DECLARED).run()
    assert first.exit_code == 0, first
    for table in ("people", "latest"):
        database.execute(
            f"update {table} set mail = 'eve@example.org', changed = clock_timestamp() where id = 1"
        )
    database.execute("insert into visits select 1 from generate_series(1, 2)")
    second = lake.run()
    assert second.exit_code == 0, second
    return lake


def test_protected_columns_cursors_of_several_appended_rows_and_queries_are_staged(
    staged: Lake, spark: Callable[[str], list[tuple[Any, ...]]]
) -> None:
    hashed = [sha256(mail).hexdigest() for mail in (b"eve@example.org", b"bob@example.org")]

    people = spark("select id, mail, note, postcode from public.stg_shop__people order by id")
    assert people == [(1, hashed[0], "***", "101"), (2, hashed[1], "***", "200")]
    latest = spark("select id, mail from public.stg_shop__latest order by id")
    assert latest == [(1, "eve@example.org"), (2, "bob@example.org")]
    assert spark("select count(*), count(distinct at) from public.stg_shop__visits") == [(5, 2)]
    assert spark("select person, visits from public.stg_shop__per_person") == [(1, 5)]
    assert [one for one in audit(staged.project, ()).tables if not one.is_clean] == []
