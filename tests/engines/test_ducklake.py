"""What a DuckLake promises besides what a file does: readers and builds on several machines."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from duckdb import DuckDBPyConnection

from lakefeed.errors import DeclarationError, Refused, SourceUnreachable
from lakefeed.orchestration.build.rollback import resume, roll_back
from lakefeed.orchestration.inspect.status import status
from lakefeed.transformation.targets.ducklake import lake_of, opened
from lakefeed.transformation.warehouse.declared import warehouse_of
from lakefeed.transformation.warehouse.ducklake.lock import assert_locked
from tests.conftest import CATALOGUE_VARIABLE, DUCKLAKE, Database, Lake, failures, new_lake

pytestmark = pytest.mark.engines

COMMANDS = (("status",), ("trace", "shop.a", "1"), ("audit",), ("docs",), ("rebuild",))
CANARY = "Otto Canary 5512"


@pytest.fixture
def lake(catalogue: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """An empty project whose warehouse is a DuckLake with a catalogue of its own."""
    assert catalogue.name
    return Lake(new_lake(tmp_path_factory.mktemp("lake")).root, DUCKLAKE)


@pytest.fixture
def shop(database: Database, lake: Lake) -> Lake:
    """Two tables, a mart and a view over it, published once."""
    for table in "ab":
        database.execute(
            f"create table {table} (id int primary key, word text, at timestamptz default now())",
            f"insert into {table} values (1, 'one')",
        )
    marts = lake.root / "dbt/models/marts"
    (marts / "of_a.sql").write_text("select id, word from {{ ref('stg_shop__a') }}")
    (marts / "seen.sql").write_text(
        "{{ config(materialized='view') }} select word from {{ ref('of_a') }}"
    )
    assert lake.declare("a: {cursor: at}\nb: {cursor: at}").run().exit_code == 0
    return lake


def words(session: DuckDBPyConnection, view: str = "public.of_a") -> list[str]:
    return [word for (word,) in session.execute(f"select word from {view} order by 1").fetchall()]


def snapshots(lake: Lake) -> set[int]:
    with opened(lake_of(lake.project)) as session:
        found = session.execute("select snapshot_id from ducklake_snapshots('lake')").fetchall()
        return {number for (number,) in found}


def files_of(lake: Lake, model: str) -> int:
    """How many files the newest snapshot of a staging model has."""
    call = f"from ducklake_list_files('lake', '{model}', schema => 'staging')"
    with opened(lake_of(lake.project)) as session:
        return len(session.execute(call).fetchall())


def texts_in(catalogue: Database) -> str:
    """Everything that the catalogue's database holds, as text."""
    tables = catalogue.rows(
        "select table_name from information_schema.tables where table_schema = 'public'"
    )
    return "\n".join(
        str(row)
        for (table,) in tables
        for row in catalogue.rows(f'select t::text from "{table}" t')
    )


def test_readers_see_one_published_version_and_never_a_build(
    database: Database, shop: Lake
) -> None:
    project = shop.project
    with opened(lake_of(project)) as reader, opened(lake_of(project)) as in_transaction:
        in_transaction.begin()
        assert words(in_transaction) == ["one"]
        database.execute("insert into a values (2, 'two')")
        warehouse = warehouse_of(project)
        shop.load()
        with warehouse.lock():
            candidate = warehouse.start(uuid.uuid4().hex)
            assert not candidate.run_dbt([]).failures
            assert words(reader) == words(reader, "public.seen") == ["one"]
        assert shop.run().published_at

        assert words(reader) == words(reader, "public.seen") == ["one", "two"]
        assert words(in_transaction, "public.seen") == ["one"]


def test_a_build_writes_no_table_again_that_it_does_not_change(
    database: Database, shop: Lake
) -> None:
    before = max(snapshots(shop))
    database.execute("insert into a values (2, 'two')")

    assert shop.run().published_at

    query = "select changes from ducklake_snapshots('lake') where snapshot_id > $1"
    with opened(lake_of(shop.project)) as session:
        found = session.execute(query, [before]).fetchall()
    written = {table for (changes,) in found for table in changes.get("tables_created", ())}
    assert "staging.stg_shop__a" not in written
    assert "staging.stg_shop__b" not in written
    assert "marts.of_a" in written


def test_readers_find_the_state_of_models_beside_them(shop: Lake) -> None:
    with opened(lake_of(shop.project)) as reader:
        found = reader.execute(
            "select model, is_held_back from public._lakefeed_models order by 1"
        ).fetchall()

    assert found == [(m, False) for m in ("of_a", "seen", "stg_shop__a", "stg_shop__b")]


def test_views_follow_a_rollback_and_what_follows_it(database: Database, shop: Lake) -> None:
    database.execute("update a set word = 'two', at = now()")
    shop.run()

    roll_back(shop.project)
    with opened(lake_of(shop.project)) as reader:
        returned = words(reader, "public.seen")
    resume(shop.project)
    database.execute("insert into a values (3, 'three')")
    shop.run()

    assert returned == ["one"]
    with opened(lake_of(shop.project)) as reader:
        assert words(reader, "public.seen") == ["three", "two"]


