"""`lakefeed init`: a whole project from a live database, with its cursors chosen and explained."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from psycopg2.extensions import connection as PgConnection

from pipelines.declaration.catalogue import CatalogueTable, Column
from pipelines.declaration.load import DECLARATION_FILE
from pipelines.declaration.project import open_project
from pipelines.errors import DeclarationError, Refused
from pipelines.orchestration.sync import sync
from pipelines.source.connection import connect, connection_from_url
from pipelines.source.inspect import (
    BASE_KINDS,
    ColumnFacts,
    column_facts,
    estimated_size,
    inspect_tables,
)
from pipelines.source.types import cursor_kind

_TEMPLATE = files("pipelines.orchestration") / "templates" / "project"
# A dot file that tools would obey where the template lies.
_RENAMED = {"gitignore": ".gitignore"}

_UPDATED_WORDS = ("updat", "modif", "chang", "touched")
_CREATED_WORDS = ("creat", "insert", "added", "logged", "occurred", "happened", "moved", "sent")
_PLAIN_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


@dataclass(frozen=True)
class InitReport:
    """What was written, and how many tables of which kind were declared."""

    files: tuple[str, ...]
    tables: int
    incremental: int


@dataclass(frozen=True)
class CursorChoice:
    """The cursor that init chooses for a table, and why; None where nothing serves."""

    column: Column | None
    reasons: str


def init_project(root: Path, url: str, source: str, schema: str) -> InitReport:
    """Writes a project into `root`, ready for `lakefeed run`.

    Side effects: creates files; never changes one that is there.

    Raises:
        Refused: `root` holds a project already.
        DeclarationError: the schema has no tables.
        SourceUnreachable: no connection.
    """
    if (root / DECLARATION_FILE).exists():
        raise Refused(
            f"there is a project here already: {root / DECLARATION_FILE}",
            do="add tables to that file, or go to an empty folder",
        )
    if not source.isidentifier():
        raise DeclarationError(f"--source {source}: use letters, digits and underscores")
    with connect(connection_from_url(source, url), "lakefeed init") as session:
        declared = list(_declared_tables(session, schema))
    if not declared:
        raise DeclarationError(
            f"schema `{schema}` has no tables that this role can see",
            do="name another with --schema, or grant usage on it and select on its tables",
        )
    root.mkdir(parents=True, exist_ok=True)
    written = write_scaffold(root)
    variable = f"{source.upper()}_DATABASE_URL"
    written += _write_new(root / DECLARATION_FILE, _declaration(source, schema, variable, declared))
    written += _write_secret(root, variable, url)
    os.environ.setdefault(variable, url)
    written += sync(open_project(root)).files
    incremental = sum(1 for table in declared if "mode: full_refresh" not in table)
    return InitReport(tuple(written), len(declared), incremental)


def write_scaffold(root: Path) -> list[str]:
    """Writes what every project has, leaving files alone that are there; returns their names."""
    written: list[str] = []
    with as_file(_TEMPLATE) as template:
        for path in sorted(p for p in template.rglob("*") if p.is_file()):
            name = str(path.relative_to(template))
            target = root / _RENAMED.get(name, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            written += _write_new(target, path.read_text(encoding="utf-8"), root)
    return written


def choose_cursor(table: CatalogueTable, facts: dict[str, ColumnFacts]) -> CursorChoice:
    """Ranks the columns that could be the cursor: kept by a trigger first, then by its name.

    A column that is only set at insertion serves where rows never change; it is the last resort
    and says so.
    """
    candidates = [
        (_rank(column, facts[column.name]), column)
        for column in table.columns
        if column.name in facts and cursor_kind(column.type) in ("timestamptz", "timestamp")
    ]
    usable = [(rank, column) for rank, column in candidates if rank > 0]
    if not usable or not table.primary_key:
        reason = "no column moves with every change" if table.primary_key else "no primary key"
        return CursorChoice(None, reason)
    _, column = max(usable, key=lambda one: one[0])
    return CursorChoice(column, ", ".join(_reasons(column, facts[column.name])))


def _rank(column: Column, facts: ColumnFacts) -> int:
    name = column.name.lower()
    score = 0
    if facts.kept_by_trigger:
        score += 100
    if any(word in name for word in _UPDATED_WORDS):
        score += 50
    elif any(word in name for word in _CREATED_WORDS) and _set_by_default(facts):
        score += 10
    if score:
        score += 5 * facts.indexed + 3 * facts.not_null + 2 * _set_by_default(facts)
        score += cursor_kind(column.type) == "timestamptz"
    return score


def _reasons(column: Column, facts: ColumnFacts) -> Iterator[str]:
    if facts.kept_by_trigger:
        yield "kept by a trigger"
    elif any(word in column.name.lower() for word in _CREATED_WORDS):
        yield "set when a row is inserted: updates of old rows are NOT seen"
    if _set_by_default(facts):
        yield "has a default"
    yield "indexed" if facts.indexed else "not indexed"
    yield "not null" if facts.not_null else "may be null"


def _set_by_default(facts: ColumnFacts) -> bool:
    return any(word in facts.default.lower() for word in ("now()", "current_timestamp", "clock_"))


def _declared_tables(session: PgConnection, schema: str) -> Iterator[str]:
    for table in inspect_tables(session, [schema]).values():
        if table.kind in BASE_KINDS:
            rows, size = estimated_size(session, table)
            yield _table_lines(
                table, choose_cursor(table, column_facts(session, table)), rows, size
            )


def _table_lines(table: CatalogueTable, choice: CursorChoice, rows: int, size: int) -> str:
    key = f"key {', '.join(table.primary_key)}" if table.primary_key else "no key"
    about = f"# about {rows:,} rows, {_readable(size)}; {key}; {choice.reasons}"
    if choice.column is None:
        settings = "{mode: full_refresh}"
    elif cursor_kind(choice.column.type) == "timestamp":
        # Which zone a bare timestamp is kept in, only its owner knows.
        settings = f"{{cursor: {{column: {_yaml_name(choice.column.name)}, timezone: UTC}}}}"
        about += "; check the timezone"
    else:
        settings = f"{{cursor: {_yaml_name(choice.column.name)}}}"
    name = table.qualified if "." not in table.name else table.name
    return f"      {about}\n      {_yaml_name(name)}: {settings}\n"


def _declaration(source: str, schema: str, variable: str, tables: list[str]) -> str:
    listed = "".join(tables).replace(f"      {schema}.", "      ")
    return (
        "# What Lakefeed loads, written by `lakefeed init`. Every key: `lakefeed schema`;\n"
        "# what applies to one table: `lakefeed explain "
        f"{source}.TABLE`.\n"
        "version: 1\n\n"
        "sources:\n"
        f"  {source}:\n"
        f"    connection: ${{{variable}}}\n"
        f"    schema: {_yaml_name(schema)}\n"
        "    # Clocks of applications aren't covered by the safe horizon: look back a little.\n"
        "    defaults: {lookback: 30m}\n"
        "    tables:\n"
        f"{listed}"
    )


def _write_secret(root: Path, variable: str, url: str) -> list[str]:
    written = _write_new(
        root / ".env", f"# Read by lakefeed; ignored by git.\n{variable}='{url}'\n"
    )
    if written:
        (root / ".env").chmod(0o600)
    return written


def _write_new(path: Path, text: str, root: Path | None = None) -> list[str]:
    if path.exists():
        return []
    path.write_text(text, encoding="utf-8")
    return [str(path.relative_to(root or path.parent))]


def _yaml_name(name: str) -> str:
    return name if re.fullmatch(rf"{_PLAIN_NAME}(\.{_PLAIN_NAME})?", name) else f'"{name}"'


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
