"""The commands. Each parses, calls the core and prints; imports wait until they are needed."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines import __version__
from pipelines.cli.group import JSON, PROJECT, SELECT, Commands, load_options
from pipelines.errors import EXIT_PARTLY_FAILED

if TYPE_CHECKING:
    from pipelines.declaration.project import Project


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lakefeed")
def main() -> None:
    """PostgreSQL to raw Parquet, staging and a DuckDB star schema, as sources.yaml says.

    Exit codes: 0 all well; 1 part of it failed or was refused, or something was found; 2 the
    declaration is wrong; 3 no declared source could be reached.
    """
    # A command lives for seconds and leaves next to no cycles: looking for them as often as Python
    # does by itself is a tenth of a load of many tables, imports included.
    gc.set_threshold(20_000, 20, 20)


@main.command()
@click.option("--connection", required=True, metavar="URL", help="postgresql://user:pass@host/db")
@click.option("--source", metavar="NAME", help="Its name in the lake. Default: the database's.")
@click.option("--schema", default="public", show_default=True, help="The schema to read.")
@PROJECT
def init(root: Path, connection: str, source: str | None, schema: str) -> None:
    """Start a project in an empty folder from a live database."""
    from pipelines.cli.render import render_init
    from pipelines.orchestration.init import init_project

    click.echo(render_init(init_project(root, connection, source, schema)))


@main.command()
@PROJECT
@load_options
def run(root: Path, as_json: bool, **request: Any) -> None:
    """Load what is new, build and test the models below it, and publish them."""
    from pipelines.cli.render import show_run
    from pipelines.orchestration.load import LoadRequest
    from pipelines.orchestration.run import run as run_project

    project = _open(root)
    show_run(lambda listener: run_project(project, LoadRequest(**request), listener), as_json)


@main.command()
@PROJECT
@load_options
def load(root: Path, as_json: bool, **request: Any) -> None:
    """Load what is new into raw, without dbt."""
    from pipelines.cli.render import show_run
    from pipelines.orchestration.load import LoadRequest
    from pipelines.orchestration.load import load as load_project

    project = _open(root)
    show_run(lambda heard: load_project(project, LoadRequest(**request), heard)[1], as_json)


@main.command()
@PROJECT
def build(root: Path) -> None:
    """Build and test all dbt models from raw, without loading, and publish them."""
    from pipelines.cli.built import render_build
    from pipelines.orchestration.build import build_all

    report = build_all(_open(root))
    click.echo(render_build(report))
    sys.exit(report.exit_code)


@main.command()
@PROJECT
@click.option("--resume", "resumes", is_flag=True, help="Have runs build again.")
def rollback(root: Path, resumes: bool) -> None:
    """Publish the version before again; runs load, and build nothing until --resume."""
    from pipelines.cli.built import render_resume, render_rollback
    from pipelines.orchestration.rollback import resume, roll_back

    project = _open(root)
    click.echo(render_resume(resume(project)) if resumes else render_rollback(roll_back(project)))


@main.command()
@PROJECT
@click.option("--as-of", metavar="LOAD|TIME", help="As it stood then, in a file of its own.")
@click.option("--output", type=click.Path(path_type=Path), help="Put it there.")
def rebuild(root: Path, as_of: str | None, output: Path | None) -> None:
    """Build the whole warehouse from raw, from nothing."""
    from pipelines.cli.built import render_rebuild
    from pipelines.orchestration.rebuild import rebuild as rebuild_warehouse

    report = rebuild_warehouse(_open(root), as_of, output)
    click.echo(render_rebuild(report))
    sys.exit(EXIT_PARTLY_FAILED if report.build.failures else 0)


@main.command()
@PROJECT
def sync(root: Path) -> None:
    """Bring sources.lock.yaml, staging models and dbt sources up to sources.yaml."""
    from pipelines.cli.render import render_sync
    from pipelines.orchestration.sync import sync as sync_project

    click.echo(render_sync(sync_project(_open(root))))


@main.command()
@PROJECT
@click.option("--connect", is_flag=True, help="Also hold every table against its database.")
@click.option("--data", is_flag=True, help="Also hold the newest loads against those before.")
@JSON
def check(root: Path, connect: bool, data: bool, as_json: bool) -> None:
    """Validate the declaration and what is generated from it."""
    from pipelines.cli.findings import show_check
    from pipelines.orchestration.check import check as check_files
    from pipelines.orchestration.check import check_connected
    from pipelines.orchestration.data_check import with_data

    project = _open(root)
    report = check_connected(project) if connect else check_files(project)
    report = with_data(project, report) if data else report
    show_check(report, as_json)
    sys.exit(report.exit_code)


@main.command()
@PROJECT
@SELECT
@click.option("--repair", "repairs", is_flag=True, help="Load the ranges again that differ.")
@JSON
def audit(root: Path, select: tuple[str, ...], repairs: bool, as_json: bool) -> None:
    """Compare staging with the source, row by row, at one snapshot."""
    from pipelines.cli.render import show_audit
    from pipelines.loading.environment import prepare_dlt
    from pipelines.orchestration.audit import audit as audit_tables
    from pipelines.orchestration.audit import repair

    project = _open(root)
    prepare_dlt(project)
    report = audit_tables(project, select)
    if repairs and any(table.ranges for table in report.tables):
        show_audit(project, report, as_json=False)
        repair(project, report)
        report = audit_tables(_open(root), select)
    show_audit(project, report, as_json)
    sys.exit(report.exit_code)


@main.command()
@click.argument("table")
@PROJECT
def explain(root: Path, table: str) -> None:
    """Show every effective setting of a table, and the line that it comes from."""
    from pipelines.declaration.explain import explain_table
    from pipelines.orchestration.selection import select_tables
    from pipelines.orchestration.status import checkpoint_of_table

    project = _open(root)
    for found in select_tables(project, [table]):
        click.echo(explain_table(found, checkpoint_of_table(project, found)))


@main.command()
@PROJECT
@SELECT
@JSON
def status(root: Path, select: tuple[str, ...], as_json: bool) -> None:
    """Show where each table stands: checkpoint, last load, rows, files, age."""
    import datetime as dt

    from pipelines.cli.render import show_status
    from pipelines.orchestration.rollback import read_rollback
    from pipelines.orchestration.selection import select_tables
    from pipelines.orchestration.status import status as read_status

    project = _open(root)
    if held := read_rollback(project):
        click.echo(f"note: {held.warning}", err=True)
    rows = read_status(project, select_tables(project, select), dt.datetime.now(dt.UTC))
    sys.exit(show_status(rows, as_json))


@main.command()
def schema() -> None:
    """Print the JSON Schema of sources.yaml, for editors."""
    from pipelines.declaration.reference import json_schema_text

    click.echo(json_schema_text(), nl=False)


@main.command()
@PROJECT
@click.option(
    "--scale",
    type=click.FloatRange(min=0.01),
    default=1.0,
    show_default=True,
    help="How big the shop is: 1 is some 9,000 rows.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed, another shop.")
@click.option("--keep", is_flag=True, help="Leave the database up, and say how to connect.")
def demo(root: Path, scale: float, seed: int, keep: bool) -> None:
    """Run the main job on a small shop in an embedded PostgreSQL."""
    from pipelines.demo.run import run_demo

    sys.exit(run_demo(root.resolve(), scale=scale, seed=seed, keep=keep))


@main.command()
@PROJECT
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Runs.")
@click.option(
    "--rows",
    type=click.IntRange(min=2),
    default=200,
    show_default=True,
    help="How many rows of each table are copied, at most.",
)
@click.option("--seed", type=int, help="To see the same again. Default: another each time.")
@click.option(
    "--server",
    metavar="URL",
    help="A PostgreSQL for the scratch databases, with a "
    "superuser, where tables need extensions. Default: an embedded one.",
)
def lab(root: Path, steps: int, rows: int, seed: int | None, server: str | None) -> None:
    """Try this declaration on scratch databases: random writers, killed runs, rows counted."""
    import random

    from pipelines.lab.run import LabRequest, run_lab

    chosen = random.randrange(1_000_000) if seed is None else seed
    sys.exit(run_lab(_open(root), LabRequest(steps, rows, chosen, server)))


def _open(root: Path) -> Project:
    from pipelines.declaration.project import open_project

    return open_project(root)


if __name__ == "__main__":
    main()
