"""Where the values of variables come from: the environment first, then `.env`."""

from __future__ import annotations

import os
from pathlib import Path


def variables_file(root: Path) -> Path:
    """The file of the project in `root` that sets variables."""
    return root / ".env"


def unset_variable(name: str) -> str:
    """The message about a setting whose variable isn't set."""
    return (
        f"the variable {name} isn't set; add it to .env, export it, or give it a default: "
        f"${{{name}:-…}}"
    )


def variables_of(root: Path) -> dict[str, str | None]:
    """The variables of the project in `root`: those of its file, overridden by the environment's.

    Raises:
        DeclarationError: the file isn't valid UTF-8.
    """
    # Imported late, since most declarations are read without it.
    from lakefeed.declaration.environment.env_file import read_variables

    return {**read_variables(variables_file(root)), **os.environ}
