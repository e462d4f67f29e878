"""What readers of a Spark warehouse see, whatever builds, publishes, rolls back or is killed."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakefeed.declaration.project import Project, open_project
from lakefeed.errors import Overtaken, Refused
from lakefeed.transformation.targets.spark import Spark
from lakefeed.transformation.targets.spark_session import open_session
from lakefeed.transformation.warehouse.base import lease as spark_lock
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.base.warehouse import Relation
from lakefeed.transformation.warehouse.declared import warehouse_of
from lakefeed.transformation.warehouse.spark import public_views
from lakefeed.transformation.warehouse.spark.spark_candidate import SparkCandidate
from lakefeed.transformation.warehouse.spark.warehouse_spark import WarehouseSpark
from tests.spark.conftest import Running

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]


@pytest.fixture
def project(running: Running, catalog: str, tmp_path: Path) -> Project:
    (tmp_path / "sources.yaml").write_text(
        "version: 1\n"
        f"warehouse: {{type: spark, remote: '{running.remote}', catalog: {catalog}, keep: 1}}\n"
        "sources: {shop: {connection: '${SHOP_URL}', tables: {orders: {cursor: at}}}}\n"
    )
    models = {"marts": ("fct", "doubled", "begun", "begun_view"), "staging": ("stg",)}
    nodes = [node(schema, name) for schema, names in models.items() for name in names]
    (tmp_path / "dbt" / "target").mkdir(parents=True)
    (tmp_path / "dbt" / "target" / "manifest.json").write_text(
        json.dumps({"nodes": {found["unique_id"]: found for found in nodes}})
    )
    return open_project(tmp_path)


def node(schema: str, name: str) -> dict[str, Any]:
    """A model as dbt's manifest has it."""
    return {
        "name": name,
        "unique_id": f"model.shop.{name}",
        "resource_type": "model",
        "schema": schema,
        "alias": name,
        "description": "",
        "original_file_path": f"models/{schema}/{name}.sql",
        "depends_on": {"nodes": []},
        "config": {"enabled": True, "materialized": "table"},
    }


@pytest.fixture
def warehouse(project: Project) -> WarehouseSpark:
    found = warehouse_of(project)
    assert isinstance(found, WarehouseSpark)
    return found


@pytest.fixture
def spark(running: Running, catalog: str) -> Iterator[Any]:
    """Runs statements in the session of this process, as dbt does."""
    session = open_session(running.remote, catalog)
    yield session.rows


def build(spark: Any, number: int, *, kind: str = "int") -> None:
    """What dbt does in a build: a mart, a view of it, and a staging table that grows."""
    for schema in ("marts", "staging"):
        spark(f"create namespace if not exists {schema}")
    spark(
        f"create or replace table marts.fct using iceberg as select cast({number} as {kind}) as n"
    )
    spark("create or replace view marts.doubled as select 2 * n as m from marts.fct")
    if number == 1:
        spark("create table staging.stg using iceberg as select 1 as id, 1 as _staged_batch")
    else:
        spark(f"insert into staging.stg values ({number}, {number})")


def publish(warehouse: WarehouseSpark, spark: Any, number: int, **build_as: str) -> None:
    with warehouse.lock():
        candidate = warehouse.start(f"build {number}")
        build(spark, number, **build_as)
        finish(candidate)


def finish(candidate: SparkCandidate) -> None:
    candidate.write_state(PublicationState().published(dt.datetime.now(dt.UTC)))
    candidate.mark_whole()
    candidate.publish()


def seen(spark: Any) -> tuple[int, int, int]:
    """What readers see: the mart, the view of it, and how many rows staging has."""
    ((n,),), ((m,),) = spark("select n from public.fct"), spark("select m from public.doubled")
    ((rows,),) = spark("select count(*) from public.stg")
    return n, m, rows


def test_readers_see_a_build_once_it_is_published_and_not_before(
    warehouse: WarehouseSpark, spark: Any
) -> None:
    publish(warehouse, spark, 1)

    with warehouse.lock():
        candidate = warehouse.start("build 2")
        build(spark, 2)
        assert seen(spark) == (1, 2, 1)
        assert warehouse.published.row_counts([("staging", "stg")]) == {("staging", "stg"): 1}
        assert warehouse.published.query("select m from marts.doubled") == (["m"], [(2,)])
        finish(candidate)

    assert seen(spark) == (2, 4, 2)
    assert warehouse.published.query("select n from marts.fct") == (["n"], [(2,)])


def test_a_build_goes_on_from_what_is_published_whatever_a_killed_one_left(
    warehouse: WarehouseSpark, spark: Any
) -> None:
    publish(warehouse, spark, 1)
    with warehouse.lock():
        warehouse.start("killed")
        # A type that the published table doesn't have, rows, and a table and a view of its own.
        build(spark, 2, kind="string")
        spark("create table marts.begun using iceberg as select 1 as a")
        spark("create view marts.begun_view as select a from marts.begun")

    with warehouse.lock():
        warehouse.start("next")

        assert spark("select * from marts.fct") == [(1,)]
        assert spark("describe query select * from marts.fct") == [("n", "int", None)]
        assert spark("select id from staging.stg") == [(1,)]
        assert sorted(name for _, name, *_ in spark("show tables in marts")) == ["fct"]
        assert sorted(name for _, name, *_ in spark("show views in marts")) == ["doubled"]
    assert seen(spark) == (1, 2, 1)


