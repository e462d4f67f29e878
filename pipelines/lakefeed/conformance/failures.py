"""What failed in a run that should have succeeded."""

from __future__ import annotations

from lakefeed.orchestration.reports.run_report import RunReport


def first_failure(report: RunReport) -> str:
    """The first thing that failed, and why; empty if nothing did."""
    for table in report.failures:
        return f"{table.name} failed to load: {table.error}"
    if report.build_error:
        return f"the build failed: {report.build_error}"
    if report.build and report.build.failures:
        node = report.build.failures[0]
        return f"{node.name} failed: {node.told}"
    return ""
