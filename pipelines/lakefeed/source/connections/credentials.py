"""Reads the secrets of a declared connection from the environment, `.env` or dlt's secrets."""

from __future__ import annotations

import os
from typing import Any

from lakefeed.declaration.environment import references
from lakefeed.declaration.environment.variables import variables_file, variables_of
from lakefeed.declaration.project import Project
from lakefeed.errors import DeclarationError


def unset_variables(project: Project, source: str) -> list[str]:
    """The variables in a source's connection that aren't set and have no default."""
    return unset_in(project, project.source(source).connection or "")


def unset_in(project: Project, text: str) -> list[str]:
    """The variables in a text that aren't set and have no default."""
    return references.unset_in(text, variables_of(project.root))


def interpolate(
    project: Project,
    text: str,
    where: str,
    *,
    example: str = "postgresql://user:password@host:5432/database",
) -> str:
    """Replaces each `${VARIABLE}` by its value from the environment, `.env` or its default.

    Args:
        example: what the value of a variable looks like, for the error.

    Raises:
        DeclarationError: a variable isn't set and has no default.
    """
    missing = unset_in(project, text)
    if missing:
        raise DeclarationError(
            f"the variable {missing[0]} isn't set",
            where=where,
            do=f"add {missing[0]}={example} to {variables_file(project.root).name}, or export the "
            "variable",
        )
    return references.resolved(text, variables_of(project.root))


def dlt_secret(project: Project, source: str) -> str | dict[str, Any] | None:
    """A source's credentials in dlt's secrets: a URL or a table of fields; None if there are none.

    Raises:
        DeclarationError: `.dlt/secrets.toml` can't be read.
    """
    from_environment = os.environ.get(f"SOURCES__{source.upper()}__CREDENTIALS")
    path = project.root / ".dlt" / "secrets.toml"
    if from_environment or not path.exists():
        return from_environment
    import tomllib

    try:
        secrets = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        secrets = None
    if secrets is None:
        raise DeclarationError("not valid TOML in UTF-8", where=".dlt/secrets.toml")
    found = secrets.get("sources", {}).get(source, {}).get("credentials")
    return found if isinstance(found, (str, dict)) else None