def test_sessions_that_open_a_new_lake_at_once_all_open_it(lake: Lake) -> None:
    found = lake_of(lake.declare("a: {cursor: at}").project)
    together = threading.Barrier(4)

    def tables() -> list[str]:
        together.wait()
        with opened(found) as session:
            return [str(row) for row in session.execute("from duckdb_tables()").fetchall()]

    with ThreadPoolExecutor(4) as threads:
        opening = [threads.submit(tables) for _ in range(4)]
    assert [one.result() for one in opening] == [[], [], [], []]


def test_a_second_build_waits_for_the_first(shop: Lake) -> None:
    warehouse, order = warehouse_of(shop.project), []

    def build() -> None:
        with warehouse_of(shop.project).lock():
            order.append("second")

    with warehouse.lock():
        second = threading.Thread(target=build)
        second.start()
        time.sleep(1)
        order.append("first")
    second.join(60)

    assert order == ["first", "second"]


def test_a_lock_outlasts_what_the_catalogue_allows_a_transaction(
    catalogue: Database, shop: Lake
) -> None:
    for limit in ("transaction_timeout", "idle_in_transaction_session_timeout"):
        catalogue.execute(f"alter database {catalogue.name} set {limit} = '1s'")

    with warehouse_of(shop.project).lock():
        time.sleep(2)
        assert_locked(lake_of(shop.project))


