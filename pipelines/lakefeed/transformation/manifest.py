"""Reads the dbt project's models and their dependencies from the manifest of dbt's last run."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lakefeed.declaration.project import Project

# Folders of the staging layer, whose models read raw.
_STAGING = ("models/staging", "models/history")
_KINDS = ("model", "snapshot", "seed")
_REFERENCE = re.compile(r"\{\{\s*(?:ref|source)\([^{}]*\)\s*\}\}")


@dataclass(frozen=True)
class Model:
    """A model: its layer, the models and raw tables that it reads, and its relation.

    Dependencies of an ephemeral model count as dependencies of the models that read it. Snapshots
    and seeds count as models: they are built, tested, published and restored alike. `tests` are
    the ids of the data tests and unit tests that read it.
    """

    name: str
    is_staging: bool
    description: str
    reads_models: tuple[str, ...]
    reads_tables: tuple[str, ...]
    schema: str = ""
    identifier: str = ""
    is_seed: bool = False
    is_snapshot: bool = False
    unique_id: str = ""
    tests: tuple[str, ...] = ()


@dataclass(frozen=True)
class Relationship:
    """A tested relationship: each value of `column` in `model` exists in `to_column` of `to`."""

    model: str
    column: str
    to: str
    to_column: str


def read_models(project: Project, target: Path | None = None) -> tuple[Model, ...]:
    """All models that dbt builds, upstream models first; empty if dbt never ran.

    Raw tables are identified by their lake names.

    Args:
        target: the folder that dbt wrote into, if that isn't the project's own.
    """
    manifest = _read(project, target)
    nodes, tests = manifest.get("nodes", {}), _tests_by_node(manifest)
    models = {
        node["name"]: replace(_model_from(node, nodes), tests=tuple(tests.get(unique_id, ())))
        for unique_id, node in nodes.items()
        if _is_built(node)
    }
    ordered: dict[str, Model] = {}
    for name in sorted(models):
        _place(models, name, ordered)
    return tuple(ordered.values())


def tests_that_store(project: Project) -> set[tuple[str, ...]]:
    """Schema and table of each test that stores its failing rows."""
    return {
        (node["schema"], node["alias"])
        for node in _nodes(project).values()
        if node["resource_type"] == "test" and node["config"].get("store_failures")
    }


def compiled_sql(project: Project) -> dict[str, str]:
    """The SQL of each model as dbt last compiled it, by model name.

    Read from the compiled files, since the manifest only has the SQL of the last build's models.
    Snapshots aren't compiled to a file, so their source is read. Models that were never built or
    aren't SQL are missing.
    """
    compiled, manifest = project.dbt / "target" / "compiled", _read(project)
    found = {}
    for node in manifest.get("nodes", {}).values():
        if _is_built(node) and node.get("language") == "sql":
            path = compiled / node["package_name"] / node["original_file_path"]
            if node["resource_type"] == "snapshot":
                found[node["name"]] = _snapshot_sql(node, manifest)
            elif path.is_file():
                found[node["name"]] = path.read_text(encoding="utf-8")
    return found


def read_relationships(project: Project) -> tuple[Relationship, ...]:
    """The relationships between models that the project's tests check."""
    return tuple(
        found
        for node in _read(project).get("nodes", {}).values()
        if node["resource_type"] == "test" and (found := _relationship(node))
    )


def source_relations(project: Project) -> dict[tuple[str, str], str]:
    """The lake names of raw tables, by the schema and identifier that models may refer to."""
    return {
        (source["schema"], source["identifier"]): f"{source['source_name']}__{source['name']}"
        for source in _read(project).get("sources", {}).values()
    }


def test_names(project: Project) -> set[str]:
    """The names of all data tests and unit tests in the project."""
    manifest = _read(project)
    tests = [node for node in manifest.get("nodes", {}).values() if node["resource_type"] == "test"]
    return {test["name"] for test in (*tests, *manifest.get("unit_tests", {}).values())}


def with_those_below(models: Iterable[Model], names: Iterable[str]) -> set[str]:
    """These models and all their descendants. `models` must be ordered upstream first."""
    found = set(names)
    for model in models:
        if found.intersection(model.reads_models):
            found.add(model.name)
    return found


def tests_of(models: Iterable[Model], built: Collection[str], held: Collection[str]) -> set[str]:
    """The ids of the tests that dbt runs with these models; none that reads one held back."""
    with_tests = {model.name: model.tests for model in models}
    left_out = {test for name in held for test in with_tests.get(name, ())}
    return {test for name in built for test in with_tests.get(name, ())} - left_out


