"""The files that every project has, and the secret that a new one gets."""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import as_file, files
from pathlib import Path

from dotenv import set_key, unset_key

from lakefeed.declaration.environment.env_file import read_variables
from lakefeed.errors import Refused

_TEMPLATE = files("lakefeed.orchestration.project") / "template"
# The extras that every image has.
_EXTRAS = "airflow,celery,ducklake,s3"
# Stored without the dot, so that tools don't apply these files to the template's own folder.
RENAMED = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}


def write_scaffold(root: Path, extras: Collection[str] = ()) -> tuple[list[str], list[str]]:
    """Writes the files that every project has; never overwrites an existing one.

    Args:
        extras: those of Lakefeed's package that the project's image needs.

    Returns: the names of the files written, and of existing files with other content.
    """
    written, kept = [], []
    with as_file(_TEMPLATE) as template:
        # pip compiles every installed module, including the template's DAG file.
        found = (p for p in template.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        for path in sorted(found):
            name = str(path.relative_to(template))
            name = RENAMED.get(name, name)
            target, content = root / name, _content(path, extras)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
                written.append(name)
            elif not target.is_file() or target.read_bytes() != content:
                kept.append(name)
    return written, kept


def _content(path: Path, extras: Collection[str]) -> bytes:
    content = path.read_bytes()
    if path.name != "Dockerfile":
        return content
    known = _EXTRAS.split(",")
    added = ",".join(sorted({*known, *extras}))
    return content.replace(f"[{_EXTRAS}]".encode(), f"[{added}]".encode())


def ignored_lines() -> list[str]:
    """The lines of the `.gitignore` that every project has."""
    return (_TEMPLATE / "gitignore").read_text(encoding="utf-8").splitlines()


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
