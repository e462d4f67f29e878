"""Which folder is meant where none is named: the project around it, as git and cargo do it."""

from __future__ import annotations

from pathlib import Path

from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.errors import DeclarationError


def nearest_root() -> Path:
    """The nearest folder with a declaration, the current one or one around it; else the current.

    Raises:
        DeclarationError: the current folder was removed.
    """
    try:
        here = Path().resolve()
    except FileNotFoundError:
        raise DeclarationError(
            "the current folder was removed", do="go to another, or name the project: --project"
        ) from None
    around = (folder for folder in (here, *here.parents) if (folder / DECLARATION_FILE).exists())
    return next(around, here)
