"""`lakefeed check --warehouse`: what the declared warehouse is, and what it lacks."""

from __future__ import annotations

from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.disk import storage_errors_named
from lakefeed.errors import LakefeedError
from lakefeed.orchestration.checks.check import CheckReport
from lakefeed.transformation.warehouse.declared import warehouse_of


def with_warehouse(project: Project, report: CheckReport) -> CheckReport:
    """The report with what the warehouse is, and an error for each thing that it lacks.

    Side effect: tries what builds need, in tables and files of its own, which it removes.
    """
    try:
        with storage_errors_named():
            found = warehouse_of(project).inspect()
    except LakefeedError as error:
        return replace(report, errors=(*report.errors, error))
    return replace(report, errors=(*report.errors, *found.lacks), warehouse=found)
