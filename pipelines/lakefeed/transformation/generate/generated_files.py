"""Keeps the generated dbt files in sync with the declaration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.textfile import replace_text
from lakefeed.transformation.generate.dbt_packages import link_dbt_package
from lakefeed.transformation.generate.history_models import history_files, history_model_name
from lakefeed.transformation.generate.staging_models import (
    HEADER,
    generated_files,
    staging_model_name,
)

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
    wanted = generated_files(project) | history_files(project)
    to_write = {
        f"dbt/{name}": text
        for name, text in wanted.items()
        if _is_generated(project.dbt / name) and _text(project.dbt / name) != text
    }
    present = (
        path
        for folder in _FOLDERS
        for path in (project.dbt / "models" / folder).rglob("*")
        if path.suffix in (".sql", ".yml") and _text(path) and _is_generated(path)
    )
    to_remove = sorted(
        f"dbt/{path.relative_to(project.dbt)}"
        for path in present
        if str(path.relative_to(project.dbt)) not in wanted
    )
    return GeneratedChanges(to_write, tuple(to_remove))


def write_generated(project: Project) -> GeneratedChanges:
    """Writes and removes generated files until all are up to date; returns what changed.

    Side effect: links Lakefeed's dbt package, so that a plain `dbt build` works.
    """
    declared = link_dbt_package(project)
    changes = stale_files(project)
    for name, text in changes.to_write.items():
        replace_text(project.root / name, text, durable=False)
    for name in changes.to_remove:
        (project.root / name).unlink()
    return replace(changes, to_write=declared | changes.to_write)


def is_generated(project: Project, table: Table) -> bool | None:
    """Whether a table's staging model is generated; False if hand-written, None if missing."""
    path = project.dbt / "models" / "staging" / table.source / f"{staging_model_name(table)}.sql"
    return _is_generated(path) if path.exists() else None


def has_history(project: Project, table: Table) -> bool:
    """Whether a table has a generated history model."""
    path = project.dbt / "models" / "history" / table.source / f"{history_model_name(table)}.sql"
    return path.exists() and _is_generated(path)


def _is_generated(path: Path) -> bool:
    text = _text(path)
    return text is None or HEADER in text.split("\n", 1)[0]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
