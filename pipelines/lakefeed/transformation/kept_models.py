"""Keeps the list of models beside dbt's manifest, for readers that can't wait for its megabytes.

Airflow parses the DAG every few seconds, each time in a new process: nothing stays in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from lakefeed import __version__
from lakefeed.declaration.project import Project
from lakefeed.textfile import replace_text
from lakefeed.transformation.manifest import Model, read_models

_FIELDS = [field.name for field in fields(Model)]


def kept_models(project: Project) -> tuple[Model, ...]:
    """What `read_models` gives for the manifest that is there, parsed once for each manifest.

    Side effect: writes `lakefeed_models.json` beside the manifest, where it may.
    """
    target = project.dbt / "target"
    try:
        manifest = (target / "manifest.json").stat()
    except FileNotFoundError:
        return ()
    path = target / "lakefeed_models.json"
    made = {
        "manifest": [manifest.st_mtime_ns, manifest.st_size],
        "version": __version__,
        "fields": _FIELDS,
    }
    kept = _kept_in(path)
    if kept.items() >= made.items():
        return tuple(_model_from(values) for values in kept["models"])
    models = read_models(project)
    listed = [list(asdict(model).values()) for model in models]
    text = json.dumps({**made, "models": listed})
    # A folder that can't be written costs time, and nothing else.
    with suppress(OSError):
        replace_text(path, text, durable=False)
    return models


def _kept_in(path: Path) -> dict[str, Any]:
    """What was kept; nothing if there is no such file, or one that was damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _model_from(values: list[Any]) -> Model:
    read: Iterator[Any] = (tuple(one) if isinstance(one, list) else one for one in values)
    named: dict[str, Any] = dict(zip(_FIELDS, read, strict=True))
    return Model(**named)
