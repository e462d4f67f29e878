"""`lakefeed init`: creates a project from a live database, ready to run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.environment.variables import variables_file, variables_of
from lakefeed.declaration.models.value_types import IDENTIFIER
from lakefeed.declaration.project import open_project
from lakefeed.errors import DeclarationError, Refused
from lakefeed.orchestration.project.gitignore import ignore, refuse_tracked_secret
from lakefeed.orchestration.project.other_tools.export_file import Export, read_export
from lakefeed.orchestration.project.proposal.carried_proposal import carry
from lakefeed.orchestration.project.proposal.cursor_inference import TableFacts
from lakefeed.orchestration.project.proposal.declaration_text import (
    declaration_text,
    entry_of,
    left_text,
)
from lakefeed.orchestration.project.proposal.query_proposals import propose_queries
from lakefeed.orchestration.project.proposal.schemas import (
    choose_schemas,
    how_to_choose,
    own_schema,
)
from lakefeed.orchestration.project.proposal.survey import survey, tables_and_views, tables_of
from lakefeed.orchestration.project.proposal.table_proposal import Proposal, propose
from lakefeed.orchestration.project.proposal.warehouse_text import (
    DUCKDB_FILE,
    ELSEWHERE,
    Elsewhere,
)
from lakefeed.orchestration.project.scaffold import (
    RENAMED,
    ignored_lines,
    write_scaffold,
    write_secret,
)
from lakefeed.orchestration.project.sync import sync
from lakefeed.source.connections.connection import Connection, connection_from_url
from lakefeed.source.connections.sessions import connect
from lakefeed.source.inspection.tables import (
    BASE_KINDS,
    database_name,
    schemas_with_tables,
)
from lakefeed.sql import sql_name


@dataclass(frozen=True)
class InitReport:
    """The files written and kept, and the number of tables declared, incremental ones among them.

    Attributes:
        left_out: tables that aren't declared, with the reason.
        warnings: what to know about keys and cursors, each with its table.
        elsewhere: other schemas with tables, and how many they have.
        not_carried: what another tool's file says and `sources.yaml` doesn't.
        unnamed: tables beside the declared ones that the file of another tool doesn't name.
        paused: declared tables that aren't loaded.
        appended: how many tables have `mode: append`.
        needs: what a warehouse that isn't a file needs before the first run.
    """

    files: tuple[str, ...]
    kept: tuple[str, ...]
    ignored: tuple[str, ...]
    tables: int
    incremental: int
    left_out: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]
    elsewhere: dict[str, int]
    not_carried: tuple[tuple[str, str], ...] = ()
    unnamed: int = 0
    paused: int = 0
    appended: int = 0
    needs: Elsewhere | None = None


@dataclass(frozen=True)
class _Survey:
    """What is to be declared of a database. `proposals` has only facts where a table can't be."""

    schemas: Sequence[str]
    proposals: Sequence[Proposal | TableFacts]
    left: tuple[tuple[str, str], ...] = ()
    unnamed: int = 0

    @property
    def declared(self) -> list[Proposal]:
        return [one for one in self.proposals if isinstance(one, Proposal)]

    @property
    def left_out(self) -> list[TableFacts]:
        return [one for one in self.proposals if isinstance(one, TableFacts)]

    @property
    def doubts(self) -> tuple[tuple[str, str], ...]:
        """The doubts about each table, by its entry."""
        schema = own_schema(self.schemas)
        return tuple(
            (entry_of(schema, one.facts.table), doubt)
            for one in self.declared
            for doubt in one.doubts
        )


def init_project(
    root: Path,
    url: str,
    source: str | None,
    schemas: tuple[str, ...],
    *,
    export: Path | None = None,
    warehouse: str = DUCKDB_FILE,
) -> InitReport:
    """Creates a project in `root`, ready for `lakefeed run`.

    Side effects: creates files; of existing ones, changes only `.env`, or that of the environment,
    by one line, and `.gitignore`, by the lines that are missing.

    Args:
        source: the source's name; by default the database's name.
        schemas: names and wildcards of schemas; none stands for `public`.
        export: another tool's file, which says what to load instead of `schemas`.
        warehouse: its type, as `warehouse.type` has it.

    Raises:
        Refused: `root` already has a project, the variable for the URL is set to another one, or
            the password might be committed.
        DeclarationError: there are no tables that can be loaded, or the other tool's file can't be
            read.
        SourceUnreachable: the database can't be reached.
    """
    _refuse_project(root)
    _refuse_name(source)
    exported = read_export(export) if export else None
    connection = connection_from_url(source or "", url)
    with connect(connection, "lakefeed init") as session:
        source = source or _as_identifier(database_name(session))
        counts = schemas_with_tables(session)
        what = exported or choose_schemas(schemas, counts)
        found = _survey(connection, session, what)
    if not found.declared:
        raise _nothing_to_declare(found, counts, exported)
    variable = f"{source.upper()}_DATABASE_URL"
    _refuse_other_url(root, variable, url)
    needs = ELSEWHERE.get(warehouse)
    text = _declaration(source, variable, found, exported=exported, needs=needs)
    files, kept, ignored = _write(root, text, (variable, url), needs.extras if needs else ())
    return InitReport(
        files=files,
        kept=kept,
        ignored=ignored,
        tables=len(found.declared),
        incremental=sum(one.is_incremental for one in found.declared),
        left_out=tuple((facts.table.qualified, facts.why_left_out) for facts in found.left_out),
        warnings=found.doubts,
        elsewhere={} if exported else _others(found, counts),
        not_carried=found.left,
        unnamed=found.unnamed,
        paused=sum("enabled: false" in one.settings for one in found.declared),
        appended=sum(one.appends for one in found.declared),
        needs=needs,
    )


