"""Keeps `sources.lock.yaml` equal to the live databases, and says what changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

from pipelines.declaration.catalogue import (
    CATALOGUE_FILE,
    Catalogue,
    CatalogueTable,
    catalogue_text,
)
from pipelines.declaration.models import SourceDeclaration
from pipelines.declaration.project import Project
from pipelines.declaration.tables import is_wildcard, matching_wildcards, qualify, wildcards_of
from pipelines.source.inspect import BASE_KINDS, inspect_tables, user_schemas
from pipelines.textfile import replace_text
from pipelines.transformation.files import write_generated


@dataclass(frozen=True)
class LiveSource:
    """The declared tables of one source as they are in the database now."""

    tables: dict[str, CatalogueTable]
    drift: tuple[str, ...]


def read_live(session: PgConnection, project: Project, source: str) -> LiveSource:
    """Asks the database for the declared tables, members of wildcards included."""
    declared = project.source(source)
    live = inspect_tables(session, _schemas(session, declared))
    explicit = {qualify(e, declared.schema_) for e in declared.tables if not is_wildcard(e)}
    tables = {
        qualified: table
        for qualified, table in live.items()
        if qualified in explicit
        or (table.kind in BASE_KINDS and matching_wildcards(qualified, declared))
    }
    known = project.catalogue.sources.get(source, {})
    return LiveSource(tables, tuple(describe_drift(source, known, tables)))


def describe_drift(
    source: str, known: dict[str, CatalogueTable], live: dict[str, CatalogueTable]
) -> Iterator[str]:
    """What changed in the database since the catalogue was written, in words.

    Tables that the catalogue doesn't know yet have not changed.
    """
    for qualified, table in live.items():
        before = known.get(qualified)
        if before is None:
            continue
        name = f"{source}.{qualified}"
        yield from _column_drift(name, before, table)
        if before.primary_key != table.primary_key:
            yield f"{name}: primary key was {before.primary_key}, is {table.primary_key}"


def _column_drift(name: str, before: CatalogueTable, now: CatalogueTable) -> Iterator[str]:
    for column in now.columns:
        old = before.column(column.name)
        if old is None:
            yield f"{name}: column `{column.name}` ({column.type}) was added"
        elif old.type != column.type:
            yield f"{name}: column `{column.name}` was {old.type}, is {column.type}"
        elif old.nullable != column.nullable:
            may = "may" if column.nullable else "can no longer"
            yield f"{name}: column `{column.name}` {may} be null"
    for column in before.columns:
        if now.column(column.name) is None:
            yield f"{name}: column `{column.name}` was dropped"


def adopt(project: Project, live: dict[str, LiveSource]) -> tuple[Project, list[str]]:
    """Writes catalogue and generated models where they differ; returns the names of files written.

    A declared table that is missing from the database keeps its entry, and so its staging model.
    """
    catalogue = project.catalogue
    for source, found in live.items():
        explicit = {
            qualify(entry, project.source(source).schema_)
            for entry in project.source(source).tables
        }
        kept = {q: t for q, t in catalogue.sources.get(source, {}).items() if q in explicit}
        catalogue = catalogue.with_tables(source, {**kept, **found.tables})
    declared = {s: t for s, t in catalogue.sources.items() if s in project.declaration.sources}
    catalogue = Catalogue(declared)
    written = [CATALOGUE_FILE] if write_catalogue(project, catalogue) else []
    project = project.with_catalogue(catalogue)
    return project, written + write_generated(project).names


def write_catalogue(project: Project, catalogue: Catalogue) -> bool:
    """Replaces `sources.lock.yaml` whole, where its text would change."""
    path, text = project.root / CATALOGUE_FILE, catalogue_text(catalogue)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    replace_text(path, text)
    return True


def _schemas(session: PgConnection, source: SourceDeclaration) -> set[str]:
    schemas = {qualify(entry, source.schema_).partition(".")[0] for entry in source.tables}
    if any(is_wildcard(schema) for schema in schemas) and wildcards_of(source):
        return {*schemas, *user_schemas(session)}
    return schemas
