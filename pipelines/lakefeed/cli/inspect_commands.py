"""Commands that inspect a project: they read, compare and report."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from lakefeed.cli.options import JSON, PROJECT, SELECT, load_options, project_in, show
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED


@click.command()
@PROJECT
@click.option("--connect", is_flag=True, help="Also check every table against its database.")
@click.option("--data", is_flag=True, help="Also check recent loads for anomalies.")
@click.option(
    "--warehouse", is_flag=True, help="Also check that the warehouse has what builds need."
)
@click.option(
    "--conformance",
    is_flag=True,
    help="With --warehouse: build a test project in it and test every promise; write a report.",
)
@click.option(
    "--server",
    metavar="URL",
    help="PostgreSQL server for the database of --conformance. Default: an embedded server.",
)
@JSON
def check(root: Path, as_json: bool, *, server: str | None, **asked: bool) -> None:
    """Validate sources.yaml and the files generated from it."""
    from lakefeed.orchestration.checks.anomaly_check import with_data
    from lakefeed.orchestration.checks.check import check as check_files
    from lakefeed.orchestration.checks.check import check_connected
    from lakefeed.orchestration.checks.warehouse_check import with_warehouse
    from lakefeed.render.check import show_check

    _refuse_options(asked, server, as_json=as_json)
    project = project_in(root)
    report = check_connected(project) if asked["connect"] else check_files(project)
    report = with_data(project, report) if asked["data"] else report
    report = with_warehouse(project, report) if asked["warehouse"] else report
    show_check(project, report, as_json)
    if asked["conformance"] and report.errors:
        click.echo("no promise was tested: fix what is named above, then run it again", err=True)
    elif asked["conformance"] and report.warehouse:
        from lakefeed.conformance.run import run_conformance

        sys.exit(run_conformance(project, report.warehouse, server))
    sys.exit(report.exit_code)


def _refuse_options(asked: dict[str, bool], server: str | None, *, as_json: bool) -> None:
    if asked["conformance"] and not asked["warehouse"]:
        raise click.UsageError("--conformance needs --warehouse, which it tests")
    if asked["conformance"] and as_json:
        raise click.UsageError("--json doesn't go with --conformance, whose report is a JSON file")
    if server is not None and not asked["conformance"]:
        raise click.UsageError("--server is for the database of --conformance")


@click.command()
@PROJECT
@load_options
@click.option(
    "--save",
    "file",
    type=click.Path(path_type=Path),
    help="Also write the plan to this file, for: lakefeed run --plan FILE.",
)
def plan(root: Path, as_json: bool, file: Path | None, **request: Any) -> None:
    """Show what the next run would read and build, without doing it."""
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.ingest.run_plan import plan_run, save_plan
    from lakefeed.render.plan import print_plan
    from lakefeed.render.report import console

    planned = plan_run(project_in(root), LoadRequest(**request))
    if file is not None:
        save_plan(planned, file)
    if as_json:
        click.echo(json.dumps(planned.as_json(), indent=2))
    else:
        print_plan(console(), planned)
    sys.exit(planned.exit_code)


@click.command()
@PROJECT
@SELECT
@click.option("--repair", "repairs", is_flag=True, help="Reload the ranges that differ.")
@JSON
def audit(root: Path, select: tuple[str, ...], repairs: bool, as_json: bool) -> None:
    """Compare staging with the source, row by row, at one snapshot."""
    from lakefeed.loading.dlt_settings.environment import prepare_dlt
    from lakefeed.render.audit import run_audit

    project = project_in(root)
    prepare_dlt(project.root)
    sys.exit(run_audit(project, select, repairs=repairs, as_json=as_json))


@click.command()
@click.argument("revision", metavar="GIT-REV")
@PROJECT
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, for a pull request.")
@JSON
def diff(root: Path, revision: str, as_markdown: bool, as_json: bool) -> None:
    """Show the tables, models and tests affected by changes since GIT-REV."""
    from lakefeed.orchestration.impact.diff import diff as diff_since
    from lakefeed.render.diff import show_diff

    report = diff_since(project_in(root), revision)
    show_diff(report, as_json=as_json, as_markdown=as_markdown)


@click.command()
@click.argument("table")
@PROJECT
@JSON
def explain(root: Path, table: str, as_json: bool) -> None:
    """Show each effective setting of a table and where it is set."""
    from lakefeed.declaration.explain import explain_table, table_as_json
    from lakefeed.orchestration.inspect.status import checkpoint_of_table
    from lakefeed.orchestration.project.selection import select_tables

    project = project_in(root)
    selected = select_tables(project, [table], option="")
    explained = [(found, checkpoint_of_table(project, found)) for found in selected]
    text = "\n".join(explain_table(found, checkpoint) for found, checkpoint in explained)
    document = [table_as_json(found, checkpoint) for found, checkpoint in explained]
    show(document, text, as_json=as_json)


@click.command()
@click.argument("table")
@click.argument("key", nargs=-1)
@PROJECT
@click.option("--all", "whole", is_flag=True, help="Include versions with equal values.")
@JSON
def trace(root: Path, table: str, key: tuple[str, ...], whole: bool, as_json: bool) -> None:
    """Show all versions of a row, which one staging uses and why, and the rows built from it.

    KEY is one value for each column of the table's key: lakefeed trace shop.order_lines 4711 2.
    Put values that start with a dash after --.
    """
    from lakefeed.orchestration.inspect.trace import trace as trace_row
    from lakefeed.render.trace import show_trace

    traced = trace_row(project_in(root), table, key)
    show_trace(traced, as_json=as_json, whole=whole)
    sys.exit(EXIT_OK if traced.is_found else EXIT_PARTLY_FAILED)


@click.command()
@PROJECT
@SELECT
@JSON
def status(root: Path, select: tuple[str, ...], as_json: bool) -> None:
    """Show the checkpoint, last load, rows, files and age of each table.

    Connects to a source only if one of its tables reads the log, to see what its slot holds back.
    """
    import datetime as dt

    from lakefeed.orchestration.build.rollback import read_rollback
    from lakefeed.orchestration.inspect.status import status as read_status
    from lakefeed.orchestration.log.slot_states import slot_states
    from lakefeed.orchestration.project.selection import select_tables
    from lakefeed.render.report import show_status

    project = project_in(root)
    if rollback := read_rollback(project):
        click.echo(f"note: {rollback.warning}", err=True)
    tables = select_tables(project, select)
    rows = read_status(project, tables, dt.datetime.now(dt.UTC))
    sys.exit(show_status(rows, as_json, slot_states(project, tables)))


@click.command()
@PROJECT
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to replace, such as one ending in .prom for node-exporter. Default: print.",
)
def metrics(root: Path, output: Path | None) -> None:
    """Write Prometheus metrics: rows, freshness, late rows, failures.

    Connects to a source only if one of its tables reads the log, to see what its slot holds back.
    """
    import datetime as dt

    from lakefeed.orchestration.inspect.metrics import metrics as metrics_of
    from lakefeed.orchestration.inspect.overview import overview
    from lakefeed.render.metrics import metrics_text
    from lakefeed.textfile import replace_text

    text = metrics_text(metrics_of(overview(project_in(root), dt.datetime.now(dt.UTC))))
    if output:
        replace_text(output, text, durable=False)
    else:
        click.echo(text, nl=False)


@click.command()
@PROJECT
def notify(root: Path) -> None:
    """Send a test message to everyone whom `notify` in sources.yaml names."""
    from lakefeed.orchestration.notifications.channels import send
    from lakefeed.render.notification import render_delivery, test_message

    project = project_in(root)
    delivery = send(project, test_message(project))
    click.echo(render_delivery(delivery), err=bool(delivery.undelivered))
    sys.exit(delivery.exit_code)


@click.command()
@PROJECT
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Output folder. Default: data/docs.",
)
def docs(root: Path, output: Path | None) -> None:
    """Write a static site: runs, freshness, late rows, tests, lineage and dbt docs."""
    from lakefeed.site.writing import write_site

    site = write_site(project_in(root), output)
    click.echo(f"wrote {site.report}\nopen it in a browser: {site.report.as_uri()}")
    if site.lacks_dbt:
        click.echo(f"error: dbt docs are missing: {site.lacks_dbt}", err=True)
        sys.exit(site.lacks_dbt.exit_code)
