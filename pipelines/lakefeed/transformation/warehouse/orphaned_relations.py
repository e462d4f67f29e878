"""Finds and drops orphaned relations: models of tables and histories no longer declared."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lakefeed.declaration.project import Project
from lakefeed.transformation.generate.history_models import history_model_name
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.model_names import PREFIXES
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.base.warehouse import Relation
from lakefeed.transformation.warehouse.declared import warehouse_of


@dataclass(frozen=True)
class OrphanedRelation(Relation):
    """An orphaned table or view of the warehouse, and the lake name of its table."""

    lake_name: str


def orphaned_relations(project: Project) -> tuple[OrphanedRelation, ...]:
    """The orphaned staging and history models in the published warehouse.

    A model with a file in the dbt project counts as declared.
    """
    tables = project.tables
    declared = {staging_model_name(table) for table in tables}
    declared |= {history_model_name(table) for table in tables if table.settings.history}
    declared |= {path.stem for path in (project.dbt / "models").rglob("*.sql")}
    published = warehouse_of(project).published
    return tuple(model for model in _over_raw(published) if model.name not in declared)


def drop_orphaned(project: Project, orphaned: Iterable[OrphanedRelation]) -> None:
    """Publishes the warehouse without these relations; the previous version is kept as usual.

    Raises:
        Refused: another run is building the warehouse.
        BuildFailed: another program has the warehouse open for writing.
    """
    warehouse = warehouse_of(project)
    with warehouse.lock():
        candidate = warehouse.start(uuid.uuid4().hex)
        candidate.drop(orphaned)
        state = candidate.contents.state()
        if state != PublicationState():
            state = _declared_only(project, state)
            candidate.write_state(state.published(dt.datetime.now(dt.UTC)))
        candidate.publish()
        warehouse.discard()


def _declared_only(project: Project, state: PublicationState) -> PublicationState:
    declared = {table.lake_name for table in project.tables}
    tables = {name: table for name, table in state.tables.items() if name in declared}
    return replace(state, tables=tables)


def _over_raw(contents: Contents) -> list[OrphanedRelation]:
    """The models over raw, including those that only the ledger mentions."""
    with contents.open():
        found = {(schema, name): kind for schema, name, kind in contents.kinds_of_relations()}
        recorded = contents.staged_load_ids()
    for name in recorded:
        schema = next((s for s, prefix in PREFIXES.items() if name.startswith(prefix)), "")
        found.setdefault((schema, name), "")
    return [
        OrphanedRelation(schema, name, kind, name.removeprefix(PREFIXES[schema]))
        for (schema, name), kind in sorted(found.items())
        if schema in PREFIXES and name.startswith(PREFIXES[schema])
    ]
