"""Reads the secrets of a declared connection from the environment, `.env` or dlt's secrets."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.errors import DeclarationError
from lakefeed.source.connections.env_file import read_variables

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def unset_variables(project: Project, source: str) -> list[str]:
    """The variables in a source's connection that aren't set."""
    return _unset(project, project.source(source).connection or "")


def _unset(project: Project, text: str) -> list[str]:
    variables = _variables(project.root)
    return [name for name in _REFERENCE.findall(text) if not variables.get(name)]


def interpolate(project: Project, text: str, where: str) -> str:
    """Replaces each `${VARIABLE}` by its value from the environment, or else from `.env`.

    Raises:
        DeclarationError: a variable isn't set.
    """
    missing = _unset(project, text)
    if missing:
        raise DeclarationError(
            f"the variable {missing[0]} isn't set",
            where=where,
            do=f"add {missing[0]}=postgresql://user:password@host:5432/database to .env, "
            "or export the variable",
        )
    variables = _variables(project.root)
    return _REFERENCE.sub(lambda match: variables[match[1]] or "", text)


def _variables(root: Path) -> dict[str, str | None]:
    return {**read_variables(root / ".env"), **os.environ}


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
