"""What commands share: how errors of ours end them, and options that several have."""

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
    help="The project's folder. Default: the current one, or the nearest around it.",
)
# Where one may be made.
FOLDER = click.option(
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
# What speaks of a connection may show parts of it, which no pattern finds in all their spellings.
_OF_A_CONNECTION = re.compile(r"://|password|unable to connect|connection to server", re.IGNORECASE)
_URL = re.compile(r"\(?\S*://.*", re.DOTALL)
_TRACEBACK = "LAKEFEED_TRACEBACK"
# What a command that is interrupted has left as it was, or has done already.
_LEFT_BY = {
    **dict.fromkeys(("run", "build", "rebuild", "rollback"), "nothing was published"),
    "load": "tables that were loaded before stay loaded",
}
_WANTS_JSON = "lakefeed.json"
_FOUND_IN = "lakefeed.root"


def _remember(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    """Tells the group, which prints the errors, that a program reads standard output."""
    context.find_root().meta[_WANTS_JSON] = value
    return value


# Eager, so that it is known before another option is found to be wrong.
JSON = click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    callback=_remember,
    help="Print one JSON document.",
)


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
    """The project of this folder, or of the nearest one around it; imported only now, as commands
    are to start at once.
    """
    from lakefeed.declaration.document.root import nearest_root
    from lakefeed.declaration.project import open_project

    if root == Path():
        root = nearest_root()
        if root != Path.cwd():
            click.get_current_context().meta[_FOUND_IN] = root
    return open_project(root)


def show(document: Any, text: str, *, as_json: bool) -> None:
    """Prints what a command reports: the document where one was asked for, else the text."""
    click.echo(json.dumps(document, indent=2) if as_json else text)


class Commands(click.Group):
    """Prints an error of ours as one message, and exits with its code."""

    def main(self, *args: Any, **options: Any) -> Any:
        prepare_streams()
        return super().main(*args, **options)

    def invoke(self, context: click.Context) -> Any:
        with interruption.ending_in_time(lambda: _last_words(context)):
            try:
                return self._invoke(context)
            except BaseException as error:
                # Whatever it has become on its way: what waited for the source fails as well.
                if not isinstance(error, KeyboardInterrupt) and not interruption.is_interrupted():
                    raise
                _print_error(context, {"what": _last_words(context)}, interruption.exit_code())
                interruption.say_once(_last_words(context))
                context.exit(interruption.exit_code())

    def _invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except SystemExit as ended:
            if ended.code:
                _tell_where_it_was_found(context)
            raise
        except LakefeedError as error:
            _end_with(context, error)
        except click.ClickException as error:
            # What stands where no argument belongs may be a URL with a password.
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
            told = _unexpected(error)
            _print_error(context, {"what": told}, EXIT_PARTLY_FAILED)
            click.echo(f"error: {told}", err=True)
            click.echo(f"  this is a fault of Lakefeed's own; {_TRACEBACK}=1 shows where", err=True)
            context.exit(EXIT_PARTLY_FAILED)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with its whole summary: click would cut it at the width of one line."""
        summaries = [
            (name, (command.help or "").partition("\n\n")[0].replace("\n", " "))
            for name, command in self.commands.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(summaries)

    def list_commands(self, _context: click.Context) -> list[str]:
        """In the order in which a newcomer needs them."""
        return list(self.commands)


def _unexpected(error: Exception) -> str:
    """The kind of an error that nobody thought of, and its words where they can hold no secret."""
    name, told = type(error).__name__, str(error)
    is_of_libpq = type(error).__module__.startswith("psycopg2") and not getattr(
        error, "pgcode", None
    )
    return name if is_of_libpq or _OF_A_CONNECTION.search(told) else f"{name}: {told}"


def _last_words(context: click.Context) -> str:
    """What is said of a command that was interrupted: never more than is true."""
    otherwise = _LEFT_BY.get(context.invoked_subcommand or "", "")
    done = interruption.what_was_done(otherwise)
    return f"interrupted; {done}" if done else "interrupted"


def _end_with(context: click.Context, error: LakefeedError) -> NoReturn:
    _print_error(context, error.as_json(), error.exit_code)
    click.echo(f"error: {error}", err=True)
    _tell_where_it_was_found(context)
    context.exit(error.exit_code)


def _tell_where_it_was_found(context: click.Context) -> None:
    """Lines of files are those of a project that isn't in the current folder."""
    if _FOUND_IN in context.meta:
        click.echo(f"  in the project {context.meta[_FOUND_IN]}", err=True)


def _print_error(context: click.Context, error: dict[str, str], exit_code: int) -> None:
    """The document of a command that failed, where one was asked for."""
    if context.meta.get(_WANTS_JSON):
        click.echo(json.dumps({"exit_code": exit_code, "error": error}, indent=2))
