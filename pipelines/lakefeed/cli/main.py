"""The `lakefeed` command. Commands import what they need when they run, so that they start fast."""

from __future__ import annotations

import gc
import os

import click

from lakefeed import __version__
from lakefeed.cli import cdc_commands, inspect_commands, project_commands, run_commands
from lakefeed.cli.options import Commands
from lakefeed.declaration.environment.variables import VARIABLE


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lakefeed")
@click.option(
    "--env",
    "environment",
    metavar="NAME",
    help=f"Read .env.NAME instead of .env. Default: {VARIABLE}.",
)
def main(environment: str | None) -> None:
    """Load PostgreSQL into raw Parquet, staging and a DuckDB star schema, as sources.yaml says.

    Exit codes: 0 success; 1 something failed, was refused or was found; 2 invalid configuration
    or a missing extra; 3 no source could be reached; 130 interrupted.
    """
    if environment is not None:
        # A variable, so that the processes that a command starts know it as well.
        os.environ[VARIABLE] = environment
    # A command lives for seconds and leaves few reference cycles. Collecting them as often as
    # Python does by default takes a tenth of a load of many tables, imports included.
    gc.set_threshold(20_000, 20, 20)


# In the order a newcomer needs them.
for _command in (
    project_commands.init,
    inspect_commands.plan,
    run_commands.run,
    run_commands.load,
    run_commands.build,
    run_commands.rollback,
    run_commands.rebuild,
    run_commands.prune,
    run_commands.unlock,
    cdc_commands.cdc,
    project_commands.sync,
    inspect_commands.check,
    inspect_commands.diff,
    inspect_commands.audit,
    inspect_commands.explain,
    inspect_commands.trace,
    inspect_commands.status,
    inspect_commands.metrics,
    inspect_commands.notify,
    inspect_commands.docs,
    project_commands.schema,
    project_commands.demo,
    project_commands.lab,
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
