"""Models that change what they are, and models without a query: tables, views and seeds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import Database, Lake
from tests.integration.test_publication import write

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

Rows = Callable[[str], list[tuple[Any, ...]]]
ALL = "select id, word from {{ ref('stg_shop__t') }}"
TABLE = {"models/marts/words.sql": ALL}
VIEW = {"models/marts/words.sql": f"{{{{ config(materialized='view') }}}} {ALL}"}
SEED = {
    "seeds/countries.csv": (
        "code,name,since,size,share,is_open,day,note\n"
        '007,"it\'s 5% \\ ""x""",2020-01-01T10:00:00+02:00,9007199254740993,0.1,true,1200-02-29,\n'
        "010,België,2021-05-06T07:08:09,1e3,2,false,,b\n"
    ),
    "seeds/seeds.yml": (
        "seeds: [{name: countries, config: {column_types: {code: string, share: 'decimal(4,2)'}}}]"
    ),
}
COUNTRIES = [
    (
        *("007", 'it\'s 5% \\ "x"', datetime(2020, 1, 1, 8), 9007199254740993),
        *(Decimal("0.10"), True, date(1200, 2, 29), None),
    ),
    (
        *("010", "België", datetime(2021, 5, 6, 7, 8, 9), 1000),
        *(Decimal("2.00"), False, None, "b"),
    ),
]
COUNTED = {"models/marts/counted.sql": "select count(*) as n from {{ ref('words') }}"}


@pytest.fixture
def published(database: Database, lake: Lake) -> Lake:
    """A mart and one that counts its rows, published as tables."""
    database.execute(
        "create table t (id int primary key, word text, at timestamptz default now())",
        "insert into t values (1, 'one')",
    )
    write(lake.declare("t: {cursor: at}"), {**TABLE, **COUNTED})
    assert lake.run().exit_code == 0
    return lake


def run(lake: Lake, database: Database, word: str) -> int:
    """A run that loads another row; returns its exit code."""
    database.execute(f"insert into t select max(id) + 1, '{word}' from t")
    return lake.run().exit_code


def seen(spark: Rows) -> tuple[list[str], int]:
    """What readers see: the words, and how many another mart counts."""
    ((n,),) = spark("select n from public.counted")
    return [word for (word,) in spark("select word from public.words order by id")], n


def test_a_table_becomes_a_view_and_a_table_again_and_each_version_can_be_returned_to(
    database: Database, published: Lake, spark: Rows
) -> None:
    write(published, VIEW)
    assert run(published, database, "two") == 0
    assert seen(spark) == (["one", "two"], 2)
    assert published.query("select word from marts.words order by id") == [("one",), ("two",)]

    assert published.command("rollback").returncode == 0
    assert seen(spark) == (["one"], 1)
    assert published.command("rollback", "--resume").returncode == 0
    assert run(published, database, "three") == 0
    assert seen(spark) == (["one", "two", "three"], 3)

    write(published, TABLE)
    assert run(published, database, "four") == 0
    assert seen(spark) == (["one", "two", "three", "four"], 4)
    listed = warehouse_of(published.project).published.kinds_of_relations()
    assert ("marts", "words", "table") in listed


@pytest.mark.at_night
def test_a_view_that_fails_its_test_is_held_back_and_its_table_is_shown(
    database: Database, published: Lake, spark: Rows
) -> None:
    bad = {"tests/bad.sql": "select id from {{ ref('words') }} where word = 'bad'"}
    write(published, {**VIEW, **bad})
    assert run(published, database, "bad") == 1
    assert seen(spark) == (["one"], 1)

    write(published, {"tests/bad.sql": "select 1 as id where false"})
    assert run(published, database, "good") == 0
    assert seen(spark) == (["one", "bad", "good"], 3)


def test_a_seed_is_published_with_the_marts_that_read_it_and_keeps_what_its_file_has(
    published: Lake, spark: Rows
) -> None:
    write(published, {**SEED, "models/marts/named.sql": "select * from {{ ref('countries') }}"})

    assert published.command("build").returncode == 0
    for relation in ("countries", "named"):
        assert spark(f"select * from public.{relation} order by code") == COUNTRIES


@pytest.mark.at_night
def test_a_seed_that_fails_its_test_is_held_back_and_replaced_once_it_passes(
    published: Lake, spark: Rows
) -> None:
    write(published, {
        "seeds/zones.csv": "zone\nnorth\n",
        "tests/no_south.sql": "select 1 as a from {{ ref('zones') }} where zone = 'south'",
        "models/marts/of_zones.sql": "select zone from {{ ref('zones') }}",
    })  # fmt: skip
    assert published.command("build").returncode == 0
    for zones, code in (("north\nsouth", 1), ("west", 0)):
        write(published, {"seeds/zones.csv": f"zone\n{zones}\n"})
        assert published.command("build").returncode == code
        shown = "west" if code == 0 else "north"
        for relation in ("zones", "of_zones"):
            assert spark(f"select zone from public.{relation}") == [(shown,)]
    assert published.command("rebuild").returncode == 0
    assert spark("select zone from public.of_zones") == [("west",)]
