"""What a task tells of its outcome: asset events, nodes in the log, and the error that fails it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakefeed.dag import names
from lakefeed.declaration.project import Project
from lakefeed.errors import BuildFailed, DeclarationError, LakefeedError

if TYPE_CHECKING:
    from lakefeed.orchestration.reports.run_report import RunReport
    from lakefeed.transformation.dbt_adapter.runner import NodeResult


def emit_events(context: Mapping[str, Any], project: Project, report: RunReport) -> None:
    """Emits the event of each table's asset, with the load's rows, files, checkpoint and ID."""
    events = context["outlet_events"]
    for table in report.tables:
        declared = project.table(table.lake_name)
        told = {
            "rows": table.rows_written,
            "files": table.files,
            "checkpoint": table.checkpoint,
            "load_id": table.load_id,
        }
        if project.declaration.airflow.asset_events == "loads":
            events[names.asset_of(declared)].extra = told
        elif table.status == "loaded":
            events[names.alias_of(declared)].add(names.asset_of(declared), extra=told)


def print_nodes(nodes: Sequence[NodeResult]) -> None:
    from lakefeed.render.parts.wording import node_line
    from lakefeed.render.report import console

    out = console()
    for node in nodes:
        out.print(node_line(node), soft_wrap=True)


def raise_table_errors(report: RunReport) -> None:
    """Raises one error for all failed tables.

    It is a DeclarationError, which isn't retried, only if all of their errors are.
    """
    errors = [table.error for table in report.failures if table.error]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        kinds = {isinstance(error, DeclarationError) for error in errors}
        kind = DeclarationError if kinds == {True} else LakefeedError
        raise kind("\n".join(dict.fromkeys(str(error) for error in errors)))


def raise_build_errors(report: RunReport) -> None:
    if report.build_error is not None:
        raise report.build_error
    if report.build is not None:
        raise_failed_nodes(report.build.failures)


def raise_failed_nodes(failures: Sequence[NodeResult]) -> None:
    if failures:
        lines = [f"{node.kind} {node.name}: {node.told}" for node in failures]
        raise BuildFailed(
            "\n".join(lines), do="downstream models keep their last published version"
        )
