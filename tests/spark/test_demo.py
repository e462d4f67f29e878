"""`make demo WAREHOUSE=spark`: the demo on a cluster that it starts and stops itself."""

from __future__ import annotations

import re
from pathlib import Path

import psutil
import pytest

from lakefeed.demo.spark.distribution import Spark
from tests.conftest import Lake, copy_shop_project

pytestmark = [pytest.mark.spark, pytest.mark.at_night, pytest.mark.timeout(900)]


def test_the_demo_shows_the_same_tables_on_spark(tmp_path: Path, spark_here: Spark) -> None:
    shop = Lake(copy_shop_project(tmp_path / "shop"))

    ended = shop.process(
        "demo", "--scale", "0.1", "--warehouse", "spark", SPARK_HOME=str(spark_here.home)
    )

    assert ended.returncode == 0, ended
    assert "  warehouse: {type: spark, remote: '${LAKEFEED_SPARK_REMOTE}', catalog: lake}" in (
        ended.stdout
    )
    assert re.search(
        r"loaded 9 of 9 tables; dbt built 20 models and passed \d+ tests", ended.stdout
    )
    assert "nothing new in 9 tables; dbt was not started" in ended.stdout
    assert re.search(r"Lakefeed +20\d\d-.* +\d+ +in the star schema", ended.stdout)
    assert re.search(r"2026-\d\d +(Kitchen|Gifts|Books) +\d+ +\d+\.\d\d", ended.stdout)
    assert re.search(r"Utrecht +20\d\d-\d\d-\d\d \d\d:\d\d +\d+ *\n", ended.stdout)
    assert re.search(r"\d+ files in s3://lake/warehouse, [\d,]+ bytes", ended.stdout)
    left = [p for p in psutil.process_iter(["cmdline"]) if str(shop.root) in str(p.info["cmdline"])]
    assert left == []