def test_a_publication_that_is_killed_among_its_views_is_finished_by_the_next_build(
    warehouse: WarehouseSpark, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(warehouse, spark, 1)
    with monkeypatch.context() as killed:
        killed.setattr(public_views, "show", _dies)
        with pytest.raises(KeyboardInterrupt):
            publish(warehouse, spark, 2)
    assert seen(spark) == (1, 2, 1)

    with warehouse.lock():
        warehouse.start("next")

    assert seen(spark) == (2, 4, 2)


@pytest.mark.at_night
def test_a_rollback_shows_the_version_before_and_the_next_build_starts_from_it(
    warehouse: WarehouseSpark, spark: Any
) -> None:
    publish(warehouse, spark, 1)
    publish(warehouse, spark, 2)

    with warehouse.lock():
        before = warehouse.version_before(warehouse.current())
        assert before is not None
        warehouse.return_to(before, warehouse.current())

    assert seen(spark) == (1, 2, 1)
    with warehouse.lock():
        warehouse.start("next")
        assert spark("select id from staging.stg") == [(1,)]


@pytest.mark.at_night
def test_expiry_by_others_and_prune_keep_what_versions_show(
    warehouse: WarehouseSpark, spark: Any, catalog: str
) -> None:
    for number in (1, 2, 3):
        publish(warehouse, spark, number)
    spark(
        f"call {catalog}.system.expire_snapshots(table => 'marts.fct', "
        "older_than => timestamp '2100-01-01', retain_last => 1)"
    )

    warehouse.remove_unneeded()

    assert seen(spark) == (3, 6, 3)
    tags = spark("select count(*) from marts.fct.refs where type = 'TAG'")
    assert tags == [(2,)], "the published version's and the one before, which `keep: 1` keeps"
    with warehouse.lock():
        before = warehouse.version_before(warehouse.current())
        assert before is not None
        warehouse.return_to(before, warehouse.current())
    assert seen(spark) == (2, 4, 2)


@pytest.mark.at_night
def test_a_table_that_only_an_earlier_version_shows_is_dropped_with_that_version(
    warehouse: WarehouseSpark, spark: Any
) -> None:
    publish(warehouse, spark, 1)
    with warehouse.lock():
        candidate = warehouse.start("without the mart")
        spark("drop view marts.doubled")
        candidate.drop([Relation("marts", "fct", "table")])
        finish(candidate)

    assert {name for _, name, *_ in spark("show views in public")}.isdisjoint({"fct", "doubled"})
    assert spark("select n from marts.fct") == [(1,)], "a rollback needs it"
    with warehouse.lock():
        warehouse.forget_versions()
    assert spark("show tables in marts") == []


@pytest.mark.at_night
def test_tables_of_others_in_the_catalog_are_neither_dropped_nor_published(
    warehouse: WarehouseSpark, spark: Any
) -> None:
    publish(warehouse, spark, 1)
    spark("create table marts.theirs using iceberg as select 1 as a")
    spark("create namespace if not exists elsewhere")
    spark("create table elsewhere.fct using iceberg as select 2 as a")

    publish(warehouse, spark, 2)
    warehouse.remove_unneeded()

    assert spark("select a from marts.theirs") == [(1,)]
    assert spark("select a from elsewhere.fct") == [(2,)]
    assert "theirs" not in {name for _, name, *_ in spark("show views in public")}


@pytest.mark.at_night
def test_a_first_build_refuses_tables_of_others_with_the_names_of_models(
    warehouse: WarehouseSpark, spark: Any
) -> None:
    spark("create namespace marts")
    spark("create table marts.fct using iceberg as select 'theirs' as n")

    with warehouse.lock(), pytest.raises(Refused, match=r"didn't make: marts\.fct"):
        warehouse.start("first")

    assert spark("select n from marts.fct") == [("theirs",)]


@pytest.mark.at_night
def test_a_build_that_another_has_overtaken_publishes_nothing(
    warehouse: WarehouseSpark, spark: Any
) -> None:
    publish(warehouse, spark, 1)
    with warehouse.lock():
        overtaken = warehouse.start("first")
        warehouse.start("second")

        with pytest.raises(Refused, match="another run has started to build"):
            finish(overtaken)
        with pytest.raises(Overtaken, match="another run has started to build"):
            warehouse.started("first")
    assert seen(spark) == (1, 2, 1)


@pytest.mark.at_night
def test_a_build_that_lost_its_lock_publishes_nothing(
    warehouse: WarehouseSpark, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_lock, "_LEASE_SECONDS", 0)
    publish(warehouse, spark, 1)
    with warehouse.lock():
        stopped = warehouse.start("stopped for too long")
        build(spark, 2)
        with monkeypatch.context() as others:
            # Another process: it knows nothing of the lease that this one holds.
            others.setattr(spark_lock, "_held", {})
            publish(warehouse, spark, 3)

        with pytest.raises(Refused, match="lost its lock"):
            finish(stopped)
    assert seen(spark)[0] == 3


@pytest.mark.at_night
def test_the_lock_says_who_holds_it_and_a_second_build_waits(
    warehouse: WarehouseSpark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark_lock, "_WAIT_SECONDS", 0)
    assert warehouse.lock_holder() == ""

    with warehouse.lock():
        assert warehouse.lock_holder().startswith("process ")
        with monkeypatch.context() as others:
            others.setattr(spark_lock, "_held", {})
            with pytest.raises(Refused, match="another build has held the lock"), warehouse.lock():
                pass

    assert warehouse.lock_holder() == ""


def test_a_token_in_the_address_is_never_shown() -> None:
    assert Spark("sc://host:443/;use_ssl=true;token=s3cret", "lake").shown == "sc://host:443"


def _dies(*_: object) -> None:
    raise KeyboardInterrupt
