"""The environment that a project runs in, and the variables that it sets.

An environment is a name, in `LAKEFEED_ENV` or `--env`, and a file of variables: `.env.prod`.
Without one, the file is `.env`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from lakefeed.errors import DeclarationError

VARIABLE = "LAKEFEED_ENV"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def environment() -> str:
    """The name of the environment; empty without one."""
    return os.environ.get(VARIABLE, "")


def variables_file(root: Path) -> Path:
    """The file with the variables of the project in `root`."""
    name = environment()
    return root / (f".env.{name}" if name else ".env")


def data_folder(root: Path) -> Path:
    """The folder of what runs keep beside raw and the warehouse; each environment has its own."""
    name, folder = environment(), root / "data"
    return folder / "environments" / name if name else folder


def refuse_unknown_environment(root: Path) -> None:
    """Refuses an environment that the project in `root` doesn't have.

    Raises:
        DeclarationError: its name can't be part of a file name, or there is no file of this name.
    """
    name, path = environment(), variables_file(root)
    if name and not _NAME.fullmatch(name):
        raise DeclarationError(
            f"the environment `{name}`: invalid name", do="use letters, digits, `_`, `-` and `.`"
        )
    if name and not path.is_file():
        others = sorted(file.name for file in root.glob(".env.*"))
        there = f", or use one of those that are there: {', '.join(others)}" if others else ""
        raise DeclarationError(
            f"the environment `{name}` has no file {path.name} in {root}",
            do=f"create it (it may be empty if all variables are exported){there}",
        )


def unset_variable(name: str) -> str:
    """The message about a setting whose variable isn't set."""
    return (
        f"the variable {name} isn't set; add it to {variables_file(Path()).name}, export it, or "
        f"give it a default: ${{{name}:-…}}"
    )


def variables_of(root: Path) -> dict[str, str | None]:
    """The variables of the project in `root`: those of its file, overridden by the environment's.

    Raises:
        DeclarationError: the file isn't valid UTF-8.
    """
    # Imported late, since most declarations are read without it.
    from lakefeed.declaration.environment.env_file import read_variables

    return {**read_variables(variables_file(root)), **os.environ}
