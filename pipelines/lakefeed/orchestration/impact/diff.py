"""`lakefeed diff`: what a change to the project affects, from its YAML to tests and exposures."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lakefeed.declaration.catalogue import CATALOGUE_FILE
from lakefeed.declaration.differences import (
    Difference,
    TablePair,
    file_differences,
    pair_tables,
    table_differences,
)
from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.project import Project, open_project
from lakefeed.declaration.table import Table
from lakefeed.orchestration.impact.change_impact import meaning_of, next_run_of
from lakefeed.orchestration.impact.git_revision import (
    Revision,
    at_revision,
    link_uncommitted,
    state_of,
)
from lakefeed.orchestration.project.drift import table_drift
from lakefeed.transformation.dbt_adapter.runner import refuse_without_dbt
from lakefeed.transformation.dbt_adapter.state_diff import (
    MODELS,
    TESTS,
    Comparison,
    Node,
    compare_states,
)
from lakefeed.transformation.generate.dbt_packages import LINKS
from lakefeed.transformation.generate.generated_files import stale_files, write_generated

How = Literal["added", "removed", "renamed", "changed", "below"]
_NOT_COPIED = shutil.ignore_patterns("target", "logs", "dbt_packages", LINKS)


@dataclass(frozen=True)
class SettingChange:
    """A changed setting, its location, and the effect of the change."""

    setting: str
    before: str
    now: str
    where: str
    means: str


@dataclass(frozen=True)
class TableChange:
    """A table that was added, removed or changed.

    Attributes:
        source: changes in the database, as recorded in the catalogue.
        next_run: what the next run does about the change.
        models: the models downstream of the table.
    """

    name: str
    how: How
    was: str
    where: str
    settings: tuple[SettingChange, ...] = ()
    source: tuple[str, ...] = ()
    next_run: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeChange:
    """A model, test or exposure that was added, removed or changed, or is downstream of one."""

    name: str
    how: How
    where: str


@dataclass(frozen=True)
class DiffReport:
    """The differences from a revision. `stale` are generated files that are out of date.

    `is_first` is true if there was no project at that revision.
    """

    revision: str
    commit: str
    is_first: bool
    stale: tuple[str, ...]
    settings: tuple[SettingChange, ...]
    tables: tuple[TableChange, ...]
    models: tuple[NodeChange, ...]
    tests: tuple[NodeChange, ...]
    exposures: tuple[NodeChange, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.settings or self.tables or self.models or self.tests or self.exposures)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        return asdict(self)


def diff(project: Project, revision: str) -> DiffReport:
    """Compares the project, as `lakefeed sync` would leave it, with a git revision.

    Connects to nothing, needs no secret and writes nothing into the project.

    Raises:
        DeclarationError: git doesn't know the revision, or its declaration can't be read.
        BuildFailed: there is no dbt project, or dbt can't parse it at either revision.
    """
    refuse_without_dbt(project)
    with at_revision(project, revision) as before, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        state = state_of(before, folder / "before")
        synced = _synced_copy(project, folder / "project")
        comparison = compare_states(synced, state, folder / "now")
        report = report_of(before, project, comparison)
        return replace(report, stale=tuple(stale_files(project).names))


def _synced_copy(project: Project, folder: Path) -> Project:
    """A copy with regenerated models, so that edits to sources.yaml show up in them."""
    folder.mkdir()
    shutil.copytree(project.dbt, folder / "dbt", ignore=_NOT_COPIED)
    for name in (DECLARATION_FILE, CATALOGUE_FILE):
        if (project.root / name).exists():
            shutil.copy(project.root / name, folder / name)
    copy = open_project(folder, variables_from=project.root)
    link_uncommitted(project, copy)
    write_generated(copy)
    return copy


def report_of(before: Revision, project: Project, comparison: Comparison) -> DiffReport:
    """Assembles the report from two declarations and dbt's comparison."""
    old = before.project
    pairs = pair_tables(old.tables if old else (), project.tables)
    settings = file_differences(old, project) if old else ()
    return DiffReport(
        revision=before.name,
        commit=before.commit,
        is_first=old is None,
        stale=(),
        settings=tuple(map(_with_meaning, settings)),
        tables=tuple(
            change for pair in pairs for change in _table_change(pair, project, comparison)
        ),
        models=tuple(_node_changes(comparison, MODELS)),
        tests=tuple(_node_changes(comparison, TESTS)),
        exposures=tuple(_node_changes(comparison, ("exposure",))),
    )


def _with_meaning(difference: Difference, *, is_paused: bool = False) -> SettingChange:
    return SettingChange(
        setting=difference.setting,
        before=difference.before,
        now=difference.now,
        where=difference.where,
        means=meaning_of(difference, is_paused=is_paused),
    )


def _table_change(
    pair: TablePair, project: Project, comparison: Comparison
) -> Iterator[TableChange]:
    before, now = pair.before, pair.now
    table = now or before
    assert table is not None
    models = _models_of(table.lake_name, comparison)
    change = TableChange(table.shown, "added", "", table.where, models=models)
    if now is None:
        yield replace(change, how="removed", where="", next_run=next_run_of(before, None))
    elif before is None:
        yield replace(change, next_run=next_run_of(None, now))
    else:
        change = replace(
            change,
            how="changed" if before.shown == now.shown else "renamed",
            was="" if before.shown == now.shown else before.shown,
            settings=tuple(
                _with_meaning(difference, is_paused=now.is_paused)
                for difference in table_differences(before, now, project)
            ),
            source=tuple(_drift(before, now)),
        )
        if change.settings or change.source:
            yield replace(change, next_run=next_run_of(before, now))


def _drift(before: Table, now: Table) -> Iterator[str]:
    """What changed in the database; nothing if the entry now names a different table."""
    if before.catalogue and now.catalogue and before.qualified == now.qualified:
        yield from table_drift(before.catalogue, now.catalogue)


def _models_of(lake_name: str, comparison: Comparison) -> tuple[str, ...]:
    """The models downstream of a table; for a removed table, those at the revision."""
    for nodes in (comparison.now, comparison.before):
        sources = {
            n.id for n in nodes.values() if n.kind == "source" and n.is_source_of == lake_name
        }
        if sources:
            below = Comparison(now=nodes).below(sources)
            return tuple(sorted(nodes[id].name for id in below if nodes[id].kind in MODELS))
    return ()


def _node_changes(comparison: Comparison, kinds: Collection[str]) -> Iterator[NodeChange]:
    """Added, changed and removed nodes, then their descendants."""

    def changes(how: How, nodes: Collection[Node]) -> Iterator[NodeChange]:
        # Nodes declared in sources.yaml come first.
        for node in sorted(nodes, key=lambda node: (node.where.startswith("dbt/"), node.name)):
            if node.kind in kinds:
                yield NodeChange(node.name, how, node.where)

    modified = [comparison.now[id] for id in comparison.modified]
    yield from changes("added", [node for node in modified if node.id not in comparison.before])
    yield from changes("changed", [node for node in modified if node.id in comparison.before])
    yield from changes("removed", comparison.removed)
    yield from changes(
        "below", [comparison.now[id] for id in comparison.below({*comparison.modified})]
    )
