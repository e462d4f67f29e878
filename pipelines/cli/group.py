"""What commands share: how errors of ours end them, and options that several have."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.errors import EXIT_PARTLY_FAILED, LakefeedError

if TYPE_CHECKING:
    from pipelines.declaration.project import Project

PROJECT = click.option(
    "--project",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The project's folder. Default: the current one.",
)
SELECT = click.option(
    "--select",
    multiple=True,
    metavar="TABLE",
    help="shop.orders, shop, 'shop.order*' or tag:core. Can be given more than once.",
)
_PASSWORD = re.compile(r"(://[^:/@\s]*:)[^@\s]+@")
_TRACEBACK = "LAKEFEED_TRACEBACK"
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def load_options(command: Callable[..., None]) -> Callable[..., None]:
    """What `run` and `load` can be told."""
    for option in (
        JSON,
        click.option("--allow-shrink", is_flag=True, help="Accept a refresh that loses many rows."),
        click.option("--until", metavar="VALUE", help="Backfill up to this value, exclusive."),
        click.option("--since", metavar="VALUE", help="Backfill from this value, inclusive."),
        click.option("--full-refresh", is_flag=True, help="Read tables whole, whatever the mode."),
        SELECT,
    ):
        command = option(command)
    return command


def project_in(root: Path) -> Project:
    """The project of this folder; imported only now, as commands are to start at once."""
    from pipelines.declaration.project import open_project

    return open_project(root)


class Commands(click.Group):
    """Prints an error of ours as one message, and exits with its code."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except LakefeedError as error:
            click.echo(f"error: {error}", err=True)
            context.exit(error.exit_code)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get(_TRACEBACK):
                raise
            reason = _PASSWORD.sub(r"\1***@", str(error))
            click.echo(f"error: {type(error).__name__}: {reason}", err=True)
            click.echo(f"  this is a fault of Lakefeed's own; {_TRACEBACK}=1 shows where", err=True)
            context.exit(EXIT_PARTLY_FAILED)

    def list_commands(self, _context: click.Context) -> list[str]:
        """In the order in which a newcomer needs them."""
        return list(self.commands)
