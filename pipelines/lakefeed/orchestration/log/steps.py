"""What `lakefeed cdc` has to do or to have done for a source, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED, LakefeedError
from lakefeed.source.connections.connection import Connection
from lakefeed.source.replication.running import run_statements

T = TypeVar("T", bound="Outcome")


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


@dataclass(frozen=True)
class Plan:
    """What is to be done for one source.

    Attributes:
        needs: what must be done elsewhere or by somebody else first; nothing is run before.
        unfit: what keeps single tables from being published; the others are.
        steps: the statements, in order.
        remarks: what should be known.
    """

    needs: tuple[Need, ...] = ()
    unfit: tuple[Need, ...] = ()
    steps: tuple[Step, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def statements(self) -> list[str]:
        """The statements of its steps, in order."""
        return [statement for step in self.steps for statement in step.sql]


@dataclass(frozen=True)
class Outcome:
    """What is to be done for a source, and whether it was.

    Attributes:
        applied: whether the steps of the plan were run.
        error: why the source couldn't be looked at, or the steps not run.
    """

    source: str
    plan: Plan = field(default_factory=Plan)
    applied: bool = False
    error: LakefeedError | None = None

    @property
    def exit_code(self) -> int:
        """1 if something else must be done first, or a table can't be published."""
        if self.error:
            return self.error.exit_code
        return EXIT_PARTLY_FAILED if self.plan.needs or self.plan.unfit else EXIT_OK

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON types, for `--json`."""
        error = self.error.as_json() if self.error else None
        fields = {**asdict(self), **asdict(self.plan), "error": error}
        return {name: value for name, value in fields.items() if name != "plan"}


def with_steps_run(outcome: T, connection: Connection) -> T:
    """Runs the steps of a plan, unless something else must be done first.

    Side effects: those of its statements, on the source.

    Raises: as `run_statements`.
    """
    if not outcome.plan.steps or outcome.plan.needs:
        return outcome
    run_statements(connection, outcome.plan.statements)
    return replace(outcome, applied=True)
