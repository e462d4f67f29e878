"""dbt's internals on which patches rely, so that an upgrade which changes them fails here."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from unittest.mock import Mock

import agate
import parsedatetime
import pytest
from dbt_common import behavior_flags
from dbt_common.clients import agate_helper, system

from lakefeed.transformation.dbt_adapter.patches import speed_up_dbt

ARTIFACT = {"at": dt.datetime(2026, 1, 2, 3, 4, 5), "amount": Decimal("1.5"), "é": [None, {"a": 1}]}


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt as it is; whatever a test patches is put back."""
    monkeypatch.setattr(system, "json", json)
    monkeypatch.setattr(parsedatetime, "Constants", parsedatetime.Constants)
    flags = behavior_flags.BehaviorFlagRendered
    monkeypatch.setattr(flags, "_default_source", staticmethod(flags._default_source))


def written(path: Path) -> bytes:
    system.write_json(str(path), ARTIFACT)
    return path.read_bytes()


@pytest.mark.usefixtures("unpatched")
def test_artifacts_are_the_same(tmp_path: Path) -> None:
    before = written(tmp_path / "before.json")

    speed_up_dbt()

    assert written(tmp_path / "after.json") == before


@pytest.mark.usefixtures("unpatched")
def test_artifacts_are_encoded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speed_up_dbt()
    streamed = Mock(side_effect=AssertionError)
    monkeypatch.setattr(json, "dump", streamed)

    assert json.loads(written(tmp_path / "artifact.json"))["amount"] == 1.5


@pytest.mark.usefixtures("unpatched")
def test_date_parsers_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built = Mock(wraps=parsedatetime.Constants)
    monkeypatch.setattr(parsedatetime, "Constants", built)
    speed_up_dbt()

    for _ in range(3):
        table = agate_helper.table_from_data_flat([{"at": "2026-01-02", "n": 1}], ["at", "n"])

    assert built.call_count == 1
    assert isinstance(table, agate.Table)


@pytest.mark.usefixtures("unpatched")
def test_behavior_flags_name_the_module_that_defines_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flag: behavior_flags.BehaviorFlag = {"name": "x", "default": False, "description": "x"}  # type: ignore[typeddict-item]
    events = Mock()
    monkeypatch.setattr(behavior_flags, "BehaviorChangeEvent", events)
    behavior_flags.BehaviorFlagRendered(flag, {})

    speed_up_dbt()
    behavior_flags.BehaviorFlagRendered(flag, {})

    assert [call.kwargs["flag_source"] for call in events.call_args_list] == [__name__, __name__]
