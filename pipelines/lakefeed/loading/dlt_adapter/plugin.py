"""Lets `dlt pipeline` find the pipelines of the current project without `--pipelines-dir`.

dlt asks every installed plugin for a run context (entry point group `dlt`). Outside a Lakefeed
project this plugin returns None, and dlt behaves as if it weren't installed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dlt.common.configuration import plugins
from dlt.common.configuration.specs.pluggable_run_context import RunContextBase
from dlt.common.runtime.run_context import RunContext

import lakefeed.loading.naming  # noqa: F401 - sets the alias that schemas of earlier lakes use
from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.environment.variables import data_folder
from lakefeed.loading.dlt_settings.environment import NAMING


class ProjectRunContext(RunContext):
    """dlt's default run context, with working directories in the project's `data/.dlt`."""

    @property
    def data_dir(self) -> str:
        return os.environ.get("DLT_DATA_DIR", str(data_folder(Path(self.run_dir)) / ".dlt"))


@plugins.hookimpl(specname="plug_run_context")
def plug_project_context(
    run_dir: str | None,
    runtime_kwargs: dict[str, Any] | None,  # noqa: ARG001 - pluggy matches by name
) -> RunContextBase | None:
    """The run context of the Lakefeed project in `run_dir`; None outside a project."""
    root = Path(os.environ.get("DLT_PROJECT_DIR") or run_dir or ".").absolute()
    if not (root / DECLARATION_FILE).is_file():
        return None
    os.environ.setdefault("PROVIDERS__ENABLE_AIRFLOW_SECRETS", "false")
    os.environ.setdefault("SCHEMA__NAMING", NAMING)
    return ProjectRunContext(str(root))
