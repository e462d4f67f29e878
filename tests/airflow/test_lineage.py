"""OpenLineage: what Airflow's provider sends of a run, where it is installed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakefeed.transformation.dataset import Dataset
from lakefeed.transformation.manifest import Model
from tests.airflow.conftest import AirflowOf, airflow_of
from tests.conftest import CONNECTION_VARIABLE, Lake, new_database, new_lake

PASSWORD = "correct-horse-battery"


@pytest.fixture(scope="module")
def told(
    server_url: str, migrated_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[AirflowOf, str, list[dict[str, Any]]]:
    """Airflow after one run; the name of the database; and what was sent of the run."""
    database = new_database(server_url)
    database.execute(
        "create table t (id int primary key, at timestamptz default now())",
        "insert into t values (1)",
    )
    lake = new_lake(tmp_path_factory.mktemp("traced"))
    (lake.root / "dbt/models/marts/of_t.sql").write_text("select id from {{ ref('stg_shop__t') }}")
    lake.declare("t: {cursor: at}")
    airflow = airflow_of(lake, migrated_home, tmp_path_factory)
    sent = lake.root / "sent.jsonl"
    transport = {"type": "file", "log_file_path": str(sent), "append": True}
    url = database.url.replace("postgres:@", f"postgres:{PASSWORD}@")

    ended = airflow.run(
        **{CONNECTION_VARIABLE: url}, AIRFLOW__OPENLINEAGE__TRANSPORT=json.dumps(transport)
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    text = sent.read_text()
    assert PASSWORD not in text
    return airflow, database.name, [json.loads(line) for line in text.splitlines()]


def edges(told: tuple[AirflowOf, str, list[dict[str, Any]]], task: str) -> Any:
    """The names of what a task has read and made."""
    (event,) = (
        event
        for event in told[2]
        if event["eventType"] == "COMPLETE" and event["job"]["name"].endswith(f".{task}")
    )
    return tuple(
        [(dataset["namespace"], dataset["name"]) for dataset in event[side]]
        for side in ("inputs", "outputs")
    )


@pytest.mark.faults
def test_a_run_is_traced_from_the_database_to_the_marts(told: Any) -> None:
    airflow, database, _ = told
    root = airflow.lake.root
    warehouse = f"duckdb://{root}/data/warehouse.duckdb"
    raw = ("file", f"{root}/data/raw/shop__t")
    staged = (warehouse, "warehouse.staging.stg_shop__t")

    assert edges(told, "shop__t") == (
        [("postgres://localhost:5432", f"{database}.public.t")],
        [raw],
    )
    assert edges(told, "build_staging") == ([raw], [staged])
    assert edges(told, "build_marts") == ([staged], [(warehouse, "warehouse.marts.of_t")])


@pytest.mark.faults
def test_the_columns_of_the_source_are_told(told: Any) -> None:
    (source,) = (
        dataset
        for event in told[2]
        if event["eventType"] == "COMPLETE"
        for dataset in event["inputs"]
        if dataset["namespace"].startswith("postgres://")
    )
    fields = source["facets"]["schema"]["fields"]

    assert [(field["name"], field["type"]) for field in fields] == [
        ("id", "integer"),
        ("at", "timestamp with time zone"),
    ]


@pytest.mark.parametrize(
    ("url", "server", "database"),
    [
        ("postgresql://me:secret@db.example.org/shop", "postgres://db.example.org:5432", "shop"),
        ("postgresql://me@one,two:6432/shop", "postgres://one:5432", "shop"),
        ("postgresql:///shop?host=/run/postgresql&port=5433", "postgres://localhost:5433", "shop"),
        ("host=10.0.0.7 user=shop", "postgres://10.0.0.7:5432", "shop"),
    ],
)
def test_a_table_is_named_by_its_server_and_its_raw_files_by_their_folder(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, url: str, server: str, database: str
) -> None:
    from lakefeed.dag.lineage import Lineage, lineage_of_loads

    monkeypatch.setenv(CONNECTION_VARIABLE, url)
    stored = replace(lake, raw_url="s3://bucket/lake/raw")
    stored.declare('"audit.Log": {mode: full_refresh, name: log}')

    assert lineage_of_loads(lake.root, ["shop__log"]) == Lineage(
        inputs=(Dataset(server, f"{database}.audit.Log"),),
        outputs=(Dataset("s3://bucket", "lake/raw/shop__log"),),
    )


def test_a_query_has_the_lineage_of_the_tables_that_it_reads(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakefeed.dag.lineage import lineage_of_loads

    monkeypatch.setenv(CONNECTION_VARIABLE, "postgresql://db.example.org/shop")
    lake.declare(
        "spent: {query: select * from orders join audit.log using (id), mode: full_refresh}"
    )

    read = lineage_of_loads(lake.root, ["shop__spent"]).inputs

    assert [dataset.name for dataset in read] == ["shop.public.orders", "shop.audit.log"]


@pytest.mark.parametrize(
    ("warehouse", "namespace", "name"),
    [
        ("{path: data/shop.duckdb}", "duckdb://{root}/data/shop.duckdb", "shop.marts.dim_day"),
        (
            "{type: ducklake, catalog_url: '${LAKE_URL}', data_url: data/lake}",
            "file",
            "{root}/data/lake/marts/dim_day",
        ),
        (
            "{type: ducklake, catalog_url: '${LAKE_URL}', data_url: 's3://bucket/lake'}",
            "s3://bucket",
            "lake/marts/dim_day",
        ),
        (
            "{type: spark, remote: '${SPARK_URL}', catalog: lake}",
            "spark://spark.example.org:443",
            "lake.marts.dim_day",
        ),
    ],
)
def test_a_model_is_named_by_where_the_warehouse_is(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, warehouse: str, namespace: str, name: str
) -> None:
    from lakefeed.dag.lineage import dataset_of_model

    monkeypatch.setenv("LAKE_URL", "postgresql://me:secret@db.example.org/lake")
    monkeypatch.setenv("SPARK_URL", "sc://spark.example.org:443/;use_ssl=true;token=secret")
    there = replace(lake, warehouse=warehouse).declare("t: {cursor: at}")
    model = Model(
        *("dim_day", False, ""), reads_models=(), reads_tables=(), schema="marts",
        identifier="dim_day",
    )  # fmt: skip

    assert dataset_of_model(there.project, model) == Dataset(
        namespace.format(root=lake.root), name.format(root=lake.root)
    )
