"""Compares two states of a dbt project, using dbt's own state comparison."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.transformation.dbt_adapter.runner import run_dbt, select_nodes, writing_into
from lakefeed.transformation.generate.data_tests import declared_at

MODELS = ("model", "snapshot", "seed")
TESTS = ("test", "unit_test")
_SECTIONS = ("nodes", "sources", "exposures", "unit_tests")


@dataclass(frozen=True)
class Node:
    """A model, test, source or exposure: its dbt id, its file, and the ids of what it reads.

    `stands_at` is the schema and name of its relation in the warehouse, if it has one.
    """

    id: str
    kind: str
    name: str
    where: str
    reads: tuple[str, ...]
    stands_at: tuple[str, str] | None

    @property
    def is_source_of(self) -> str:
        """The lake name of the raw table behind a dbt source."""
        _, _, source, table = self.id.split(".", 3)
        return f"{source}__{table}"


@dataclass(frozen=True)
class Comparison:
    """All nodes before and now, by dbt id, and the ids of modified nodes, new ones included."""

    before: Mapping[str, Node] = field(default_factory=dict)
    now: Mapping[str, Node] = field(default_factory=dict)
    modified: frozenset[str] = frozenset()

    @property
    def removed(self) -> list[Node]:
        return [node for id, node in self.before.items() if id not in self.now]

    def below(self, ids: set[str]) -> set[str]:
        """The descendants of these nodes, without the nodes themselves."""
        found, front = set(ids), set(ids)
        while front:
            front = {id for id, node in self.now.items() if front.intersection(node.reads)} - found
            found |= front
        return found - ids

    def above(self, ids: set[str]) -> set[str]:
        """The ancestors of these nodes, without the nodes themselves."""
        found, front = set(ids), set(ids)
        while front:
            read = {above for id in front if id in self.now for above in self.now[id].reads}
            front = read - found
            found |= front
        return found - ids


def write_state(project: Project, folder: Path) -> Path | None:
    """Parses a project with dbt; returns the manifest's folder, None without a dbt project.

    Raises:
        BuildFailed: dbt can't parse the project.
    """
    if not (project.dbt / "dbt_project.yml").exists():
        return None
    run_dbt(project, "parse", writing_into(project, folder))
    return folder


def compare_states(
    project: Project, state: Path | None, target: Path, variables: Sequence[str] = ()
) -> Comparison:
    """Compares a dbt project with an earlier state; with None, everything counts as modified.

    Args:
        variables: as dbt takes them on its command line.

    Side effect: writes dbt's manifest and parse cache to `target`.

    Raises:
        BuildFailed: dbt can't parse the project.
    """
    known = ["--select", "state:modified", "--state", str(state)] if state else []
    # `empty`: a test doesn't count as modified just because its model is.
    written = writing_into(project, target)
    arguments = [*known, "--indirect-selection", "empty", *written, *variables]
    modified = select_nodes(project, arguments)
    before = {node.id: node for node in _nodes(project, state)} if state else {}
    now = {node.id: node for node in _nodes(project, target)}
    return Comparison(before, now, frozenset(modified))


def _nodes(project: Project, folder: Path) -> Iterator[Node]:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for section in _SECTIONS:
        for id, node in manifest.get(section, {}).items():
            yield _node(project, id, node)


def _node(project: Project, id: str, node: dict[str, Any]) -> Node:
    kind = node["resource_type"]
    declared = declared_at(project, node.get("meta") or {}) if kind in TESTS else ""
    is_there = kind in MODELS and node["config"].get("materialized") != "ephemeral"
    return Node(
        id=id,
        kind=kind,
        name=node["name"],
        where=declared or f"dbt/{node['original_file_path']}",
        reads=tuple(node.get("depends_on", {}).get("nodes", ())),
        stands_at=(node["schema"], node["alias"]) if is_there else None,
    )
