"""Keeps the generated dbt files in sync with the declaration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.textfile import replace_text
from lakefeed.transformation.generate.dbt_packages import link_dbt_package
from lakefeed.transformation.generate.history_models import history_model_name
from lakefeed.transformation.generate.staging_models import HEADER, staging_model_name
from lakefeed.transformation.generate.wanted_files import WantedFiles, digest_of

_FOLDERS = ("staging", "history")


@dataclass(frozen=True)
class GeneratedChanges:
    """Generated files to write (text by path) and to remove, relative to the project."""

    to_write: dict[str, str]
    to_remove: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.to_write or self.to_remove)

    @property
    def names(self) -> list[str]:
        return sorted([*self.to_write, *self.to_remove])


def stale_files(project: Project) -> GeneratedChanges:
    """What `write_generated` would change. Files without the header are hand-written."""
    return _changes(project, WantedFiles(project))


def write_generated(project: Project) -> GeneratedChanges:
    """Writes and removes generated files until all are up to date; returns what changed.

    Side effect: links Lakefeed's dbt package, so that a plain `dbt build` works.
    """
    declared = link_dbt_package(project)
    wanted = WantedFiles(project)
    changes = _changes(project, wanted)
    for name, text in changes.to_write.items():
        replace_text(project.root / name, text, durable=False)
    for name in changes.to_remove:
        (project.root / name).unlink()
    wanted.remember()
    return replace(changes, to_write=declared | changes.to_write)


def _changes(project: Project, wanted: WantedFiles) -> GeneratedChanges:
    to_write = {
        f"dbt/{name}": wanted.text(name)
        for name, digest in wanted.digests.items()
        if _is_outdated(_text(project.dbt / name), digest)
    }
    folders = [project.dbt / "models" / folder for folder in _FOLDERS]
    present = (path for folder in folders for path in folder.rglob("*"))
    others = {
        str(path.relative_to(project.dbt)): path
        for path in present
        if path.suffix in (".sql", ".yml")
    }
    to_remove = sorted(
        f"dbt/{name}"
        for name, path in others.items()
        if name not in wanted.digests and _is_ours(_text(path) or "")
    )
    return GeneratedChanges(to_write, tuple(to_remove))


def _is_outdated(found: str | None, digest: str) -> bool:
    """Whether a file is missing, or generated with another text."""
    return found is None or (_is_ours(found) and digest_of(found) != digest)


def is_generated(project: Project, table: Table) -> bool | None:
    """Whether a table's staging model is generated; False if hand-written, None if missing."""
    path = project.dbt / "models" / "staging" / table.source / f"{staging_model_name(table)}.sql"
    return _is_generated(path) if path.exists() else None


def has_history(project: Project, table: Table) -> bool:
    """Whether a table has a generated history model."""
    path = project.dbt / "models" / "history" / table.source / f"{history_model_name(table)}.sql"
    return path.exists() and _is_generated(path)


def is_by_hand(project: Project, model: str) -> bool:
    """Whether a model with this name is hand-written, in whatever folder."""
    return any(not _is_generated(path) for path in (project.dbt / "models").rglob(f"{model}.sql"))


def _is_generated(path: Path) -> bool:
    text = _text(path)
    return text is None or _is_ours(text)


def _is_ours(text: str) -> bool:
    return HEADER in text.split("\n", 1)[0]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
