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
from dbt.compilation import Linker
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import SourceDefinition
from dbt.graph.selector_methods import QualifiedNameSelectorMethod
from dbt.node_types import NodeType
from dbt.parser import manifest
from dbt_common import behavior_flags
from dbt_common.clients import agate_helper, system

from lakefeed.transformation.dbt_adapter import patches
from lakefeed.transformation.dbt_adapter.patches import speed_up_dbt

ARTIFACT = {"at": dt.datetime(2026, 1, 2, 3, 4, 5), "amount": Decimal("1.5"), "é": [None, {"a": 1}]}


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt as it is; whatever a test patches is put back."""
    monkeypatch.setattr(system, "json", json)
    monkeypatch.setattr(parsedatetime, "Constants", parsedatetime.Constants)
    monkeypatch.setattr(manifest, "write_manifest", manifest.write_manifest)
    flags = behavior_flags.BehaviorFlagRendered
    monkeypatch.setattr(flags, "_default_source", staticmethod(flags._default_source))
    monkeypatch.setattr(Linker, "get_graph_summary", Linker.get_graph_summary)
    by_name = QualifiedNameSelectorMethod
    monkeypatch.setattr(by_name, "node_is_match", by_name.node_is_match)


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


def test_dbt_writes_its_manifest_where_the_patch_expects_it() -> None:
    parses = getattr(manifest, patches._PARSED)

    assert patches._WRITE in parses.__code__.co_names


@pytest.mark.usefixtures("unpatched")
def test_only_a_build_writes_no_manifest_after_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(manifest, "write_manifest", written.append)
    speed_up_dbt()

    def parse_manifest(what: str) -> None:
        manifest.write_manifest(what)  # type: ignore[arg-type, call-arg]

    parse_manifest("parsed")
    with patches.manifest_written_once():
        parse_manifest("parsed for a build")
        manifest.write_manifest("built")  # type: ignore[arg-type, call-arg]

    assert written == ["parsed", "built"]


@pytest.mark.usefixtures("unpatched")
def test_the_summary_of_the_graph_is_the_same() -> None:
    nodes = {f"source.p.s.t{i}": source_named(f"t{i}") for i in range(3)}
    graph = Linker()
    graph.dependency("source.p.s.t1", "source.p.s.t0")
    graph.dependency("source.p.s.t2", "source.p.s.t0")
    known = Manifest(sources=nodes)
    before = json.dumps(graph.get_graph_summary(known))

    speed_up_dbt()

    assert json.dumps(graph.get_graph_summary(known)) == before
    assert '"succ": [0, 2]' in before


def source_named(name: str) -> SourceDefinition:
    return SourceDefinition(
        database=None, schema="raw", name=name, resource_type=NodeType.Source, package_name="p",
        path="p.yml", original_file_path="p.yml", unique_id=f"source.p.s.{name}",
        fqn=["p", "s", name], source_name="s", source_description="", loader="", identifier=name,
    )  # fmt: skip


@pytest.mark.usefixtures("unpatched")
def test_names_select_the_same_nodes() -> None:
    method = QualifiedNameSelectorMethod(Manifest(), None, [])
    selectors = [
        *("stg_a", "stg", "tg_a", "package", "staging", "shop", "v2", "m_v2", "m", "a.b", "b"),
        *("stg_*", "staging.shop.stg_a", "package.staging", "*", "?tg_a", "m.v2"),
    ]
    nodes = [
        (["package", "staging", "shop", "stg_a"], False),
        (["package", "staging.shop", "a.b"], False),
        (["package", "marts", "m", "v2"], True),
    ]

    def selected() -> list[bool]:
        return [
            method.node_is_match(selector, fqn, is_versioned)
            for selector in selectors
            for fqn, is_versioned in nodes
        ]

    before = selected()
    speed_up_dbt()

    assert selected() == before
    assert 0 < sum(before) < len(before)


@pytest.mark.usefixtures("unpatched")
def test_names_that_differ_in_every_part_are_not_taken_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        QualifiedNameSelectorMethod, "node_is_match", Mock(side_effect=AssertionError)
    )
    speed_up_dbt()

    method = QualifiedNameSelectorMethod(Manifest(), None, [])

    assert not method.node_is_match("stg_a", ["package", "staging", "stg_b"], False)
