"""Commands that create things: a project, its generated files, the demo, the lab."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lakefeed.cli.options import FOLDER, PROJECT, project_in


@click.command()
@click.option("--connection", required=True, metavar="URL", help="postgresql://user:pass@host/db")
@click.option("--source", metavar="NAME", help="Name of the source. Default: the database's name.")
@click.option(
    "--schema",
    "schemas",
    multiple=True,
    metavar="NAME",
    help="Schema to declare, by name or wildcard ('sales*'). Repeatable. Default: public.",
)
@click.option("--all-schemas", is_flag=True, help="Declare all schemas but PostgreSQL's own.")
@click.option(
    "--from",
    "export",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Declare what another tool's file loads: a Sling replication, meltano.yml, an Airbyte "
    "connection (JSON), or dlt's config.toml.",
)
@click.option(
    "--warehouse",
    type=click.Choice(["duckdb", "ducklake", "spark", "snowflake", "bigquery"]),
    default="duckdb",
    show_default=True,
    help="What builds the models: DuckDB, in a file of the project; or a DuckLake, Spark, "
    "Snowflake or BigQuery, with raw in an object store.",
)
@FOLDER
def init(
    root: Path,
    connection: str,
    source: str | None,
    schemas: tuple[str, ...],
    *,
    all_schemas: bool,
    export: Path | None,
    warehouse: str,
) -> None:
    """Create a project in this folder from a live database. Existing files are kept."""
    from lakefeed.orchestration.project.init import init_project
    from lakefeed.render.init import render_init

    if schemas and all_schemas:
        raise click.UsageError("--all-schemas doesn't go with --schema: it includes every schema")
    if export and (schemas or all_schemas):
        raise click.UsageError("--from doesn't go with schemas: the file says which tables to load")
    chosen = ("*",) if all_schemas else schemas
    report = init_project(root, connection, source, chosen, export=export, warehouse=warehouse)
    click.echo(render_init(report))


@click.command()
@PROJECT
def sync(root: Path) -> None:
    """Update sources.lock.yaml and the generated dbt models from the databases."""
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
    help="Size of the shop; 1 is about 9,000 rows.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="Seed of the generated data.")
@click.option("--keep", is_flag=True, help="Keep the database running and print how to connect.")
@click.option("--store", type=click.Choice(["s3"]), help="Keep raw in an object store, SeaweedFS.")
@click.option(
    "--warehouse",
    type=click.Choice(["spark"]),
    help="Build on a Spark cluster on this machine, with raw in an object store. Needs Java 17.",
)
def demo(
    *, root: Path, scale: float, seed: int, keep: bool, store: str | None, warehouse: str | None
) -> None:
    """Run the main job on a small shop in an embedded PostgreSQL."""
    from lakefeed.demo.run import run_demo
    from lakefeed.demo.server import require_server

    if store and keep:
        raise click.UsageError("--store doesn't go with --keep: the object store isn't kept")
    if warehouse and keep:
        raise click.UsageError("--warehouse doesn't go with --keep: the cluster isn't kept")

    elsewhere = None
    if store or warehouse:
        require_server("`lakefeed demo`")
        from lakefeed.demo.elsewhere import in_store, on_spark

        elsewhere = on_spark if warehouse else in_store
    sys.exit(run_demo(root.resolve(), scale=scale, seed=seed, keep=keep, elsewhere=elsewhere))


@click.command()
@PROJECT
@click.option(
    "--steps", type=click.IntRange(min=1), default=20, show_default=True, help="Number of runs."
)
@click.option(
    "--rows",
    type=click.IntRange(min=2),
    default=200,
    show_default=True,
    help="Maximum number of rows copied from each table.",
)
@click.option("--seed", type=int, help="Seed for a reproducible run. Default: random.")
@click.option(
    "--server",
    metavar="URL",
    help="PostgreSQL server for the scratch databases, as a superuser, for tables that need "
    "extensions. Default: an embedded server.",
)
def lab(root: Path, steps: int, rows: int, seed: int | None, server: str | None) -> None:
    """Torture-test this declaration on scratch databases: random writers, killed runs."""
    import random

    from lakefeed.lab.run import LabRequest, run_lab

    chosen = random.randrange(1_000_000) if seed is None else seed
    sys.exit(run_lab(project_in(root), LabRequest(steps, rows, chosen, server)))
