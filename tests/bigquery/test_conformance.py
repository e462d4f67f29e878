"""The conformance suite on an emulator of BigQuery, as far as that goes (docs/bigquery.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.conformance.report import REPORT
from lakefeed.orchestration.project.sync import sync
from tests.conftest import Database, Lake

pytestmark = [pytest.mark.clouds, pytest.mark.at_night, pytest.mark.timeout(3600)]

# The emulator's BIGNUMERIC has 38 digits, and DuckDB's types are behind all others.
NOT_SHOWN = {"values of all types survive a build", "values of all types survive a merge"}


def test_the_emulator_shows_every_promise_but_those_of_types(
    database: Database, lake: Lake, server_url: str
) -> None:
    database.execute("create table a (id int primary key, at timestamptz default now())")
    sync(lake.declare("a: {cursor: at}").project)

    ended = lake.command("check", "--warehouse", "--conformance", "--server", server_url)

    (path,) = Path(lake.root).glob("data/conformance/bigquery-*.json")
    report = REPORT.read(path.read_text(), path.name)
    broken = {promise.name: promise.why for promise in report.promises if not promise.is_kept}
    assert {name: why for name, why in broken.items() if name not in NOT_SHOWN} == {}, ended
