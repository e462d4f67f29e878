"""Keeps the catalogue (`sources.lock.yaml`) in sync with the databases and reports drift."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from filelock import FileLock
from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import (
    CATALOGUE_FILE,
    QUERY,
    Catalogue,
    CatalogueTable,
    catalogue_text,
    read_catalogue,
)
from lakefeed.declaration.models.declaration import SourceDeclaration
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.declaration.table_names import (
    is_wildcard,
    matching_wildcards,
    qualify,
    read_entry,
    split,
    wildcards_of,
)
from lakefeed.declaration.tables import known_elsewhere
from lakefeed.errors import DeclarationError
from lakefeed.loading.plan.log_check import PublishedSource, check_published
from lakefeed.loading.plan.table_plan import TablePlan, plan_table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.orchestration.project.drift import describe_drift
from lakefeed.orchestration.project.live_log import published_source
from lakefeed.orchestration.project.live_queries import live_queries, query_error
from lakefeed.source.inspection.identity import identified
from lakefeed.source.inspection.partition_bounds import with_partitioning
from lakefeed.source.inspection.partitions import with_parts
from lakefeed.source.inspection.queries import QueryRefused
from lakefeed.source.inspection.tables import BASE_KINDS, inspect_tables, user_schemas
from lakefeed.textfile import replace_text
from lakefeed.transformation.generate.generated_files import write_generated


@dataclass(frozen=True)
class LiveSource:
    """The declared tables of one source as they are in the database now.

    `lost_wildcards` are entries that match no table while the catalogue has tables that no entry
    declares any more, which suggests a mistake in `schema` or in the entry. `refused` has the
    server's reason for each declared query that it can't run. `published` is what is in the log;
    None unless a table reads it.
    """

    tables: dict[str, CatalogueTable]
    drift: tuple[str, ...]
    lost_wildcards: tuple[str, ...] = ()
    refused: Mapping[str, QueryRefused] = field(default_factory=dict)
    published: PublishedSource | None = None

    def found(self, table: Table) -> CatalogueTable | None:
        """The table as it is now; None if it is missing.

        Raises:
            TableFailed: it is declared as a query, which the server refuses.
        """
        if reason := self.refused.get(table.qualified):
            raise query_error(table, reason)
        return self.tables.get(table.qualified)

    def plan(self, table: Table, keys: Mapping[str, bytes] | None = None) -> TablePlan:
        """Plans the load of a table, as `plan_table` does, also against what is published.

        Raises:
            TableFailed: something declared is missing or unsuitable.
        """
        found = self.found(table)
        plan = plan_table(table, found, keys)
        if found and self.published and table.reads_log:
            check_published(table, found, [c.name for c in plan.columns], self.published)
        return plan


def read_live(session: PgConnection, project: Project, source: str) -> LiveSource:
    """Reads the declared tables from the database, including those that match wildcards.

    Paused tables stay as the catalogue has them, since their raw files do, too.
    """
    declared = project.source(source)
    known = project.catalogue.sources.get(source, {})
    names = {table.qualified for table in project.tables_of(source) if table.is_paused}
    paused = {name: table for name, table in known.items() if name in names}
    live = inspect_tables(session, _schemas(session, declared))
    explicit = {qualify(e, declared.schema_) for e in declared.tables if not is_wildcard(e)}
    wildcards = wildcards_of(declared)
    queries = {t.qualified: t for t in _queries(project, source)}
    tables = {
        qualified: table
        for qualified, table in live.items()
        if qualified not in paused
        if qualified in explicit
        or (table.kind in BASE_KINDS and matching_wildcards(qualified, wildcards, declared.schema_))
    }
    for qualified in tables.keys() & queries.keys():
        # A table of the same name isn't what is declared.
        del tables[qualified]
    found = with_partitioning(session, with_parts(session, identified(session, tables)))
    described, refused = live_queries(session, queries)
    source_now = _live_source(project, source, {**found, **described, **paused})
    published = published_source(session, project, source, source_now.tables)
    return replace(source_now, refused=refused, published=published)


def _queries(project: Project, source: str) -> Iterator[Table]:
    for table in project.tables_of(source):
        if table.query is not None and not table.is_paused:
            yield table


def with_live_tables(
    project: Project, source: str, earlier: LiveSource, later: LiveSource, of: Collection[Table]
) -> LiveSource:
    """The earlier result with these tables replaced by the later one's."""
    names = {table.qualified for table in of}
    tables = {
        **{name: table for name, table in earlier.tables.items() if name not in names},
        **{name: table for name, table in later.tables.items() if name in names},
    }
    refused = {name: why for name, why in earlier.refused.items() if name not in names}
    refused |= {name: why for name, why in later.refused.items() if name in names}
    published = later.published or earlier.published
    return replace(_live_source(project, source, tables), refused=refused, published=published)


def _live_source(project: Project, source: str, tables: dict[str, CatalogueTable]) -> LiveSource:
    known = project.catalogue.sources.get(source, {})
    drift = tuple(describe_drift(source, known, tables))
    lost = tuple(_lost_wildcards(project.source(source), known, tables))
    return LiveSource(tables, drift, lost)


