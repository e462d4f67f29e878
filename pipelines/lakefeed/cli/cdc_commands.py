"""`lakefeed cdc`: how the log of sources is read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lakefeed.cli.options import JSON, PROJECT, project_in, show

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project

_SOURCE = click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="NAME",
    help="Only this source. Repeatable. Default: all sources.",
)


@click.group()
def cdc() -> None:
    """Set up, or remove, what `cursor: wal` needs in the sources: a slot and a publication."""


@cdc.command()
@PROJECT
@_SOURCE
@click.option("--apply", "applies", is_flag=True, help="Run the SQL, rather than just print it.")
@click.option(
    "--allow-unbounded-wal",
    "allow_unbounded",
    is_flag=True,
    help="Create a slot although nothing bounds what it may hold back on the server's disk.",
)
@JSON
def setup(
    root: Path, sources: tuple[str, ...], *, applies: bool, allow_unbounded: bool, as_json: bool
) -> None:
    """Print the SQL that tables with `cursor: wal` still need, and what the server lacks."""
    from lakefeed.orchestration.log.setup import logging_sources
    from lakefeed.orchestration.log.setup import setup as set_up
    from lakefeed.render.cdc import render_setups

    project = project_in(root)
    chosen = _chosen(project, sources)
    wanted = [name for name in logging_sources(project) if name in chosen]
    reports = set_up(project, wanted, applies=applies, allow_unbounded=allow_unbounded)
    show([report.as_json() for report in reports], render_setups(reports), as_json=as_json)
    sys.exit(max((report.exit_code for report in reports), default=0))


@cdc.command()
@PROJECT
@_SOURCE
@click.option("--apply", "applies", is_flag=True, help="Run the SQL, rather than just print it.")
@JSON
def drop(root: Path, sources: tuple[str, ...], *, applies: bool, as_json: bool) -> None:
    """Print the SQL that removes slots and publications, and what becomes of the tables."""
    from lakefeed.orchestration.log.drop import drop as drop_from
    from lakefeed.render.cdc import render_drops

    project = project_in(root)
    reports = drop_from(project, _chosen(project, sources), applies=applies)
    show([report.as_json() for report in reports], render_drops(reports), as_json=as_json)
    sys.exit(max(report.exit_code for report in reports))


def _chosen(project: Project, sources: tuple[str, ...]) -> list[str]:
    declared = list(project.declaration.sources)
    if unknown := [name for name in sources if name not in declared]:
        raise click.UsageError(
            f"no source is named {unknown[0]}; the sources are: {', '.join(declared)}"
        )
    return [name for name in declared if not sources or name in sources]
