"""`lakefeed init`: a whole project from a live database, ready to run."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from dotenv import set_key, unset_key

from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.project import open_project
from lakefeed.declaration.value_types import IDENTIFIER
from lakefeed.errors import DeclarationError, Refused
from lakefeed.orchestration.project.cursor_inference import (
    TableFacts,
    doubts_of,
    is_incremental,
    propose_declaration,
)
from lakefeed.orchestration.project.gitignore import ignore, refuse_tracked_secret
from lakefeed.orchestration.project.survey import survey
from lakefeed.orchestration.project.sync import sync
from lakefeed.source.connections.connection import connect, connection_from_url
from lakefeed.source.connections.env_file import read_variables
from lakefeed.source.inspection.tables import database_name, schemas_with_tables
from lakefeed.sql import sql_name

_TEMPLATE = files("lakefeed.orchestration.project") / "template"
# A dot file that tools would obey where the template lies.
_RENAMED = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}


@dataclass(frozen=True)
class InitReport:
    """What was written and what was kept; how many tables are declared, how many incremental.

    `left_out` are tables and why. `warnings` are what is to be known of keys and cursors.
    `elsewhere` has the other schemas with tables, and how many.
    """

    files: tuple[str, ...]
    kept: tuple[str, ...]
    ignored: tuple[str, ...]
    tables: int
    incremental: int
    left_out: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    elsewhere: dict[str, int]


def init_project(root: Path, url: str, source: str | None, schema: str) -> InitReport:
    """Writes a project into `root`, ready for `lakefeed run`.

    Side effects: creates files; of those that are there it changes `.env`, by one line, and
    `.gitignore`, where git would take what it must not.

    Args:
        source: its name in the lake; the database's own where None.

    Raises:
        Refused: `root` holds a project already, the variable for the URL is taken, or git would
            take the password.
        DeclarationError: the schema has no tables that can be loaded.
        SourceUnreachable: no connection.
    """
    _refuse_project(root)
    if source is not None and not re.fullmatch(IDENTIFIER, source):
        raise DeclarationError(f"--source {source}: use letters, digits and underscores")
    connection = connection_from_url(source or "", url)
    with connect(connection, "lakefeed init") as session:
        source = source or _as_identifier(database_name(session))
        elsewhere = schemas_with_tables(session)
        found = list(survey(connection, session, schema))
    declared = [facts for facts in found if not facts.why_left_out]
    if not declared:
        raise _nothing_to_declare(schema, found, elsewhere)
    variable = f"{source.upper()}_DATABASE_URL"
    _refuse_other_url(root, variable, url)
    root.mkdir(parents=True, exist_ok=True)
    refuse_tracked_secret(root)
    written, kept = write_scaffold(root)
    ignored = ignore(root, _ignored_lines())
    text = propose_declaration(source, schema, variable, found)
    (root / DECLARATION_FILE).write_text(text, encoding="utf-8")
    write_secret(root / ".env", variable, url)
    written += [DECLARATION_FILE, ".env", *sync(open_project(root)).files]
    return InitReport(
        files=tuple(written),
        kept=tuple(kept),
        ignored=tuple(ignored) if _RENAMED["gitignore"] in kept else (),
        tables=len(declared),
        incremental=sum(1 for facts in declared if is_incremental(facts)),
        left_out=tuple((f.table.qualified, f.why_left_out) for f in found if f.why_left_out),
        warnings=tuple(
            f"{one.table.name}: {doubt}" for one in declared for doubt in doubts_of(one)
        ),
        elsewhere={name: tables for name, tables in elsewhere.items() if name != schema},
    )


def _refuse_project(root: Path) -> None:
    if (root / DECLARATION_FILE).exists():
        raise Refused(
            f"there is a project here already: {root / DECLARATION_FILE}",
            do="add tables to that file, or go to another folder",
        )


def _nothing_to_declare(
    schema: str, found: Sequence[TableFacts], elsewhere: dict[str, int]
) -> DeclarationError:
    others = ", ".join(f"{name} ({count})" for name, count in elsewhere.items() if name != schema)
    do = f"schemas with tables: {others}; name one with --schema" if others else ""
    if not found:
        return DeclarationError(
            f"schema `{schema}` has no tables", do=do or "no schema of this database has any"
        )
    first = found[0]
    why = f"; {first.table.qualified}: {first.why_left_out}"
    grant = f"grant usage on schema {sql_name(schema)} and select on its tables to the role"
    return DeclarationError(
        f"schema `{schema}` has no tables that this role can read{why}",
        do=f"{grant}; or {do}" if do else grant,
    )


def write_scaffold(root: Path) -> tuple[list[str], list[str]]:
    """Writes what every project has, leaving files alone that are there.

    Returns: the names of files that it wrote, and of those that it found, with another text.
    """
    written, kept = [], []
    with as_file(_TEMPLATE) as template:
        # pip compiles what it installs, the template's DAG file as well.
        found = (p for p in template.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        for path in sorted(found):
            name = str(path.relative_to(template))
            name = _RENAMED.get(name, name)
            target, content = root / name, path.read_bytes()
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                written.append(name)
            elif not target.is_file() or target.read_bytes() != content:
                kept.append(name)
    return written, kept


def _ignored_lines() -> list[str]:
    return (_TEMPLATE / "gitignore").read_text(encoding="utf-8").splitlines()


def _as_identifier(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return plain if re.fullmatch(IDENTIFIER, plain) else f"db_{plain}".strip("_")


def _refuse_other_url(root: Path, variable: str, url: str) -> None:
    """The environment wins over `.env`, so that another URL there would silently be loaded."""
    held = {**read_variables(root / ".env"), **os.environ}
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
    if read_variables(path).get(variable) != url:
        unset_key(path, variable)
        raise Refused(
            f"the connection has characters that can't stand in {path}",
            do="write it as a URL, with user and password percent-encoded",
        )
