"""Kills on Spark: of a run between rows and ledger, of an executor, and of the driver.

Whatever dies, readers see the version before, and a run publishes all that the source has.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import pytest

from lakefeed.transformation.targets.spark_session import open_session
from lakefeed.transformation.warehouse.spark.register import change_register
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_database
from tests.faults.die_at import die
from tests.integration.test_publication import write
from tests.spark.conftest import Running, declared_warehouse, lake_on

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

TABLES = "t: {cursor: at, history: true, deletes: remove}"
STAGING, HISTORY, MART = "stg_shop__t", "hst_shop__t", "words"
QUICK = {"models/marts/words.sql": "select id, word from {{ ref('stg_shop__t') }}"}
# Two cores sleep half a second for each of the rows: Spark leaves out what the result doesn't need.
SLOW = {
    "models/marts/words.sql": """
with slept as (
    select java_method('java.lang.Thread', 'sleep', 500L) as nothing from range(0, 24, 1, 4)
),
counted as (select count(nothing) as n from slept)
select t.id, t.word from {{ ref('stg_shop__t') }} as t cross join counted where counted.n <= 24"""
}
EXECUTE = "dbt.adapters.base.impl:BaseAdapter.execute"


@dataclass(frozen=True)
class Published:
    """A project that is published, and its catalog on a cluster whose server is elsewhere later."""

    project: Lake
    running: Running
    catalog: str
    database: Database

    @property
    def lake(self) -> Lake:
        """The project, at the address that the server has now."""
        return replace(
            self.project, warehouse=declared_warehouse(self.running, self.catalog)
        ).declare(TABLES)

    def spark(self, sql: str) -> list[tuple[Any, ...]]:
        return open_session(self.running.remote, self.catalog).rows(sql)

    def change(self) -> None:
        """An update, an insert and a delete."""
        self.database.execute(
            "update t set word = word || '!', at = clock_timestamp() where id % 2 = 0",
            "insert into t select max(id) + 1, 'new' from t",
            "delete from t where id = (select min(id) from t)",
        )

    def seen(self) -> list[list[tuple[Any, ...]]]:
        """What readers see of the three models."""
        return [
            self.spark("select id, word from public.stg_shop__t order by id"),
            self.spark("select id, word, is_current from public.hst_shop__t order by all"),
            self.spark("select id, word from public.words order by id"),
        ]

    def unrecorded(self, schema: str, model: str) -> list[str]:
        """The loads whose rows a model has where dbt builds, and of which its ledger knows none."""
        query = (
            f"select distinct _dlt_load_id from {schema}.{model} where _dlt_load_id not in "
            f"(select load_id from _lakefeed.staged_loads where model = '{model}')"
        )
        return [load for (load,) in self.spark(query)]

    def let_lease_end(self) -> None:
        """What happens by itself two minutes after a kill."""
        session = open_session(self.running.remote, self.catalog)
        change_register(session, lambda found: replace(found, lease=None))

    def assert_completed_by_a_run(self) -> None:
        """A run succeeds, all models equal the source then, and nothing is left to build."""
        self.let_lease_end()
        lake = self.lake

        report = lake.run()

        assert report.exit_code == 0, report
        self.assert_equal_to_source()
        assert lake.run().build is None

    def assert_equal_to_source(self) -> None:
        rows = self.database.rows("select id, word from t order by id")
        staging, history, mart = self.seen()
        assert staging == rows
        assert mart == rows
        assert sorted((id, word) for id, word, is_current in history if is_current) == rows
        versions = self.lake.raw("shop__t", "id, word, _deleted_at")
        assert sorted((id, word) for id, word, _ in history) == [
            (id, word) for id, word, deleted_at in versions if deleted_at is None
        ]


@pytest.fixture(scope="module")
def shared(
    spark_cluster_server: Running, server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Published:
    """A table with its history and a mart, published once."""
    running, database = spark_cluster_server, new_database(server_url)
    running.cluster.restore()
    os.environ.update({**running.store.environment, CONNECTION_VARIABLE: database.url})
    database.execute(
        "create table t (id int primary key, word text, at timestamptz default clock_timestamp())",
        "insert into t select i, 'word' || i from generate_series(1, 20) as i",
    )
    catalog = f"lake{next(running.unused)}"
    found = Published(
        lake_on(running, catalog, tmp_path_factory.mktemp("killed")), running, catalog, database
    )
    write(found.project, QUICK)
    report = found.lake.run()
    assert report.exit_code == 0, report
    return found


@pytest.fixture
def published(running: Running, shared: Published) -> Published:
    """The same with later changes in the source, on a cluster whose processes all run."""
    write(shared.project, QUICK)
    shared.change()
    return shared


def test_rows_that_killed_runs_wrote_and_did_not_record_are_made_up_for(
    published: Published,
) -> None:
    before = published.seen()

    for schema, model in (("staging", STAGING), ("history", HISTORY)):
        die(published.lake, EXECUTE, "before", of=f"'{model}' as model, load_id")

        assert len(published.unrecorded(schema, model)) == 1
        assert published.seen() == before
        published.let_lease_end()

    published.assert_completed_by_a_run()


def test_a_run_survives_the_loss_of_executors_in_the_midst_of_its_models(
    published: Published,
) -> None:
    lake, cluster = published.lake, published.running.cluster
    write(lake, SLOW)

    def kill_executor() -> None:
        # The one that takes the place of an earlier one needs a while.
        while not cluster.executors:
            time.sleep(0.1)
        cluster.kill_executor()

    with (
        while_it_builds(lake, STAGING, kill_executor),
        while_it_builds(lake, HISTORY, kill_executor),
        while_it_builds(lake, MART, kill_executor),
    ):
        ended = lake.command("run")

    assert ended.returncode == 0, ended
    published.assert_equal_to_source()


def test_a_run_whose_driver_is_lost_fails_in_words_and_the_next_one_completes_it(
    published: Published,
) -> None:
    lake, cluster, before = published.lake, published.running.cluster, published.seen()
    write(lake, SLOW)

    with while_it_builds(lake, MART, cluster.kill_server):
        ended = lake.command("run")
    cluster.restore()

    assert ended.returncode == 1, ended
    assert "the connection to Spark was lost" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert published.seen() == before
    write(lake, QUICK)
    published.assert_completed_by_a_run()


@contextmanager
def while_it_builds(lake: Lake, model: str, strike: Callable[[], None]) -> Iterator[None]:
    """Strikes a moment after dbt has begun a model in this block, and before the model is done."""
    log = lake.root / "dbt" / "logs" / "dbt.log"
    log.unlink(missing_ok=True)
    ended = Event()

    def told(word: str) -> bool:
        lines = log.read_text().splitlines() if log.exists() else []
        return any(word in line and f".{model} " in line for line in lines)

    def watch() -> bool:
        while not told(" START "):
            if ended.wait(0.02):
                return False
        time.sleep(1)
        strike()
        return not told(" OK ")

    with ThreadPoolExecutor(1) as thread:
        struck = thread.submit(watch)
        try:
            yield
        finally:
            ended.set()
        assert struck.result(), f"{model} wasn't struck while it was built"
