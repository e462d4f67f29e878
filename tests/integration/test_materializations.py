"""The materializations of models over raw: what dbt users expect of an incremental model."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.conftest import Database, Lake
from tests.integration.test_publication import write
from tests.integration.test_staging import dbt

pytestmark = [pytest.mark.builds, pytest.mark.on_ducklake(at_night=True)]

TABLES = ("a", "b", "c")
DECLARED = "\n".join(f"{name}: {{cursor: at, history: true}}" for name in TABLES)


@pytest.fixture
def built(database: Database, lake: Lake) -> Lake:
    """Three tables with histories, built once, and a second version of a row of each."""
    for name in TABLES:
        database.execute(
            f"create table {name} (id int primary key, word text, at timestamptz default now())",
            f"insert into {name} values (1, 'one'), (2, 'two')",
        )
    assert lake.declare(DECLARED).run().exit_code == 0
    for name in TABLES:
        database.execute(f"update {name} set word = 'uno', at = now() where id = 1")
    assert lake.load().exit_code == 0
    return lake


def words(lake: Lake, model: str) -> list[tuple[object, ...]]:
    return lake.built(f"select id, word from {model} order by all")


def warehouse(lake: Lake, *statements: str) -> None:
    with lake.opened() as session:
        for statement in statements:
            session.execute(statement)


def statements_of(lake: Lake, model: str) -> int:
    """How many lines with statements dbt's log has for a model; a commit has two."""
    log = (lake.root / "dbt/logs/dbt.log").read_text()
    return Counter(re.findall(r"On model\.\w+\.(\w+): (?!Close)", log))[model]


@pytest.mark.on_ducklake
def test_full_refresh_builds_the_same_rows_from_all_loads(built: Lake) -> None:
    warehouse(built, "delete from staging.stg_shop__a", "delete from history.hst_shop__a")

    assert dbt(built, "build", "--full-refresh").returncode == 0

    assert words(built, "staging.stg_shop__a") == [(1, "uno"), (2, "two")]
    assert words(built, "history.hst_shop__a") == [(1, "one"), (1, "uno"), (2, "two")]


@pytest.mark.at_night
def test_a_model_may_refuse_full_refreshes(built: Lake) -> None:
    warehouse(built, "delete from staging.stg_shop__a where id = 2")
    project = built.root / "dbt/dbt_project.yml"
    settings = yaml.safe_load(project.read_text())
    settings["models"][settings["name"]]["staging"] = {"+full_refresh": False}
    project.write_text(yaml.safe_dump(settings))

    assert dbt(built, "build", "--full-refresh", "--select", "stg_shop__a").returncode == 0

    assert words(built, "staging.stg_shop__a") == [(1, "uno")]


def test_hooks_of_the_project_run_before_and_after_each_model(built: Lake) -> None:
    warehouse(built, "create table seen (moment varchar, rows bigint)")
    project = built.root / "dbt/dbt_project.yml"
    settings = yaml.safe_load(project.read_text())
    count = "insert into main.seen select '{}', count(*) from {{{{ this }}}} where word = 'uno'"
    settings["models"][settings["name"]]["staging"] = {
        "+pre-hook": count.format("before"),
        "+post-hook": count.format("after"),
    }
    project.write_text(yaml.safe_dump(settings))

    assert dbt(built, "build", "--select", "stg_shop__a").returncode == 0

    assert built.built("select * from seen order by rows") == [("before", 0), ("after", 1)]


def test_a_view_in_place_of_the_model_is_replaced(built: Lake) -> None:
    warehouse(
        built,
        "drop table staging.stg_shop__a",
        "create view staging.stg_shop__a as select 7 as id",
    )

    assert dbt(built, "build", "--select", "stg_shop__a").returncode == 0

    assert words(built, "staging.stg_shop__a") == [(1, "uno"), (2, "two")]


def test_a_manifest_that_cannot_be_read_fails_only_its_own_models(built: Lake) -> None:
    newest: Path = max((built.root / "data/raw/shop__a/_lakefeed_loads").glob("*.json"))
    newest.write_text("{")

    built = dbt_fails(built)

    assert words(built, "staging.stg_shop__a") == [(1, "one"), (2, "two")]
    assert words(built, "staging.stg_shop__b") == [(1, "uno"), (2, "two")]
    assert words(built, "history.hst_shop__c") == [(1, "one"), (1, "uno"), (2, "two")]


def dbt_fails(lake: Lake) -> Lake:
    assert dbt(lake, "build").returncode == 1
    return lake


def test_columns_and_loads_are_asked_for_once_for_all_models(built: Lake) -> None:
    ended = dbt(built, "--log-level-file", "debug", "build", "--select", "staging")

    assert ended.returncode == 0, ended.stdout
    found = sorted(statements_of(built, f"stg_shop__{name}") for name in TABLES)
    # Types of the new files, begin, the script, commit.
    assert found[:2] == [5, 5]


def test_the_test_of_a_key_finds_nulls_and_rows_that_share_it(built: Lake) -> None:
    write(
        built,
        {
            "models/marts/pairs.sql": "select * from (values (1, 1), (1, 2), (1, 2), (null, 3)) "
            "as pairs (a, b)",
            "models/marts/pairs.yml": "models: [{name: pairs, data_tests: [{lakefeed.primary_key: "
            "{arguments: {columns: [a, b]}}}]}]",
        },
    )

    ended = dbt(built, "build", "--select", "pairs")

    assert ended.returncode == 1
    assert "Got 2 results" in ended.stdout
