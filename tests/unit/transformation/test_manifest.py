"""The models and their dependencies, read from dbt's manifest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lakefeed.declaration.project import Project, open_project
from lakefeed.transformation.kept_models import kept_models
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


def test_models_are_kept_until_the_manifest_changes(project: Project) -> None:
    manifest = project.dbt / "target/manifest.json"
    models = kept_models(project)
    text, at = manifest.read_text(), manifest.stat()

    # Without its text, only what was kept can answer.
    manifest.write_text(" " * len(text))
    os.utime(manifest, ns=(at.st_atime_ns, at.st_mtime_ns))
    again = kept_models(project)
    manifest.write_text(text.replace('"mart"', '"marts"'))

    assert again == models
    assert [model.name for model in kept_models(project)] == ["history", "marts"]


def test_another_version_lists_the_models_anew(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_models(project)
    kept = project.dbt / "target/lakefeed_models.json"
    kept.write_text(kept.read_text().replace('"mart"', '"otherwise"'))
    assert "otherwise" in [model.name for model in kept_models(project)]

    monkeypatch.setattr("lakefeed.transformation.kept_models.__version__", "0.0.0")

    assert kept_models(project) == read_models(project)


@pytest.mark.parametrize("damaged", ["", "[]", '{"manifest": '])
def test_a_damaged_list_of_models_is_read_again_from_the_manifest(
    project: Project, damaged: str
) -> None:
    kept_models(project)
    (project.dbt / "target/lakefeed_models.json").write_text(damaged)

    assert kept_models(project) == read_models(project)


def test_there_are_no_models_before_dbt_ran(project: Project) -> None:
    (project.dbt / "target/manifest.json").unlink()

    assert kept_models(project) == ()
