"""The DuckDB file that dbt opens: where it is, and how a new one is written."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.transformation.targets.references import for_profile

# New files use the format of DuckDB 1.0, as DuckDB 1.x does by default, so that an older DuckDB can
# still read what DuckDB 2 wrote (https://duckdb.org/docs/stable/internals/storage). Existing files
# keep their format.
NEW_FILES: dict[str, Any] = {"storage_compatibility_version": "v1.0.0"}


def output_of_file(project: Project) -> dict[str, Any]:
    """The output of dbt's profile for the published file."""
    declared = project.declaration.warehouse.path
    # For a link, dbt-duckdb names the database after the path, but DuckDB after the linked file.
    is_renamed = project.warehouse.name != PurePosixPath(declared).name
    written = project.reference_at("warehouse", "path")
    path = project.seen_from_dbt(str(project.warehouse) if is_renamed else declared)
    return {
        "type": "duckdb",
        "path": for_profile(project, written) if written and not is_renamed else path,
        "schema": "main",
        "threads": 1,
        "settings": {"TimeZone": "UTC"},
    }
