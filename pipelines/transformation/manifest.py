"""The models of the dbt project and what each reads, as dbt's last run wrote them down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pipelines.declaration.project import Project

_STAGING = PurePosixPath("models/staging")


@dataclass(frozen=True)
class Model:
    """A model: its file's name, its layer, and the models and raw tables that it reads."""

    name: str
    is_staging: bool
    description: str
    reads_models: tuple[str, ...]
    reads_tables: tuple[str, ...]


def read_models(project: Project) -> tuple[Model, ...]:
    """All models that are built, each after those that it reads; none where dbt never ran.

    Raw tables are called by their names in the lake.
    """
    path = project.dbt / "target" / "manifest.json"
    if not path.exists():
        return ()
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"].values()
    models = {node["name"]: _model_from(node) for node in nodes if _is_built(node)}
    ordered: dict[str, Model] = {}
    for name in sorted(models):
        _place(models, name, ordered)
    return tuple(ordered.values())


def _is_built(node: dict[str, Any]) -> bool:
    kind, config = node["resource_type"], node["config"]
    return bool(kind == "model" and config["enabled"] and config["materialized"] != "ephemeral")


def _model_from(node: dict[str, Any]) -> Model:
    """A unique id is `model.<project>.<name>` or `source.<project>.<source>.<table>`."""
    ids = [unique_id.split(".") for unique_id in node["depends_on"]["nodes"]]
    return Model(
        node["name"],
        PurePosixPath(node["original_file_path"]).is_relative_to(_STAGING),
        node["description"],
        tuple(parts[2] for parts in ids if parts[0] == "model"),
        tuple(f"{parts[2]}__{parts[3]}" for parts in ids if parts[0] == "source"),
    )


def _place(models: dict[str, Model], name: str, ordered: dict[str, Model]) -> None:
    """Puts a model behind all that it reads."""
    if name in models and name not in ordered:
        for read in models[name].reads_models:
            _place(models, read, ordered)
        ordered[name] = models[name]
