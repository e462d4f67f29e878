"""Finds the project that contains the current folder, as git and cargo do."""

from __future__ import annotations

from pathlib import Path

from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.errors import DeclarationError


def nearest_root() -> Path:
    """The current folder or its nearest parent that has a declaration; otherwise the current one.

    Raises:
        DeclarationError: the current folder doesn't exist any more.
    """
    try:
        here = Path().resolve()
    except FileNotFoundError:
        raise DeclarationError(
            "the current folder no longer exists",
            do="change to another folder, or pass the project folder: --project DIR",
        ) from None
    roots = (folder for folder in (here, *here.parents) if (folder / DECLARATION_FILE).exists())
    return next(roots, here)
