"""docs/airflow.md: its asset is the one that loads tell of, and its transport is a valid one."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.conftest import Lake

PAGE = (Path(__file__).resolve().parents[2] / "docs/airflow.md").read_text(encoding="utf-8")


def test_another_dag_is_scheduled_by_the_asset_that_the_page_names(lake: Lake) -> None:
    from airflow.sdk import Asset

    from lakefeed.dag.names import asset_of

    ((name, uri),) = re.findall(r'schedule=\[Asset\(name="(.+?)", uri="(.+?)"\)\]', PAGE)

    project = lake.declare("orders: {cursor: at}").project

    assert asset_of(project.table("shop__orders")) == Asset(name=name, uri=uri)


def test_the_provider_takes_the_transport_that_the_page_sets() -> None:
    from openlineage.client.transport import get_default_factory

    (declared,) = re.findall(r"AIRFLOW__OPENLINEAGE__TRANSPORT='(.+?)'", PAGE)

    transport = get_default_factory().create(json.loads(declared))

    assert transport.kind == "http"
