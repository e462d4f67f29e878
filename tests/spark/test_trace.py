"""`lakefeed trace` on Spark: the rows of models, as on a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lakefeed.orchestration.inspect.trace import Trace, trace
from lakefeed.sql import literal
from lakefeed.transformation.targets.spark_session import open_session
from tests.conftest import CONNECTION_VARIABLE, Lake, new_database
from tests.integration.test_publication import write
from tests.spark.conftest import Running, lake_on

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

# A key of each form in which a value reaches Spark.
KEYS = {
    "bigint": "-9223372036854775808",
    "numeric": "12.50",
    "numeric(9,2)": "12.5",
    "text": "a 'dash' \\ é",
    "uuid": "C0FFEE00-0000-4000-8000-00000000CAFE",
    "bytea": "\\xdeadbeef",
    "boolean": "true",
    "date": "1200-02-29",
    "time": "12:34:56.5",
    "timestamptz": "2026-01-31 13:00:00.000001+01",
    "timestamp": "0001-01-01 00:00:00",
    "interval": "1 day",
}
MODELS = {
    "models/marts/dim_t.sql": """
        select {{ lakefeed.surrogate_key(['id', lakefeed.microseconds('valid_from')]) }} as t_key,
            id as t_id, word, valid_from, valid_to
        from {{ ref('hst_shop__t') }}""",
    "models/marts/fct_t.sql": """
        select t_key, number from {{ ref('dim_t') }}
        cross join (select 1 as number union all select 2) as numbers where valid_to is null""",
    "models/marts/seen.sql": """
        {{ config(materialized='view') }} select t_id, word from {{ ref('dim_t') }}""",
    "models/marts/by_word.sql": """
        select word, count(*) as n from {{ ref('stg_shop__t') }} group by word""",
    "models/marts/marts.yml": """
models:
  - name: fct_t
    columns:
      - name: t_key
        data_tests:
          - relationships: {arguments: {to: ref('dim_t'), field: t_key}}
""",
}


@dataclass(frozen=True)
class Published:
    """The project, and a function that runs statements in its catalogue."""

    lake: Lake
    spark: Callable[[str], list[tuple[Any, ...]]]

    def trace(self, table: str, *key: str) -> Trace:
        return trace(self.lake.project, f"shop.{table}", key)


@pytest.fixture(scope="module")
def published(
    spark_cluster_server: Running, server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Published]:
    """A row with two versions and one with one, and a table with a key of many types."""
    running, database = spark_cluster_server, new_database(server_url)
    catalog = f"lake{next(running.unused)}"
    os.environ.update({**running.store.environment, CONNECTION_VARIABLE: database.url})
    columns = [f"c{number} {kind}" for number, kind in enumerate(KEYS)]
    names = ", ".join(f"c{number}" for number in range(len(KEYS)))
    values = ", ".join(f"{literal(value)}::{kind}" for kind, value in KEYS.items())
    database.execute(
        "create table t (id int primary key, word text, price float8, at timestamptz)",
        "insert into t values (1, 'one', 0.1, '2026-01-01Z'), (2, 'two', null, '2026-01-01Z')",
        f"create table keyed ({', '.join(columns)}, word text, primary key ({names}))",
        f"insert into keyed values ({values}, 'found')",
    )
    lake = lake_on(running, catalog, tmp_path_factory.mktemp("traced"))
    write(lake, MODELS)
    lake.declare("t: {cursor: at, history: true}\nkeyed: {mode: full_refresh}")
    first = lake.run()
    assert first.exit_code == 0, first
    database.execute("update t set word = 'new', at = '2026-02-01Z' where id = 1")
    assert lake.run("shop.t").exit_code == 0
    yield Published(lake, lambda sql: open_session(running.remote, catalog).rows(sql))


def test_staging_and_history_have_the_row_with_the_texts_of_raw(published: Published) -> None:
    found = published.trace("t", "1")

    assert found.notes == ()
    assert found.made and found.made.staging and found.made.history
    (row,) = found.made.staging.rows
    assert {name: row[name] for name in found.versions[-1].values} == found.versions[-1].values
    assert [row["word"] for row in found.made.history.rows] == ["one", "new"]


def test_marts_have_its_rows_and_say_how_many_refer_to_them(published: Published) -> None:
    made = published.trace("t", "1").made
    assert made
    below = {rows.model: rows for rows in made.below}
    dimension = below["dim_t"]

    assert (dimension.by, dimension.total) == (("t_id",), 2)
    assert [row["valid_to"] for row in dimension.rows] == ["2026-02-01 00:00:00+00", None]
    (facts,) = dimension.pointing
    assert (facts.model, facts.rows) == ("fct_t", {dimension.rows[1]["t_key"]: 2})
    assert below["seen"].total == 2
    assert below["by_word"].unasked == "no column is an unchanged `id` of shop.t"


def test_a_row_is_found_by_a_key_of_any_type(published: Published) -> None:
    found = published.trace("keyed", *KEYS.values())

    assert found.made and found.made.staging
    assert [row["word"] for row in found.made.staging.rows] == ["found"], found.made.staging


def test_what_a_build_changes_before_it_publishes_is_not_shown(published: Published) -> None:
    published.spark("update marts.dim_t set word = 'being built'")

    shown = {row["word"] for rows in published.trace("t", "1").rows for row in rows.rows}

    assert shown == {"one", "new"}


def test_the_command_prints_the_rows_of_models(published: Published) -> None:
    ended = published.lake.command("trace", "shop.t", "1")

    assert ended.returncode == 0, ended
    for part in (
        "shop.t, id 1: 2 versions in 2 loads", "staging.stg_shop__t has the row from load",
        "marts.dim_t: 2 rows by t_id", "rows of fct_t",
    ):  # fmt: skip
        assert part in ended.stdout, ended.stdout


def test_a_row_that_never_existed_is_in_no_model(published: Published) -> None:
    ended = published.lake.command("trace", "shop.t", "3")

    assert ended.returncode == 1
    assert ended.stdout == "shop.t, id 3: no row in 2 loads, nor in the warehouse\n"
