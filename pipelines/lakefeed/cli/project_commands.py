"""Commands that begin something: a project, its generated files, the demo, a trial."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lakefeed.cli.options import FOLDER, PROJECT, project_in


@click.command()
@click.option("--connection", required=True, metavar="URL", help="postgresql://user:pass@host/db")
@click.option("--source", metavar="NAME", help="Its name in the lake. Default: the database's.")
@click.option("--schema", default="public", show_default=True, help="The schema to read.")
@FOLDER
def init(root: Path, connection: str, source: str | None, schema: str) -> None:
    """Start a project in this folder from a live database. What is there is kept."""
    from lakefeed.orchestration.project.init import init_project
    from lakefeed.render.init import render_init

    click.echo(render_init(init_project(root, connection, source, schema)))


@click.command()
@PROJECT
def sync(root: Path) -> None:
    """Update sources.lock.yaml, staging models and dbt sources from the databases."""
    from lakefeed.orchestration.project.sync import sync as sync_project
    from lakefeed.render.report import render_sync

    click.echo(render_sync(sync_project(project_in(root))))


@click.command()
def schema() -> None:
    """Print the JSON Schema of sources.yaml, for editors."""
    from lakefeed.declaration.reference import json_schema_text

    click.echo(json_schema_text(), nl=False)


@click.command()
@FOLDER
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
    from lakefeed.demo.run import run_demo

    sys.exit(run_demo(root.resolve(), scale=scale, seed=seed, keep=keep))


@click.command()
@PROJECT
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Runs.")
@click.option(
    "--rows",
    type=click.IntRange(min=2),
    default=200,
    show_default=True,
    help="How many rows of each table are copied, at most.",
)
@click.option("--seed", type=int, help="Seed for a reproducible run. Default: random.")
@click.option(
    "--server",
    metavar="URL",
    help="A PostgreSQL for the scratch databases, with a "
    "superuser, where tables need extensions. Default: an embedded one.",
)
def lab(root: Path, steps: int, rows: int, seed: int | None, server: str | None) -> None:
    """Torture-test this declaration on scratch databases: random writers, killed runs."""
    import random

    from lakefeed.lab.run import LabRequest, run_lab

    chosen = random.randrange(1_000_000) if seed is None else seed
    sys.exit(run_lab(project_in(root), LabRequest(steps, rows, chosen, server)))