def _declaration(
    source: str, variable: str, found: _Survey, *, exported: Export | None, needs: Elsewhere | None
) -> str:
    places, schema = needs.text if needs else "", own_schema(found.schemas)
    text = declaration_text(source, schema, variable, found.proposals, places=places)
    return text + (left_text(exported.file, found.left) if exported else "")


def _write(
    root: Path, declaration: str, secret: tuple[str, str], extras: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """Writes the project; returns the files written, those kept, and lines of `.gitignore`."""
    root.mkdir(parents=True, exist_ok=True)
    secrets = variables_file(root).name
    refuse_tracked_secret(root, secrets)
    written, kept = write_scaffold(root, extras)
    ignored = ignore(root, ignored_lines(), secrets)
    (root / DECLARATION_FILE).write_text(declaration, encoding="utf-8")
    write_secret(root / secrets, *secret)
    files = (*written, DECLARATION_FILE, secrets, *sync(open_project(root)).files)
    return files, tuple(kept), tuple(ignored) if RENAMED["gitignore"] in kept else ()


def _others(found: _Survey, counts: Mapping[str, int]) -> dict[str, int]:
    """The other schemas that have tables, with their number."""
    return {name: count for name, count in counts.items() if name not in found.schemas}


def _survey(connection: Connection, session: PgConnection, what: Export | Sequence[str]) -> _Survey:
    """What another tool's file declares, or all tables of these schemas."""
    if isinstance(what, Export):
        return _survey_of_export(connection, session, what)
    facts = survey(connection, session, tables_of(session, what))
    return _Survey(what, [one if one.why_left_out else propose(one) for one in facts])


def _survey_of_export(connection: Connection, session: PgConnection, export: Export) -> _Survey:
    """What the other tool's file declares, as far as the database's tables allow."""
    known = tables_and_views(session)
    imported = export.imported(known)
    named = [table for table in known if table.qualified in imported.tables]
    schemas = list(dict.fromkeys(table.schema for table in named))
    proposals: list[Proposal | TableFacts] = []
    left = list(imported.left)
    for facts in survey(connection, session, named):
        if facts.why_left_out:
            proposals.append(facts)
            continue
        name = facts.table.qualified
        proposal, lost = carry(facts, imported.tables[name], export.tool)
        proposals += [proposal] if proposal else []
        left += [(name, what) for what in lost]
    schema = own_schema(schemas)
    taken = [table.name for table in named if table.schema == schema]
    queries, lost_queries = propose_queries(
        session, imported.queries, export.tool, schema=schema, taken=taken
    )
    proposals, left = [*proposals, *queries], [*left, *lost_queries]
    beside = [t for t in known if t.schema in schemas and t.kind in BASE_KINDS]
    unnamed = len([table for table in beside if table.qualified not in imported.tables])
    return _Survey(schemas, proposals, tuple(dict.fromkeys(left)), unnamed)


def _refuse_project(root: Path) -> None:
    if (root / DECLARATION_FILE).exists():
        raise Refused(
            f"this folder already has a project: {root / DECLARATION_FILE}",
            do="add tables to that file, or run `lakefeed init` in another folder",
        )


def _refuse_name(source: str | None) -> None:
    if source is not None and not re.fullmatch(IDENTIFIER, source):
        raise DeclarationError(
            f"--source {source}: invalid name", do="use letters, digits and underscores"
        )


def _nothing_to_declare(
    found: _Survey, counts: Mapping[str, int], export: Export | None
) -> DeclarationError:
    if export and not found.left_out:
        return DeclarationError(
            f"{export.file} ({export.tool}) names no table of this database",
            do="check that --connection is the database from which it loads",
        )
    schemas, first = found.schemas, found.left_out[0]
    why = f"{first.table.qualified}: {first.why_left_out}"
    named = ", ".join(f"`{name}`" for name in schemas)
    noun = "schema" if len(schemas) == 1 else "schemas"
    verb = "has" if len(schemas) == 1 else "have"
    quoted = ", ".join(map(sql_name, schemas))
    grant = f"grant usage on schema {quoted} and select on its tables to the role"
    do = how_to_choose(_others(found, counts))
    return DeclarationError(
        f"{noun} {named} {verb} no tables that this role can read; {why}",
        do=f"{grant}; or {do}" if do else grant,
    )


def _as_identifier(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return plain if re.fullmatch(IDENTIFIER, plain) else f"db_{plain}".strip("_")


def _refuse_other_url(root: Path, variable: str, url: str) -> None:
    """Refuses a variable that is already set: the environment takes precedence over `.env`."""
    if variables_of(root).get(variable) not in (None, url):
        raise Refused(
            f"the variable {variable} is already set, to another database",
            do=f"unset {variable} (in the environment or {variables_file(root).name}), or name the "
            "source differently: --source",
        )
