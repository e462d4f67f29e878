"""What is built apart on Spark: as of a time, and since a change. Nothing published changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from lakefeed.transformation.warehouse.declared import warehouse_of
from lakefeed.transformation.warehouse.spark import warehouse_spark
from tests.conftest import Database, Lake, git
from tests.integration.test_publication import write

pytestmark = [pytest.mark.spark, pytest.mark.at_night, pytest.mark.timeout(900)]

Rows = Callable[[str], list[tuple[Any, ...]]]
STORED = "{{ config(store_failures=true) }} select id"
DECLARED = "t: {cursor: at, history: true}\nunchanged: {cursor: at}"
MODELS = {
    "models/marts/words.sql": "select id, word from {{ ref('stg_shop__t') }}",
    "models/marts/long_words.sql": (
        "{{ config(materialized='view') }} select id from {{ ref('words') }} where length(word) > 3"
    ),
    "models/marts/beside.sql": (
        "select w.id from {{ ref('words') }} as w join {{ ref('stg_shop__unchanged') }} using (id)"
    ),
}


@pytest.fixture
def published(database: Database, lake: Lake) -> Lake:
    """Two loads of a table and one of another, published after each and committed in git."""
    for table in ("t", "unchanged"):
        database.execute(
            f"create table {table} (id int primary key, word text, at timestamptz default now())",
            f"insert into {table} values (1, 'one'), (2, 'two')",
        )
    write(lake.declare(DECLARED), MODELS)
    git(lake.root, "init", "--initial-branch", "main")
    assert lake.run().exit_code == 0
    database.execute("update t set word = 'three', at = now() where id = 1")
    assert lake.run("shop.t").exit_code == 0
    git(lake.root, "add", "--all")
    git(lake.root, "commit", "--message", "A project")
    return lake


def schemas(spark: Rows, prefix: str) -> list[str]:
    return sorted(name for (name,) in spark("show namespaces") if name.startswith(prefix))


def snapshots(spark: Rows) -> list[tuple[Any, ...]]:
    """What is published, and what each table is at."""
    names = ("marts.words", "marts.beside", "staging.stg_shop__t", "_lakefeed.staged_loads")
    at = [spark(f"select snapshot_id from {name}.refs order by name") for name in names]
    return [*at, spark("select published_at from _lakefeed_publication.register")]


def test_a_rebuild_as_of_a_load_is_beside_what_is_published_until_a_prune(
    published: Lake, spark: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshots(spark)
    ((load,),) = spark(
        "select min_by(_dlt_load_id, valid_from) from public.hst_shop__t where word = 'one'"
    )

    ended = published.command("rebuild", "--as-of", load)

    assert ended.returncode == 0, ended
    ledger, history, marts, staging = schemas(spark, "as_of_")
    assert (ledger[-10:], history[-8:], marts[-6:]) == ("__lakefeed", "_history", "_marts")
    assert f"the schemas {marts.removesuffix('marts')}* in sc://" in ended.stdout
    assert spark(f"select id, word from {staging}.stg_shop__t order by id") == [
        (1, "one"),
        (2, "two"),
    ]
    assert spark(f"select * from {marts}.long_words") == []
    assert spark("select id, word from public.words order by id") == [(1, "three"), (2, "two")]
    assert snapshots(spark) == before

    assert published.command("prune").returncode == 0
    assert len(schemas(spark, "as_of_")) == 4, "one that may still be building stays"
    monkeypatch.setattr(warehouse_spark, "_APART_STAYS", 0)
    warehouse_of(published.project).remove_unneeded()
    assert schemas(spark, "as_of_") == []
    assert spark("select id from public.long_words") == [(1,)]


def test_a_rebuild_as_of_a_time_whose_test_fails_leaves_its_rows_and_no_schema(
    published: Lake, spark: Rows
) -> None:
    write(published, {"tests/no_two.sql": f"{STORED} from {{{{ ref('words') }}}} where id = 2"})

    ended = published.command("rebuild", "--as-of", "2999-01-01T00:00:00Z")

    assert ended.returncode == 1
    assert "the warehouse was left as it was" in ended.stdout
    assert schemas(spark, "as_of_") == []
    (file,) = published.root.glob("data/as_of/*/warehouse_test_failures.duckdb")
    with duckdb.connect(str(file), read_only=True) as session:
        ((schema, table),) = session.execute(
            "select schema_name, table_name from duckdb_tables()"
        ).fetchall()
        assert session.execute(f"select id from {schema}.{table}").fetchall() == [(2,)]


def test_a_change_is_built_on_what_is_published_and_leaves_nothing(
    published: Lake, spark: Rows
) -> None:
    write(
        published,
        {
            "models/marts/words.sql": (
                "select id, word || '!' as word from {{ ref('stg_shop__t') }}"
            ),
            "tests/no_first.sql": f"{STORED} from {{{{ ref('long_words') }}}} where id = 1",
        },
    )
    before = snapshots(spark)

    ended = published.command("build", "--changed-since", "main")

    assert ended.returncode == 1, ended
    assert "changed since main" in ended.stdout
    assert "dbt built 3 models" in ended.stdout
    assert "failed: no_first: Got 1 result" in ended.stdout
    assert "nothing was published" in ended.stdout
    assert schemas(spark, "changed_") == []
    assert snapshots(spark) == before
    (file,) = published.root.glob("data/changed/*_test_failures.duckdb")
    assert f"see its rows in {file.relative_to(published.root)}" in ended.stdout


def test_a_file_is_refused_in_words(published: Lake) -> None:
    ended = published.command("rebuild", "--output", "elsewhere.duckdb")

    assert ended.returncode == 1
    assert "`warehouse: {type: spark}` builds tables in its catalog, and no file" in ended.stderr
    assert "sources.yaml:" in ended.stderr
