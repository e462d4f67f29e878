"""The models and their dependencies, read from dbt's manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lakefeed.declaration.project import Project, open_project
from lakefeed.transformation.manifest import read_models, tables_above, with_those_below


def node(kind: str, name: str, materialized: str, *reads: str) -> dict[str, Any]:
    return {
        "resource_type": kind, "name": name, "alias": name, "schema": "marts", "description": "",
        "unique_id": f"{kind}.p.{name}", "original_file_path": f"models/marts/{name}.sql",
        "config": {"enabled": True, "materialized": materialized},
        "depends_on": {"nodes": list(reads)},
    }  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose mart reads a raw table through a snapshot and an ephemeral model."""
    (tmp_path / "sources.yaml").write_text(
        "version: 1\nsources: {shop: {tables: {t: {mode: full_refresh}}}}\n"
    )
    nodes = [
        node("model", "mart", "table", "model.p.between"),
        node("model", "between", "ephemeral", "snapshot.p.history"),
        node("snapshot", "history", "snapshot", "source.p.shop.t"),
        node("test", "a_test", "test", "model.p.mart"),
    ]
    named = {f"{one['resource_type']}.p.{one['name']}": one for one in nodes}
    target = tmp_path / "dbt/target"
    target.mkdir(parents=True)
    (target / "manifest.json").write_text(json.dumps({"nodes": named}))
    return open_project(tmp_path)


def test_looks_through_ephemeral_models_and_includes_snapshots(project: Project) -> None:
    models = read_models(project)

    assert [(one.name, one.reads_models) for one in models] == [
        *(("history", ()), ("mart", ("history",))),
    ]
    assert tables_above(models) == {"history": {"shop__t"}, "mart": {"shop__t"}}
    assert with_those_below(models, ["history"]) == {"history", "mart"}
