"""What `lakefeed cdc` has to do or to have done, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """Something that is missing and that Lakefeed doesn't do itself.

    Attributes:
        what: what is missing, and why it matters.
        do: what to do about it.
        sql: the statements for that, if there are any.
        about: the table that it is about; empty if it is the whole source.
    """

    what: str
    do: str
    sql: tuple[str, ...] = ()
    about: str = ""


@dataclass(frozen=True)
class Step:
    """Statements that belong together, and why.

    Attributes:
        on_primary: whether a standby can't run them.
    """

    why: str
    sql: tuple[str, ...]
    on_primary: bool = False


def statements_of(steps: Sequence[Step]) -> list[str]:
    """The statements of these steps, in order."""
    return [statement for step in steps for statement in step.sql]