def fed_by(models: Sequence[Model], lake_names: Iterable[str]) -> tuple[Model, ...]:
    """The models downstream of these tables, and those downstream of none."""
    above, wanted = tables_above(models), {*lake_names}
    return tuple(m for m in models if not above[m.name] or above[m.name] & wanted)


def tables_above(models: Iterable[Model]) -> dict[str, set[str]]:
    """The raw tables upstream of each model. `models` must be ordered upstream first."""
    above: dict[str, set[str]] = {}
    for model in models:
        through = (above.get(name, set()) for name in model.reads_models)
        above[model.name] = set(model.reads_tables).union(*through)
    return above


def _tests_by_node(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    """The enabled tests that read each node, looking through ephemeral models."""
    nodes = manifest.get("nodes", {})
    found: dict[str, list[str]] = {}
    tests = (node for node in nodes.values() if node["resource_type"] == "test")
    for test in (*tests, *manifest.get("unit_tests", {}).values()):
        for read in dict.fromkeys(_read_by(test, nodes)):
            found.setdefault(read, []).append(test["unique_id"])
    return found


def _nodes(project: Project) -> dict[str, dict[str, Any]]:
    nodes: dict[str, dict[str, Any]] = _read(project).get("nodes", {})
    return nodes


def _read(project: Project, target: Path | None = None) -> dict[str, Any]:
    path = (target or project.dbt / "target") / "manifest.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _relationship(node: dict[str, Any]) -> Relationship | None:
    test, of = node.get("test_metadata") or {}, node.get("attached_node") or ""
    others = [unique_id for unique_id in node["depends_on"]["nodes"] if unique_id != of]
    if test.get("name") != "relationships" or not of or len(others) != 1:
        return None
    column, field = (test["kwargs"][name].strip('"') for name in ("column_name", "field"))
    return Relationship(of.split(".")[2], column, others[0].split(".")[2], field)


def _snapshot_sql(node: dict[str, Any], manifest: dict[str, Any]) -> str:
    """A snapshot's select with its Jinja reference, as in `relation: ref('x')`, resolved."""
    nodes = {**manifest["nodes"], **manifest["sources"]}
    names = [nodes[unique_id]["relation_name"] for unique_id in node["depends_on"]["nodes"]]
    raw_code: str = node["raw_code"]
    return _REFERENCE.sub(lambda _: names[0], raw_code) if len(names) == 1 else raw_code


def _is_built(node: dict[str, Any]) -> bool:
    kind, config = node["resource_type"], node["config"]
    return bool(kind in _KINDS and config["enabled"] and not _is_ephemeral(node))


def _is_ephemeral(node: dict[str, Any]) -> bool:
    return bool(node["config"].get("materialized") == "ephemeral")


def _model_from(node: dict[str, Any], nodes: Mapping[str, dict[str, Any]]) -> Model:
    # A unique id is `model.<project>.<name>` or `source.<project>.<source>.<table>`.
    path = PurePosixPath(node["original_file_path"])
    ids = [unique_id.split(".") for unique_id in dict.fromkeys(_read_by(node, nodes))]
    return Model(
        name=node["name"],
        is_staging=any(path.is_relative_to(folder) for folder in _STAGING),
        description=node["description"],
        reads_models=tuple(parts[2] for parts in ids if parts[0] in _KINDS),
        reads_tables=tuple(f"{parts[2]}__{parts[3]}" for parts in ids if parts[0] == "source"),
        schema=node["schema"],
        identifier=node["alias"],
        is_seed=node["resource_type"] == "seed",
        is_snapshot=node["resource_type"] == "snapshot",
        unique_id=node["unique_id"],
    )


def _read_by(node: dict[str, Any], nodes: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Ids of the nodes that a node reads, looking through ephemeral models."""
    for unique_id in node["depends_on"].get("nodes", ()):
        if unique_id in nodes and _is_ephemeral(nodes[unique_id]):
            yield from _read_by(nodes[unique_id], nodes)
        else:
            yield unique_id


def _place(models: dict[str, Model], name: str, ordered: dict[str, Model]) -> None:
    """Adds a model to `ordered` after the models that it reads."""
    if name in models and name not in ordered:
        for read in models[name].reads_models:
            _place(models, read, ordered)
        ordered[name] = models[name]
