"""Finds and drops orphaned relations: models of tables and histories no longer declared."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.sql import quote
from lakefeed.transformation.generate.history_models import history_model_name
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.model_names import PREFIXES
from lakefeed.transformation.warehouse.candidate import discard_candidate, start_candidate
from lakefeed.transformation.warehouse.connection import holds, warehouse_lock
from lakefeed.transformation.warehouse.open_file import reading, writing
from lakefeed.transformation.warehouse.publication import replace_published
from lakefeed.transformation.warehouse.publication_state import (
    PublicationState,
    read_publication_state,
    write_publication_state,
)


@dataclass(frozen=True)
class OrphanedRelation:
    """An orphaned table or view of the warehouse, and the lake name of its table.

    `kind` is empty if only Lakefeed's own tables still mention it.
    """

    schema: str
    name: str
    kind: str
    lake_name: str

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.name}"


def orphaned_relations(project: Project) -> tuple[OrphanedRelation, ...]:
    """The orphaned staging and history models in the published warehouse.

    A model with a file in the dbt project counts as declared.
    """
    tables = project.tables
    declared = {staging_model_name(table) for table in tables}
    declared |= {history_model_name(table) for table in tables if table.settings.history}
    declared |= {path.stem for path in (project.dbt / "models").rglob("*.sql")}
    return tuple(model for model in _over_raw(project.warehouse) if model.name not in declared)


def drop_orphaned(project: Project, orphaned: Iterable[OrphanedRelation]) -> None:
    """Publishes the warehouse without these relations; the previous version is kept as usual.

    Raises:
        Refused: another run is building the warehouse.
        BuildFailed: another program has the warehouse open for writing.
    """
    with warehouse_lock(project):
        candidate = start_candidate(project, uuid.uuid4().hex)
        _drop(candidate.path, orphaned)
        state = read_publication_state(candidate.path)
        if state != PublicationState():
            state = _declared_only(project, state)
            write_publication_state(candidate.path, state.published(dt.datetime.now(dt.UTC)))
        replace_published(project, candidate)
        discard_candidate(project)


def _declared_only(project: Project, state: PublicationState) -> PublicationState:
    declared = {table.lake_name for table in project.tables}
    tables = {name: table for name, table in state.tables.items() if name in declared}
    return replace(state, tables=tables)


def _drop(file: Path, orphaned: Iterable[OrphanedRelation]) -> None:
    with writing(file) as session:
        session.begin()
        for relation in orphaned:
            if relation.kind:
                qualified = f"{quote(relation.schema)}.{quote(relation.name)}"
                session.execute(f"drop {relation.kind} {qualified}")
            for table in ("staged_loads", "histories", "compared_keys"):
                if holds(session, table):
                    session.execute(
                        f"delete from _lakefeed.{table} where model = ?", [relation.name]
                    )
        session.commit()


def _over_raw(file: Path) -> list[OrphanedRelation]:
    """Models over raw in this file, including those that only `_lakefeed.staged_loads` mentions."""
    with reading(file) as session:
        if session is None:
            return []
        found = {(schema, name): kind for schema, name, kind in session.execute(_RELATIONS)
                 .fetchall()}  # fmt: skip
        query = "select distinct model from _lakefeed.staged_loads"
        recorded = session.execute(query).fetchall() if holds(session, "staged_loads") else []
        for (name,) in recorded:
            schema = next((s for s, prefix in PREFIXES.items() if name.startswith(prefix)), "")
            found.setdefault((schema, name), "")
    return [
        OrphanedRelation(schema, name, kind, name.removeprefix(PREFIXES[schema]))
        for (schema, name), kind in sorted(found.items())
        if schema in PREFIXES and name.startswith(PREFIXES[schema])
    ]


_RELATIONS = """
    select table_schema, table_name, if(table_type = 'VIEW', 'view', 'table')
    from information_schema.tables
    where table_catalog = current_database()
"""