def _lost_wildcards(
    declared: SourceDeclaration,
    known: dict[str, CatalogueTable],
    live: dict[str, CatalogueTable],
) -> Iterator[str]:
    explicit = {qualify(entry, declared.schema_) for entry in declared.tables}
    lost = [
        name
        for name, table in known.items()
        if name not in live and name not in explicit and table.kind != QUERY
    ]
    for wildcard in wildcards_of(declared) if lost else ():
        entry = read_entry(wildcard, declared.schema_)
        if not any(entry.matches(name) for name in live):
            yield wildcard


def lost_wildcard_error(project: Project, source: str, entry: str) -> DeclarationError:
    """The error for a wildcard that matches none of its former tables."""
    schema = read_entry(entry, project.source(source).schema_).schema
    return DeclarationError(
        f"`{entry}` no longer matches any table in schema `{schema}`; the tables in "
        "sources.lock.yaml are kept",
        where=project.declared.document.where(("sources", source, "tables", entry)),
        do="correct `schema` or the entry; if the tables are gone for good, remove the entry",
    )


def adopt(
    project: Project, live: dict[str, LiveSource], selected: Collection[Table] | None = None
) -> tuple[Project, list[str]]:
    """Updates the catalogue and the generated models; returns the project and the files written.

    A declared table that is missing from the database keeps its entry and its staging model.
    Nothing is written if a wildcard lost all its tables, which is more often a mistake.

    Side effects: rereads the catalogue under a lock first, so that concurrent loads (a process for
    each table in Airflow) keep each other's changes.

    Args:
        selected: adopt only these tables and those that are new to the catalogue; a load that
            began later may know the others better. None adopts all.
    """
    with _catalogue_lock(project):
        catalogue = read_catalogue(project.root)
        for source, found in live.items():
            known = catalogue.sources.get(source, {})
            if selected is None and found.lost_wildcards:
                return project, []
            names = None
            if selected is not None:
                names = {table.qualified for table in selected if table.source == source}
            tables = _adopted(project.source(source), known, found.tables, names)
            catalogue = catalogue.with_tables(source, tables)
        declared = {s: t for s, t in catalogue.sources.items() if s in project.declaration.sources}
        catalogue = Catalogue(declared)
        written = [CATALOGUE_FILE] if write_catalogue(project, catalogue) else []
        project = project.with_catalogue(catalogue)
        return project, written + write_generated(project).names


def adopt_loaded(project: Project, found: Catalogue, load_ids: Mapping[str, str]) -> Project:
    """The project with the columns that loads have found, perhaps on another machine.

    The columns of a load that isn't its table's newest in raw stay out: a task of an old DAG run
    that is cleared must not bring back what the table was then.

    Side effects: as `adopt`, if the project doesn't know the columns yet.

    Args:
        load_ids: the load that found a table's columns, by lake name.
    """
    names = {(table.source, table.qualified): table.lake_name for table in project.tables}
    news: dict[str, dict[str, CatalogueTable]] = {}
    for source, tables in found.sources.items():
        for qualified, table in tables.items():
            known, name = project.catalogue.table(source, qualified), names.get((source, qualified))
            if known is None or (known != table and _is_newest(project, name, load_ids)):
                news.setdefault(source, {})[qualified] = table
    if not news:
        return project
    selected = [t for t in project.tables if t.qualified in news.get(t.source, {})]
    live = {source: LiveSource(tables, ()) for source, tables in news.items()}
    return adopt(project, live, selected)[0]


def _is_newest(project: Project, lake_name: str | None, load_ids: Mapping[str, str]) -> bool:
    """Whether the load with this id is its table's newest in raw."""
    if lake_name is None or lake_name not in load_ids:
        return False
    committed = CommitLog(project.raw, lake_name).committed_ids()
    return max(committed, key=float, default=None) == load_ids[lake_name]


def _adopted(
    declared: SourceDeclaration,
    known: dict[str, CatalogueTable],
    live: dict[str, CatalogueTable],
    selected: set[str] | None,
) -> dict[str, CatalogueTable]:
    explicit = {qualify(entry, declared.schema_) for entry in declared.tables}
    missing = {
        qualify(entry, declared.schema_)
        for entry, settings in declared.tables.items()
        if not (settings and settings.query)
    } - (live.keys() | known.keys())
    names = [split(qualified)[1] for qualified in missing]
    elsewhere = [known_elsewhere(declared, known, name) for name in names]
    explicit |= {table.qualified for table in elsewhere if table}
    if selected is None:
        return {**{q: t for q, t in known.items() if q in explicit}, **live}
    wildcards = wildcards_of(declared)
    kept = {
        q: t
        for q, t in known.items()
        if q in explicit
        or (q not in selected and matching_wildcards(q, wildcards, declared.schema_))
    }
    updated = {q: t for q, t in live.items() if q in selected or q not in known}
    return {**kept, **updated}


@contextmanager
def _catalogue_lock(project: Project) -> Iterator[None]:
    folder = project.data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "catalogue.lock"):
        yield


def write_catalogue(project: Project, catalogue: Catalogue) -> bool:
    """Replaces `sources.lock.yaml` if its text changes; returns whether it did."""
    path, text = project.root / CATALOGUE_FILE, catalogue_text(catalogue)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    replace_text(path, text)
    return True


def _schemas(session: PgConnection, source: SourceDeclaration) -> set[str]:
    entries = [read_entry(entry, source.schema_) for entry in source.tables]
    schemas = {entry.schema for entry in entries if not entry.schema_is_pattern}
    if any(entry.schema_is_pattern for entry in entries):
        return {*schemas, *user_schemas(session)}
    return schemas
