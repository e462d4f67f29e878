"""Commands that change the lake: load, build, publish, roll back, rebuild, prune and unlock."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakefeed.cli.options import JSON, PROJECT, SELECT, load_options, project_in, show
from lakefeed.cli.telling import telling

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.reports.listener import Listener
    from lakefeed.orchestration.reports.run_report import RunReport


@click.command()
@PROJECT
@load_options
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    help="Carry out a plan that `lakefeed plan --save` wrote, or refuse if it no longer holds.",
)
def run(root: Path, as_json: bool, plan_file: Path | None, **request: Any) -> None:
    """Load new rows, build and test the models downstream of them, and publish the result."""
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.run import run as run_project
    from lakefeed.render.report import print_report

    project, asked = project_in(root), LoadRequest(**request)

    def run_asked(listener: Listener | None) -> RunReport:
        wanted = asked if plan_file is None else _planned(project, asked, plan_file)
        return run_project(project, wanted, listener)

    def work(listener: Listener | None) -> RunReport:
        return telling(project, "lakefeed run", lambda: run_asked(listener))

    print_report(work, as_json)


def _planned(project: Project, asked: LoadRequest, plan_file: Path) -> LoadRequest:
    from lakefeed.errors import DeclarationError
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.ingest.run_plan import reviewed_request

    if asked != LoadRequest():
        raise DeclarationError(
            "--plan comes with its own tables and options",
            do="leave out the others, or give them to: lakefeed plan --save FILE",
        )
    return reviewed_request(project, plan_file)


@click.command()
@PROJECT
@load_options
def load(root: Path, as_json: bool, **request: Any) -> None:
    """Load new rows into raw, without running dbt."""
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.run import load_alone
    from lakefeed.render.report import print_report

    project, asked = project_in(root), LoadRequest(**request)

    def work(listener: Listener | None) -> RunReport:
        return telling(project, "lakefeed load", lambda: load_alone(project, asked, listener))

    print_report(work, as_json)


@click.command()
@PROJECT
@click.option(
    "--changed-since",
    "revision",
    metavar="GIT-REV",
    help="Build only models changed since GIT-REV and their descendants, in a copy.",
)
@JSON
def build(root: Path, revision: str | None, as_json: bool) -> None:
    """Build and test all dbt models from raw, without loading, and publish the result."""
    from lakefeed.orchestration.impact.trial_build import build_changed_since
    from lakefeed.orchestration.run import build_alone
    from lakefeed.render.build import render_build, render_changed

    project = project_in(root)
    if revision is not None:
        changed = build_changed_since(project, revision)
        show(changed.as_json(), render_changed(changed), as_json=as_json)
        sys.exit(changed.exit_code)
    report = telling(project, "lakefeed build", lambda: build_alone(project))
    show(report.as_json(), render_build(report), as_json=as_json)
    sys.exit(report.exit_code)


@click.command()
@PROJECT
@click.option("--resume", "resumes", is_flag=True, help="Resume building after a rollback.")
@JSON
def rollback(root: Path, resumes: bool, as_json: bool) -> None:
    """Publish the previous version again. Runs keep loading, but don't build until --resume."""
    from lakefeed.orchestration.build.rollback import resume, roll_back
    from lakefeed.render.build import render_resume, render_rollback

    project = project_in(root)
    if resumes:
        resumed = resume(project)
        document = resumed.as_json() if resumed else None
        show(document, render_resume(resumed), as_json=as_json)
    else:
        rolled_back = roll_back(project)
        show(rolled_back.as_json(), render_rollback(rolled_back), as_json=as_json)


@click.command()
@PROJECT
@click.option(
    "--as-of",
    metavar="LOAD|TIME",
    help="Rebuild as of this load or time, apart from what is published.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Path of the file to write.")
@JSON
def rebuild(root: Path, as_of: str | None, output: Path | None, as_json: bool) -> None:
    """Rebuild the whole warehouse from the raw files."""
    from lakefeed.orchestration.build.rebuild import rebuild as rebuild_warehouse
    from lakefeed.render.build import render_rebuild

    report = rebuild_warehouse(project_in(root), as_of, output)
    show(report.as_json(), render_rebuild(report), as_json=as_json)
    sys.exit(report.exit_code)


@click.command()
@click.argument("key", nargs=-1)
@PROJECT
@SELECT
@click.option("--undeclared", is_flag=True, help="Also remove data of tables no longer declared.")
@click.option("--erase", metavar="TABLE", help="Erase the row with this KEY everywhere.")
@click.option(
    "--dry-run", "only_plans", is_flag=True, help="Show what would be removed, then exit."
)
@JSON
def prune(root: Path, key: tuple[str, ...], erase: str | None, **request: Any) -> None:
    """Delete data no longer needed (superseded loads, old dlt state). Staging is unaffected.

    With --erase, KEY is one value for each column of the table's key, in their order.
    """
    from lakefeed.render.prune import run_erase, run_prune

    if bool(key) != bool(erase) or (erase and (request["select"] or request["undeclared"])):
        raise click.UsageError("--erase TABLE needs the KEY of a row and takes no other option")
    project, shown = project_in(root), {n: request.pop(n) for n in ("only_plans", "as_json")}
    if erase:
        sys.exit(run_erase(project, erase, key, **shown))
    sys.exit(run_prune(project, **request, **shown))


@click.command()
@click.argument("table")
@PROJECT
@click.option("--end", "ends", is_flag=True, help="End that run: its sessions in the source.")
@JSON
def unlock(root: Path, table: str, ends: bool, as_json: bool) -> None:
    """Show which run is loading TABLE and which is building the warehouse; end a stuck load."""
    from lakefeed.orchestration.maintenance.unlock import unlock as unlock_table
    from lakefeed.render.unlock import render_unlock

    report = unlock_table(project_in(root), table, ends=ends)
    show(report.as_json(), render_unlock(report), as_json=as_json)
    sys.exit(report.exit_code)
