"""The conformance suite on Spark, as a user runs it (docs/engines.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.conformance.report import REPORT
from lakefeed.conformance.suite import PROMISES
from lakefeed.orchestration.project.sync import sync
from tests.conftest import Database, Lake

pytestmark = [pytest.mark.spark, pytest.mark.at_night, pytest.mark.timeout(3600)]


def test_spark_keeps_every_promise(database: Database, lake: Lake, server_url: str) -> None:
    database.execute("create table a (id int primary key, at timestamptz default now())")
    sync(lake.declare("a: {cursor: at}").project)

    ended = lake.command("check", "--warehouse", "--conformance", "--server", server_url)

    assert ended.returncode == 0, ended
    assert ended.stdout.count("passed ") == len(PROMISES)
    (path,) = Path(lake.root).glob("data/conformance/spark-*.json")
    assert REPORT.read(path.read_text(), path.name).is_passed
