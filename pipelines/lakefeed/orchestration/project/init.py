"""`lakefeed init`: creates a project from a live database, ready to run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from dotenv import set_key, unset_key

from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.environment.env_file import read_variables
from lakefeed.declaration.environment.variables import variables_file, variables_of
from lakefeed.declaration.models.value_types import IDENTIFIER
from lakefeed.declaration.project import open_project
from lakefeed.errors import DeclarationError, Refused
from lakefeed.orchestration.project.cursor_inference import (
    TableFacts,
    doubts_of,
    is_incremental,
)
from lakefeed.orchestration.project.gitignore import ignore, refuse_tracked_secret
from lakefeed.orchestration.project.proposal import entry_of, propose_declaration
from lakefeed.orchestration.project.schemas import choose_schemas, how_to_choose, own_schema
from lakefeed.orchestration.project.survey import survey
from lakefeed.orchestration.project.sync import sync
from lakefeed.source.connections.connection import connection_from_url
from lakefeed.source.connections.sessions import connect
from lakefeed.source.inspection.tables import database_name, schemas_with_tables
from lakefeed.sql import sql_name

_TEMPLATE = files("lakefeed.orchestration.project") / "template"
# Stored without the dot, so that tools don't apply these files to the template's own folder.
_RENAMED = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}


@dataclass(frozen=True)
class InitReport:
    """The files written and kept, and the number of tables declared, incremental ones among them.

    Attributes:
        left_out: tables that aren't declared, with the reason.
        warnings: what to know about keys and cursors, each with its table.
        elsewhere: other schemas with tables, and how many they have.
    """

    files: tuple[str, ...]
    kept: tuple[str, ...]
    ignored: tuple[str, ...]
    tables: int
    incremental: int
    left_out: tuple[tuple[str, str], ...]
    warnings: tuple[tuple[str, str], ...]
    elsewhere: dict[str, int]


def init_project(root: Path, url: str, source: str | None, schemas: tuple[str, ...]) -> InitReport:
    """Creates a project in `root`, ready for `lakefeed run`.

    Side effects: creates files; of existing ones, changes only `.env` (or that of the
    environment), by one line, and
    `.gitignore`, by the lines that are missing.

    Args:
        source: the source's name; by default the database's name.
        schemas: names and wildcards of schemas; none stands for `public`.

    Raises:
        Refused: `root` already has a project, the variable for the URL is set to another one, or
            the password might be committed.
        DeclarationError: the schemas have no tables that can be loaded.
        SourceUnreachable: the database can't be reached.
    """
    _refuse_project(root)
    if source is not None and not re.fullmatch(IDENTIFIER, source):
        raise DeclarationError(
            f"--source {source}: invalid name", do="use letters, digits and underscores"
        )
    connection = connection_from_url(source or "", url)
    with connect(connection, "lakefeed init") as session:
        source = source or _as_identifier(database_name(session))
        counts = schemas_with_tables(session)
        chosen = choose_schemas(schemas, counts)
        found = survey(connection, session, chosen)
    declared = [facts for facts in found if not facts.why_left_out]
    if not declared:
        raise _nothing_to_declare(chosen, found, counts)
    schema = own_schema(chosen)
    variable = f"{source.upper()}_DATABASE_URL"
    _refuse_other_url(root, variable, url)
    root.mkdir(parents=True, exist_ok=True)
    secrets = variables_file(root).name
    refuse_tracked_secret(root, secrets)
    written, kept = write_scaffold(root)
    ignored = ignore(root, _ignored_lines(), secrets)
    text = propose_declaration(source, schema, variable, found)
    (root / DECLARATION_FILE).write_text(text, encoding="utf-8")
    write_secret(root / secrets, variable, url)
    written += [DECLARATION_FILE, secrets, *sync(open_project(root)).files]
    return InitReport(
        files=tuple(written),
        kept=tuple(kept),
        ignored=tuple(ignored) if _RENAMED["gitignore"] in kept else (),
        tables=len(declared),
        incremental=sum(1 for facts in declared if is_incremental(facts)),
        left_out=tuple((f.table.qualified, f.why_left_out) for f in found if f.why_left_out),
        warnings=tuple(
            (entry_of(schema, facts.table), doubt)
            for facts in declared
            for doubt in doubts_of(facts)
        ),
        elsewhere={name: count for name, count in counts.items() if name not in chosen},
    )


def _refuse_project(root: Path) -> None:
    if (root / DECLARATION_FILE).exists():
        raise Refused(
            f"this folder already has a project: {root / DECLARATION_FILE}",
            do="add tables to that file, or run `lakefeed init` in another folder",
        )


def _nothing_to_declare(
    schemas: Sequence[str], found: Sequence[TableFacts], counts: Mapping[str, int]
) -> DeclarationError:
    others = {name: count for name, count in counts.items() if name not in schemas}
    first = found[0]
    why = f"{first.table.qualified}: {first.why_left_out}"
    named = ", ".join(f"`{name}`" for name in schemas)
    noun = "schema" if len(schemas) == 1 else "schemas"
    verb = "has" if len(schemas) == 1 else "have"
    quoted = ", ".join(map(sql_name, schemas))
    grant = f"grant usage on schema {quoted} and select on its tables to the role"
    do = how_to_choose(others)
    return DeclarationError(
        f"{noun} {named} {verb} no tables that this role can read; {why}",
        do=f"{grant}; or {do}" if do else grant,
    )


def write_scaffold(root: Path) -> tuple[list[str], list[str]]:
    """Writes the files that every project has; never overwrites an existing one.

    Returns: the names of the files written, and of existing files with other content.
    """
    written, kept = [], []
    with as_file(_TEMPLATE) as template:
        # pip compiles every installed module, including the template's DAG file.
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
    """Refuses a variable that is already set: the environment takes precedence over `.env`."""
    if variables_of(root).get(variable) not in (None, url):
        raise Refused(
            f"the variable {variable} is already set, to another database",
            do=f"unset {variable} (in the environment or {variables_file(root).name}), or name the "
            "source differently: --source",
        )


def write_secret(path: Path, variable: str, url: str) -> None:
    """Sets a variable in `.env`; creates the file readable by its owner only."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text("# Read by lakefeed; ignored by git.\n", encoding="utf-8")
    set_key(path, variable, url)
    if read_variables(path).get(variable) != url:
        unset_key(path, variable)
        raise Refused(
            f"the connection has characters that can't be written to {path}",
            do="write it as a URL with percent-encoded user and password",
        )
