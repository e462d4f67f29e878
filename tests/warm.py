"""What the process has done once that others are forked from: imports, and first builds.

dbt compiles much of itself at its first builds, which costs more than a build.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

# Where the main module has no file, DuckDB takes whoever imports it for a person, and draws bars.
sys.modules["__main__"].__file__ = __file__

from lakefeed.declaration.project import open_project  # noqa: E402
from lakefeed.transformation.dbt_adapter.runner import run_dbt  # noqa: E402
from tests.conftest import write_small_project  # noqa: E402

# What is imported at its first use.
_LATE = (
    "dlt.__plugins__",
    "dlt.common.libs.pyarrow",
    "dlt.destinations.impl.filesystem.filesystem",
    "dlt.sources.helpers.requests",
    "dlt.sources.sql_database",
    "duckdb_extension_postgres_scanner",
    "pendulum.locales.en.locale",
    "lakefeed.render.build",
    "lakefeed.cli.main",
    "lakefeed.render.prune",
    "lakefeed.render.report",
    "lakefeed.loading.dlt_adapter.plugin",
    "lakefeed.loading.load",
    "lakefeed.orchestration.checks.audit",
    "lakefeed.orchestration.maintenance.prune",
    "lakefeed.orchestration.build.rebuild",
    "lakefeed.orchestration.run",
    "pyarrow.compute",
    "pyarrow.parquet",
    "rich.live",
    "sqlalchemy.dialects.postgresql",
)


def _build() -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        write_small_project(root)
        (root / "dbt/models/marts/one.sql").write_text("select 1 as id", encoding="utf-8")
        project = open_project(root)
        # The second time dbt reads what it kept of the first. Its parser of models keeps threads,
        # which a fork lacks: there it would wait for them for ever.
        for _ in range(2):
            run_dbt(project, "build", ["--no-static-parser"], project.warehouse)


for _module in _LATE:
    importlib.import_module(_module)
_build()
