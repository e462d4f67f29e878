"""`lakefeed init`: a whole project from a live database, ready to run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from dotenv import dotenv_values, set_key
from psycopg2.extensions import connection as PgConnection

from pipelines.declaration.load import DECLARATION_FILE
from pipelines.declaration.project import open_project
from pipelines.declaration.values import IDENTIFIER
from pipelines.errors import DeclarationError, Refused
from pipelines.orchestration.proposal import (
    TableFacts,
    choose_cursor,
    doubts_of,
    propose_declaration,
)
from pipelines.orchestration.sync import sync
from pipelines.source.connection import connect, connection_from_url
from pipelines.source.equality import compared_by_text
from pipelines.source.inspect import (
    BASE_KINDS,
    column_facts,
    database_name,
    denied_columns,
    estimated_size,
    inspect_tables,
)

_TEMPLATE = files("pipelines.orchestration") / "templates" / "project"
# A dot file that tools would obey where the template lies.
_RENAMED = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}


@dataclass(frozen=True)
class InitReport:
    """What was written; how many tables were declared, and how many of them incremental.

    `warnings` are what is to be known of their keys.
    """

    files: tuple[str, ...]
    tables: int
    incremental: int
    left_out: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def init_project(root: Path, url: str, source: str | None, schema: str) -> InitReport:
    """Writes a project into `root`, ready for `lakefeed run`.

    Side effects: creates files; of those that are there it changes `.env` alone, by one line.

    Args:
        source: its name in the lake; the database's own where None.

    Raises:
        Refused: `root` holds a project already, or the variable for the URL is taken.
        DeclarationError: the schema has no tables.
        SourceUnreachable: no connection.
    """
    if (root / DECLARATION_FILE).exists():
        raise Refused(
            f"there is a project here already: {root / DECLARATION_FILE}",
            do="add tables to that file, or go to an empty folder",
        )
    with connect(connection_from_url(source or "source", url), "lakefeed init") as session:
        source = source or _as_identifier(database_name(session))
        if not re.fullmatch(IDENTIFIER, source):
            raise DeclarationError(f"--source {source}: use letters, digits and underscores")
        found = list(_facts(session, schema))
    if not any(facts.readable for facts in found):
        raise DeclarationError(
            f"schema `{schema}` has no tables that this role can read",
            do="name another with --schema, or grant usage on it and select on its tables",
        )
    variable = f"{source.upper()}_DATABASE_URL"
    _refuse_other_url(root, variable, url)
    root.mkdir(parents=True, exist_ok=True)
    written = [*write_scaffold(root), DECLARATION_FILE, ".env"]
    text = propose_declaration(source, schema, variable, found)
    (root / DECLARATION_FILE).write_text(text, encoding="utf-8")
    write_secret(root / ".env", variable, url)
    written += sync(open_project(root)).files
    declared = [facts for facts in found if facts.readable]
    incremental = sum(1 for facts in declared if choose_cursor(facts).column)
    left_out = tuple(facts.table.qualified for facts in found if not facts.readable)
    doubts = tuple(f"{one.table.name}: {doubt}" for one in declared for doubt in doubts_of(one))
    return InitReport(tuple(written), len(declared), incremental, left_out, doubts)


def write_scaffold(root: Path) -> list[str]:
    """Writes what every project has, leaving files alone that are there; returns their names."""
    written = []
    with as_file(_TEMPLATE) as template:
        for path in sorted(p for p in template.rglob("*") if p.is_file()):
            name = str(path.relative_to(template))
            name = _RENAMED.get(name, name)
            target = root / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
                written.append(name)
    return written


def _facts(session: PgConnection, schema: str) -> Iterator[TableFacts]:
    for table in inspect_tables(session, [schema]).values():
        if table.kind in BASE_KINDS:
            denied = denied_columns(session, table, [column.name for column in table.columns])
            rows, size = estimated_size(session, table, only=bool(table.heirs))
            key = [column for column in table.columns if column.name in table.primary_key]
            doubts = tuple(compared_by_text(session, table, key))
            facts = column_facts(session, table)
            yield TableFacts(table, facts, tuple(denied), rows, size, doubts)


def _as_identifier(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return plain if re.fullmatch(IDENTIFIER, plain) else f"db_{plain}".strip("_")


def _refuse_other_url(root: Path, variable: str, url: str) -> None:
    """The environment wins over `.env`, so that another URL there would silently be loaded."""
    held = {**(dotenv_values(root / ".env") if (root / ".env").exists() else {}), **os.environ}
    if held.get(variable) not in (None, url):
        raise Refused(
            f"the variable {variable} is set already, to another database",
            do=f"unset {variable} (environment, .env), or give the source another name: --source",
        )


def write_secret(path: Path, variable: str, url: str) -> None:
    """Sets one variable in a `.env` that nobody else may read."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text("# Read by lakefeed; ignored by git.\n", encoding="utf-8")
    set_key(path, variable, url)
