"""Column lineage of hand-written models, from SQL that real dbt compiled."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.declaration.catalogue import Catalogue, CatalogueTable, Column, catalogue_text
from lakefeed.orchestration.project.init import write_scaffold
from lakefeed.transformation.dbt_adapter.runner import run_dbt
from lakefeed.transformation.generate.generated_files import write_generated
from lakefeed.transformation.lineage.project_lineage import Lineage, ModelLineage, read_lineage
from tests.conftest import Lake

MODELS = {
    "models/marts/between.sql": """
        {{ config(materialized='ephemeral') }}
        select "Id", city as town from {{ ref('hst_shop__customers') }}""",
    "models/marts/dim_town.sql": """
        {{ config(materialized='view') }}
        select distinct town, length(town) as letters, 'x' as mark from {{ ref('between') }}""",
    "models/marts/fct_order.sql": """
        {{ config(materialized='incremental', unique_key='id') }}
        select orders.*, code from {{ ref('stg_shop__orders') }} as orders
        left join {{ ref('codes') }} as codes on codes.id = orders.id
        {% if is_incremental() %}where at > (select max(at) from {{ this }}){% endif %}""",
    "models/marts/from_files.sql": "select * from (select 1 as id, unnest(glob('*.x')) as f)",
    "models/marts/pivoted.sql": """
        pivot {{ ref('stg_shop__orders') }} on total using count(*) group by id""",
    "models/marts/of_the_snapshot.sql": "select id, dbt_valid_from from {{ ref('kept') }}",
    "models/staging/shop/stg_shop__own.sql": """
        select id from read_parquet('../data/none/*.parquet')""",
    "snapshots/kept.yml": """
        snapshots:
          - name: kept
            relation: ref('stg_shop__orders')
            config: {unique_key: id, strategy: check, check_cols: all, schema: marts}""",
    "seeds/codes.csv": "id,code\n1,a\n",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A project whose tables are empty, with models of a user's own, built twice."""
    root = tmp_path_factory.mktemp("lineage")
    write_scaffold(root)
    lake = Lake(root).declare(
        "orders: {cursor: at}\ncustomers: {cursor: at, history: true}\nown: {cursor: at}"
    )
    tables = {
        "public.orders": ("id", "total", "at"),
        "public.customers": ("Id", "city", "at"),
        "public.own": ("id", "at"),
    }
    entries = {name: catalogue_table(name, columns) for name, columns in tables.items()}
    (root / "sources.lock.yaml").write_text(catalogue_text(Catalogue({"shop": entries})))
    write_generated(lake.project)
    for name, text in MODELS.items():
        path = root / "dbt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    run_dbt(lake.project, "build", [], lake.project.warehouse)
    run_dbt(lake.project, "build", ["--select", "fct_order"], lake.project.warehouse)
    return lake


def catalogue_table(name: str, columns: tuple[str, ...]) -> CatalogueTable:
    types = {"at": "timestamp with time zone", "city": "text"}
    typed = tuple(Column(one, types.get(one, "integer"), False) for one in columns)
    return CatalogueTable(
        schema="public",
        name=name.partition(".")[2],
        kind="table",
        columns=typed,
        primary_key=columns[:1],
    )


@pytest.fixture(scope="module")
def lineage(lake: Lake) -> Lineage:
    return read_lineage(lake.project)


def told(model: ModelLineage) -> dict[str, str]:
    return {
        column: " ".join(
            sorted(f"{one.table}.{one.column}{'' if one.unchanged else '*'}" for one in origins)
        )
        for column, origins in model.columns.items()
    }


def test_generated_models_pass_on_the_columns_of_their_table(lineage: Lineage) -> None:
    assert told(lineage.models["stg_shop__orders"]) == {
        "id": "shop.orders.id",
        "total": "shop.orders.total",
        "at": "shop.orders.at",
        "_dlt_load_id": "",
        "_staged_batch": "",
    }
    history = told(lineage.models["hst_shop__customers"])
    assert (history["id"], history["valid_from"], history["is_current"]) == (
        *("shop.customers.Id", "shop.customers.at*"),
        "",
    )


def test_traces_marts_through_views_and_ephemeral_models(lineage: Lineage) -> None:
    assert told(lineage.models["dim_town"]) == {
        "town": "shop.customers.city",
        "letters": "shop.customers.city*",
        "mark": "",
    }
    assert lineage.models["dim_town"].holding("shop.customers", "city") == ("town",)


def test_traces_an_incremental_model_past_itself(lineage: Lineage) -> None:
    found = told(lineage.models["fct_order"])

    assert (found["id"], found["total"]) == ("shop.orders.id", "shop.orders.total")
    assert found["code"] == ""


def test_traces_snapshots_and_their_descendants(lineage: Lineage) -> None:
    assert told(lineage.models["of_the_snapshot"]) == {"id": "shop.orders.id", "dbt_valid_from": ""}


def test_reports_a_model_that_cannot_be_traced_and_traces_the_others(
    lake: Lake, lineage: Lineage
) -> None:
    assert lineage.models["pivoted"].unknown == "its SQL can't be parsed: it isn't a select"
    assert lineage.models["stg_shop__own"].unknown == (
        "none of its columns can be traced to a table"
    )
    assert lineage.origins("stg_shop__own", "id") is None


def test_the_lineage_of_some_models_reads_only_their_ancestors(
    lake: Lake, lineage: Lineage
) -> None:
    found = read_lineage(lake.project, of={"dim_town"})

    assert list(found.models) == ["hst_shop__customers", "dim_town"]
    assert found.models["dim_town"] == lineage.models["dim_town"]


def test_lineage_is_empty_before_the_first_build(tmp_path: Path) -> None:
    write_scaffold(tmp_path)

    assert read_lineage(Lake(tmp_path).declare("t: {cursor: at}").project) == Lineage({})
