"""What commands share: options, and how errors end a command."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from lakefeed import interruption
from lakefeed.cli.streams import prepare_streams
from lakefeed.errors import EXIT_PARTLY_FAILED, LakefeedError

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project

PROJECT = click.option(
    "--project",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Project folder. Default: the current folder or its nearest parent with a project.",
)
# For commands that create a project.
FOLDER = click.option(
    "--project",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Project folder. Default: the current folder.",
)
SELECT = click.option(
    "--select",
    multiple=True,
    metavar="TABLE",
    help="shop.orders, shop, 'shop.order*' or tag:core. Repeatable.",
)
# A message about a connection may contain parts of it, in spellings that no pattern finds.
_OF_A_CONNECTION = re.compile(r"://|password|unable to connect|connection to server", re.IGNORECASE)
_URL = re.compile(r"\(?\S*://.*", re.DOTALL)
_TRACEBACK = "LAKEFEED_TRACEBACK"
# What is true of each command whenever it is interrupted.
_IF_INTERRUPTED = {
    **dict.fromkeys(("run", "build", "rebuild", "rollback"), "nothing was published"),
    "load": "tables that had finished loading stay loaded",
}
_WANTS_JSON = "lakefeed.json"
_FOUND_IN = "lakefeed.root"


def _remember(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    """Tells the group, which prints errors, that a program reads standard output."""
    context.find_root().meta[_WANTS_JSON] = value
    return value


# Eager, so that a mistake in another option is reported as JSON as well.
JSON = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_remember,
    help="Print one JSON document.",
)


def load_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of `run` and `load`."""
    for option in (
        JSON,
        click.option(
            "--allow-shrink", is_flag=True, help="Accept a refresh that removes many rows."
        ),
        click.option("--until", metavar="VALUE", help="Backfill up to this value, exclusive."),
        click.option("--since", metavar="VALUE", help="Backfill from this value, inclusive."),
        click.option(
            "--full-refresh", is_flag=True, help="Read whole tables, whatever their mode."
        ),
        SELECT,
    ):
        command = option(command)
    return command


def project_in(root: Path) -> Project:
    """The project in this folder or in its nearest parent."""
    from lakefeed.declaration.document.root import nearest_root
    from lakefeed.declaration.project import open_project

    if root == Path():
        root = nearest_root()
        if root != Path.cwd():
            click.get_current_context().meta[_FOUND_IN] = root
    return open_project(root)


def show(document: Any, text: str, *, as_json: bool) -> None:
    """Prints the result of a command: as JSON if that was asked for, else as text."""
    click.echo(json.dumps(document, indent=2) if as_json else text)


class Commands(click.Group):
    """A group that prints each of our errors as one message and exits with its code."""

    def main(self, *args: Any, **options: Any) -> Any:
        prepare_streams()
        return super().main(*args, **options)

    def invoke(self, context: click.Context) -> Any:
        with interruption.ending_in_time(lambda: _interruption_message(context)):
            try:
                return self._invoke(context)
            except BaseException as error:
                # After Ctrl-C, whatever waited for the source fails with an error of its own.
                if not isinstance(error, KeyboardInterrupt) and not interruption.is_interrupted():
                    raise
                _print_error(
                    context, {"what": _interruption_message(context)}, interruption.exit_code()
                )
                interruption.say_once(_interruption_message(context))
                context.exit(interruption.exit_code())

    def _invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except SystemExit as ended:
            if ended.code:
                _print_project_folder(context)
            raise
        except LakefeedError as error:
            _end_with(context, error)
        except click.ClickException as error:
            # An unexpected argument may be a URL with a password.
            if _URL.search(error.message):
                error = click.UsageError(_URL.sub("a URL", error.message), context)
            _print_error(context, {"what": error.format_message()}, error.exit_code)
            raise error from None
        except (click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get(_TRACEBACK):
                raise
            from lakefeed.disk import storage_error

            if refused := storage_error(error):
                _end_with(context, refused)
            message = _unexpected(error)
            _print_error(context, {"what": message}, EXIT_PARTLY_FAILED)
            click.echo(f"error: {message}", err=True)
            click.echo(f"  this is a bug in Lakefeed; set {_TRACEBACK}=1 to see where", err=True)
            context.exit(EXIT_PARTLY_FAILED)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists each command with its whole summary, which click would cut after one line."""
        summaries = [
            (name, (command.help or "").partition("\n\n")[0].replace("\n", " "))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(summaries)

    def list_commands(self, _context: click.Context) -> list[str]:
        """The commands in the order a newcomer needs them."""
        return list(self.commands)


def _unexpected(error: Exception) -> str:
    """The type of an unexpected error, with its message where that can't contain a secret."""
    name, message = type(error).__name__, str(error)
    is_of_libpq = type(error).__module__.startswith("psycopg2") and not getattr(
        error, "pgcode", None
    )
    return name if is_of_libpq or _OF_A_CONNECTION.search(message) else f"{name}: {message}"


def _interruption_message(context: click.Context) -> str:
    """The message of a command that was interrupted: never more than is true."""
    otherwise = _IF_INTERRUPTED.get(context.invoked_subcommand or "", "")
    done = interruption.what_was_done(otherwise)
    return f"interrupted; {done}" if done else "interrupted"


def _end_with(context: click.Context, error: LakefeedError) -> NoReturn:
    _print_error(context, error.as_json(), error.exit_code)
    click.echo(f"error: {error}", err=True)
    _print_project_folder(context)
    context.exit(error.exit_code)


def _print_project_folder(context: click.Context) -> None:
    """Names the project's folder where it isn't the current one, since messages name its files."""
    if _FOUND_IN in context.meta:
        click.echo(f"  in the project {context.meta[_FOUND_IN]}", err=True)


def _print_error(context: click.Context, error: dict[str, str], exit_code: int) -> None:
    """Prints the JSON document of a command that failed, if JSON was asked for."""
    if context.meta.get(_WANTS_JSON):
        click.echo(json.dumps({"exit_code": exit_code, "error": error}, indent=2))
