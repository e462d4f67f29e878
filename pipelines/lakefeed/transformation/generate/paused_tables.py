"""What was generated for paused tables, which stays as it is until they are loaded again.

Staging follows from a table's settings: without its key, a column's name or `history`, the next
build would change what a pause promises to keep. A paused table's entry may have lost them all
(`orders: {enabled: false}`), and only these files still have them. So the macros must be able to
read what an earlier version wrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from lakefeed.declaration.document.quoting import yaml_text
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.transformation.generate.staging_models import HEADER
from lakefeed.transformation.model_names import history_model, staging_model

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class KeptFiles:
    """What stays of the generated files, by path below `dbt/`.

    Attributes:
        models: the text of each model; None for a history that the table doesn't have.
        entries: the entries of tables and models in a YAML file, by name.
        order: the names of all tables or models in it, in the order of sources.yaml.
    """

    models: Mapping[str, str | None] = field(default_factory=dict)
    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    order: Mapping[str, list[str]] = field(default_factory=dict)

    def within(self, texts: Mapping[str, str]) -> dict[str, str]:
        """The files to generate, with what stays in place of what would be generated."""
        files = {path: text for path, text in texts.items() if path not in self.models}
        files |= {path: text for path, text in self.models.items() if text is not None}
        return files | {path: self._with_entries(path, texts.get(path)) for path in self.entries}

    def _with_entries(self, path: str, text: str | None) -> str:
        data = yaml.load(text, _Loader) if text else {"version": 2, "models": []}
        listed = _entries_in(data)
        by_name = {entry["name"]: entry for entry in listed} | dict(self.entries[path])
        listed[:] = [by_name[name] for name in self.order[path] if name in by_name]
        return f"# {HEADER}\n{yaml_text(data, width=96)}"


def kept_files(project: Project) -> KeptFiles:
    """What was generated for the paused tables, as far as their staging models are generated."""
    paused = {
        table.lake_name: models
        for table in project.tables
        if table.is_paused and (models := _models_of(project, table))
    }
    order: dict[str, list[str]] = {}
    kept: dict[str, set[str]] = {}
    for table in project.tables if paused else ():
        for path, name in _named_in(table):
            order.setdefault(path, []).append(name)
            if table.lake_name in paused:
                kept.setdefault(path, set()).add(name)
    entries = {
        path: {name: entry for name, entry in _entries_of(project, path).items() if name in names}
        for path, names in kept.items()
    }
    entries = {path: found for path, found in entries.items() if found}
    models = {path: text for found in paused.values() for path, text in found.items()}
    return KeptFiles(models, entries, order)


def _models_of(project: Project, table: Table) -> dict[str, str | None]:
    """The texts of its models; empty if its staging model is missing or hand-written."""
    staging = f"models/staging/{table.source}/{staging_model(table.lake_name)}.sql"
    history = f"models/history/{table.source}/{history_model(table.lake_name)}.sql"
    texts = {path: _text(project, path) for path in (staging, history)}
    return texts if HEADER in (texts[staging] or "").split("\n", 1)[0] else {}


def _named_in(table: Table) -> tuple[tuple[str, str], ...]:
    """The YAML files that have an entry for it, each with the entry's name."""
    staging = f"models/staging/{table.source}/_{table.source}__"
    return (
        (f"{staging}sources.yml", table.short_name),
        (f"{staging}models.yml", staging_model(table.lake_name)),
        (
            f"models/history/{table.source}/_{table.source}__history.yml",
            history_model(table.lake_name),
        ),
    )


def _entries_of(project: Project, path: str) -> dict[str, dict[str, Any]]:
    """The entries of a generated YAML file as they are, by name; none if it can't be read."""
    try:
        listed = _entries_in(yaml.load(_text(project, path) or "", _Loader))
        return {entry["name"]: entry for entry in listed}
    except (yaml.YAMLError, KeyError, TypeError, IndexError):
        return {}


def _entries_in(data: Any) -> list[dict[str, Any]]:
    """The list of entries in the data of a generated YAML file."""
    found: list[dict[str, Any]] = (
        data["sources"][0]["tables"] if "sources" in data else data["models"]
    )
    return found


def _text(project: Project, path: str) -> str | None:
    try:
        return (project.dbt / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