def test_a_build_that_lost_its_lock_publishes_nothing(
    catalogue: Database, database: Database, shop: Lake
) -> None:
    database.execute("insert into a values (2, 'two')")
    shop.load()
    warehouse = warehouse_of(shop.project)
    with warehouse.lock():
        candidate = warehouse.start(uuid.uuid4().hex)
        candidate.run_dbt([])
        catalogue.execute(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        with pytest.raises(Refused, match="lost its lock"):
            candidate.publish()

    assert shop.query("select word from marts.of_a") == [("one",)]
    assert shop.run().published_at


def test_a_build_that_lost_its_lock_builds_no_further_model(database: Database, shop: Lake) -> None:
    database.execute("insert into a values (2, 'two')")
    shop.load()
    ended = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and "
    ended += "database = (select oid from pg_database where datname = current_database())"
    (shop.root / "dbt/models/marts/of_a.sql").write_text(
        "{{ config(post_hook=\"from postgres_query('__ducklake_metadata_lake', "
        f"$${ended}$$)\") }}}} select id, word from {{{{ ref('stg_shop__a') }}}}"
    )
    (shop.root / "dbt/models/marts/later.sql").write_text("select word from {{ ref('of_a') }}")
    warehouse = warehouse_of(shop.project)
    with warehouse.lock():
        candidate = warehouse.start(uuid.uuid4().hex)
        with pytest.raises(Refused, match="lost its lock"):
            candidate.run_dbt([])

    with opened(lake_of(shop.project)) as newest:
        tables = newest.execute("select table_name from duckdb_tables()").fetchall()
    assert ("of_a",) in tables
    assert ("later",) not in tables


def test_a_build_that_was_overtaken_publishes_nothing(shop: Lake) -> None:
    """Even if it doesn't know that it lost its lock: both would change the same record."""
    warehouse = warehouse_of(shop.project)
    with warehouse.lock():
        candidate = warehouse.start(uuid.uuid4().hex)
        warehouse.start(uuid.uuid4().hex)

        with pytest.raises(Refused, match="another run has started"):
            candidate.publish()


def test_as_many_earlier_versions_are_kept_as_declared(database: Database, shop: Lake) -> None:
    replace(shop, warehouse=f"{shop.warehouse[:-1]}, keep: 1}}").declare(
        "a: {cursor: at}\nb: {cursor: at}"
    )
    for word in ("two", "three"):
        database.execute(f"update a set word = '{word}', at = clock_timestamp()")
        assert shop.run().published_at

    roll_back(shop.project)
    assert shop.query("select word from marts.of_a") == [("two",)]
    with pytest.raises(Refused, match="no earlier version of"):
        roll_back(shop.project)


def test_prune_expires_what_no_version_needs(database: Database, shop: Lake) -> None:
    for word in ("two", "three"):
        database.execute(f"update a set word = '{word}', at = clock_timestamp()")
        shop.run()
    before = snapshots(shop)

    assert shop.command("prune").returncode == 0

    # The three versions, and the newest.
    assert len(before) > len(snapshots(shop)) == 4
    assert shop.query("select word from marts.of_a") == [("three",)]
    roll_back(shop.project)
    assert shop.query("select word from marts.of_a") == [("two",)]


def test_prune_merges_small_files_and_keeps_all_versions(database: Database, shop: Lake) -> None:
    for first in (100, 200, 300):
        database.execute(
            f"insert into a select g, 'more' from generate_series({first}, {first + 49}) g"
        )
        shop.run()
    before = files_of(shop, "stg_shop__a")

    assert shop.command("prune").returncode == 0

    assert files_of(shop, "stg_shop__a") == 1 < before
    count = "select count(*) from staging.stg_shop__a"
    assert shop.query(count) == [(151,)]
    roll_back(shop.project)
    assert shop.query(count) == [(101,)]
    database.execute("insert into a values (2, 'two')")
    resume(shop.project)
    assert shop.run().exit_code == 0
    assert shop.query(count) == [(152,)]


def test_what_was_rolled_back_does_not_come_back_after_a_prune(
    database: Database, shop: Lake
) -> None:
    mart = shop.root / "dbt/models/marts/fact.sql"
    query = (
        "{{{{ config(materialized='incremental') }}}} select id, {} as word"
        " from {{{{ ref('stg_shop__a') }}}} {{% if is_incremental() %}}"
        " where id > (select max(id) from {{{{ this }}}}) {{% endif %}}"
    )
    mart.write_text(query.format("'right'"))
    shop.command("build")
    mart.write_text(query.format("'wrong'"))
    database.execute("insert into a values (2, 'two')")
    assert shop.run().published_at
    roll_back(shop.project)
    assert shop.command("prune").returncode == 0
    mart.write_text(query.format("'right'"))
    resume(shop.project)

    assert shop.run().published_at

    assert shop.query("select id, word from marts.fact order by id") == [
        (1, "right"),
        (2, "right"),
    ]


def test_an_erased_row_is_in_no_file_and_not_in_the_catalogue(
    catalogue: Database, database: Database, shop: Lake
) -> None:
    database.execute(f"insert into a values (2, '{CANARY}'), (3, 'three')")
    shop.run()
    assert CANARY in texts_in(catalogue)
    database.execute("delete from a where id = 2")
    # As a killed build leaves it.
    left = shop.root / "data/lake/staging/ducklake-left.parquet"
    duckdb.sql(f"select '{CANARY}' as word").write_parquet(str(left))

    erased = shop.command("prune", "--erase", "shop.a", "2")

    assert erased.returncode == 0, erased
    assert not left.exists()
    assert CANARY not in texts_in(catalogue)
    files = (shop.root / "data/lake").rglob("*.parquet")
    assert not [file for file in files if CANARY in str(duckdb.read_parquet(str(file)).fetchall())]
    assert shop.query("select word from marts.of_a order by 1") == [("one",), ("three",)]


def test_prune_removes_what_killed_builds_left_a_day_ago(shop: Lake) -> None:
    folder = shop.root / "data/lake/staging"
    folder.mkdir(parents=True, exist_ok=True)
    old, new = folder / "ducklake-old.parquet", folder / "ducklake-new.parquet"
    for file in (old, new):
        duckdb.sql("select 1 as id").write_parquet(str(file))
    os.utime(old, times=(time.time() - 90_000,) * 2)

    assert shop.command("prune").returncode == 0

    assert (old.exists(), new.exists()) == (False, True)


def test_files_of_others_in_the_folder_of_the_lake_are_never_removed(shop: Lake) -> None:
    other = shop.root / "data/lake/notes.parquet"
    duckdb.sql("select 1 as id").write_parquet(str(other))
    os.utime(other, times=(time.time() - 90_000,) * 2)

    assert shop.command("prune").returncode == 0
    erased = shop.command("prune", "--erase", "shop.a", "1")

    assert erased.returncode == 1
    assert "notes.parquet" in erased.stderr
    assert other.exists()


def test_plain_dbt_builds_by_the_installed_extensions(
    database: Database, shop: Lake, tmp_path: Path
) -> None:
    database.execute("insert into a values (2, 'two')")
    shop.load()

    built = subprocess.run(
        [Path(sys.executable).parent / "dbt", "build", "--profiles-dir", "."],
        cwd=shop.root / "dbt",
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert built.returncode == 0, built.stdout
    with opened(lake_of(shop.project)) as newest:
        assert words(newest, "marts.of_a") == ["one", "two"]
    assert list(tmp_path.rglob("*.duckdb_extension")) == []


def test_a_warehouse_as_of_an_earlier_time_is_a_file(database: Database, shop: Lake) -> None:
    load = shop.raw("shop__a", "_dlt_load_id")[0][0]
    database.execute("insert into a values (2, 'two')")
    shop.run()

    ended = shop.command("rebuild", "--as-of", load, "--output", "then.duckdb")

    assert ended.returncode == 0, ended
    with duckdb.connect(shop.root / "then.duckdb", read_only=True) as session:
        assert words(session, "marts.of_a") == ["one"]


def test_each_command_works(shop: Lake) -> None:
    assert failures(shop, COMMANDS) == {}


def test_a_catalogue_that_cannot_be_reached_is_named_without_its_password(
    shop: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CATALOGUE_VARIABLE, "postgresql://me:s3cret@127.0.0.1:1/nowhere")

    with pytest.raises(SourceUnreachable, match="can't connect to") as raised:
        status(shop.project, shop.project.tables, dt.datetime.now(dt.UTC))

    assert "s3cret" not in str(raised.value)


def test_a_lake_without_its_variable_says_which(
    shop: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CATALOGUE_VARIABLE)

    with pytest.raises(DeclarationError, match=CATALOGUE_VARIABLE):
        shop.query("select 1")
