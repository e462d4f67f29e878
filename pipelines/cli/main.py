"""`lakefeed`. Its commands parse, call the core and print; imports wait until they are needed."""

from __future__ import annotations

import gc

import click

from pipelines import __version__
from pipelines.cli import looking, running, starting
from pipelines.cli.group import Commands


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lakefeed")
def main() -> None:
    """PostgreSQL to raw Parquet, staging and a DuckDB star schema, as sources.yaml says.

    Exit codes: 0 all well; 1 part of it failed or was refused, or something was found; 2 the
    declaration is wrong; 3 no declared source could be reached; 130 interrupted.
    """
    # A command lives for seconds and leaves next to no cycles: looking for them as often as Python
    # does by itself is a tenth of a load of many tables, imports included.
    gc.set_threshold(20_000, 20, 20)


# In the order in which a newcomer needs them.
for _command in (
    starting.init,
    running.run,
    running.load,
    running.build,
    running.rollback,
    running.rebuild,
    running.prune,
    starting.sync,
    looking.check,
    looking.diff,
    looking.audit,
    looking.explain,
    looking.trace,
    looking.status,
    looking.docs,
    starting.schema,
    starting.demo,
    starting.lab,
):
    main.add_command(_command)


if __name__ == "__main__":
    main()
