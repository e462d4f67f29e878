"""The conformance suite on the emulator, as a user runs it (docs/engines.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.conformance.report import REPORT
from lakefeed.conformance.suite import PROMISES
from lakefeed.orchestration.project.sync import sync
from tests.conftest import Database, Lake

pytestmark = [pytest.mark.clouds, pytest.mark.at_night, pytest.mark.timeout(3600)]

# What the emulator can't show, by promise, and why.
NOT_SHOWN: dict[str, str] = {}


def test_every_promise_is_kept_that_the_emulator_can_show(
    database: Database, lake: Lake, server_url: str
) -> None:
    database.execute("create table a (id int primary key, at timestamptz default now())")
    sync(lake.declare("a: {cursor: at}").project)

    ended = lake.command("check", "--warehouse", "--conformance", "--server", server_url)

    (path,) = Path(lake.root).glob("data/conformance/snowflake-*.json")
    report = REPORT.read(path.read_text(), path.name)
    broken = {one.name: one.why for one in report.promises if not one.is_kept}
    assert broken.keys() <= NOT_SHOWN.keys(), (broken, ended)
    assert len(report.promises) == len(PROMISES)
