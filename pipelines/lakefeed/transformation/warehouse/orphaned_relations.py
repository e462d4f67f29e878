"""What a warehouse holds of tables and histories that nothing declares any more."""

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
from lakefeed.transformation.warehouse.candidate import discard_candidate, start_candidate
from lakefeed.transformation.warehouse.connection import holds, warehouse_lock
from lakefeed.transformation.warehouse.open_file import reading, writing
from lakefeed.transformation.warehouse.publication import replace_published
from lakefeed.transformation.warehouse.publication_state import (
    PublicationState,
    read_publication_state,
    write_publication_state,
)

_PREFIXES = {"staging": "stg_", "history": "hst_"}


@dataclass(frozen=True)
class OrphanedRelation:
    """A table or view of the warehouse, and the table in the lake that it was made for.

    Of one that is noted in the ledger alone, `kind` is empty.
    """

    schema: str
    name: str
    kind: str
    lake_name: str

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.name}"


def orphaned_relations(project: Project) -> tuple[OrphanedRelation, ...]:
    """What nothing declares of staging and history in the published warehouse.

    A model that has a file in the dbt project is declared there.
    """
    tables = project.tables
    declared = {staging_model_name(table) for table in tables}
    declared |= {history_model_name(table) for table in tables if table.settings.history}
    declared |= {path.stem for path in (project.dbt / "models").rglob("*.sql")}
    return tuple(one for one in _over_raw(project.warehouse) if one.name not in declared)


def drop_orphaned(project: Project, left: Iterable[OrphanedRelation]) -> None:
    """Publishes the warehouse without these; the version with them is kept as any earlier one.

    Raises:
        Refused: another run is building the warehouse.
        BuildFailed: another program has it open for writing.
    """
    with warehouse_lock(project):
        candidate = start_candidate(project, uuid.uuid4().hex)
        _drop(candidate.path, left)
        standing = read_publication_state(candidate.path)
        if standing != PublicationState():
            standing = _without_undeclared(project, standing)
            write_publication_state(candidate.path, standing.published(dt.datetime.now(dt.UTC)))
        replace_published(project, candidate)
        discard_candidate(project)


def _without_undeclared(project: Project, standing: PublicationState) -> PublicationState:
    declared = {table.lake_name for table in project.tables}
    tables = {name: one for name, one in standing.tables.items() if name in declared}
    return replace(standing, tables=tables)


def _drop(file: Path, left: Iterable[OrphanedRelation]) -> None:
    with writing(file) as session:
        session.begin()
        for one in left:
            if one.kind:
                session.execute(f"drop {one.kind} {quote(one.schema)}.{quote(one.name)}")
            for ledger in ("staged_loads", "histories", "compared_keys"):
                if holds(session, ledger):
                    session.execute(f"delete from _lakefeed.{ledger} where model = ?", [one.name])
        session.commit()


def _over_raw(file: Path) -> list[OrphanedRelation]:
    """Models over raw in this file, those included that only the ledger knows."""
    with reading(file) as session:
        if session is None:
            return []
        found = {(schema, name): kind for schema, name, kind in session.execute(_RELATIONS)
                 .fetchall()}  # fmt: skip
        ledger = "select distinct model from _lakefeed.staged_loads"
        noted = session.execute(ledger).fetchall() if holds(session, "staged_loads") else []
        for (name,) in noted:
            schema = next((s for s, prefix in _PREFIXES.items() if name.startswith(prefix)), "")
            found.setdefault((schema, name), "")
    return [
        OrphanedRelation(schema, name, kind, name.removeprefix(_PREFIXES[schema]))
        for (schema, name), kind in sorted(found.items())
        if schema in _PREFIXES and name.startswith(_PREFIXES[schema])
    ]


_RELATIONS = """
    select table_schema, table_name, if(table_type = 'VIEW', 'view', 'table')
    from information_schema.tables
    where table_catalog = current_database()
"""
