"""How `lakefeed cdc` is printed: SQL, with everything else as its comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lakefeed.wording import counted, data_size, named

if TYPE_CHECKING:
    from lakefeed.orchestration.log.drop import SourceDrop
    from lakefeed.orchestration.log.steps import Need, Outcome

_WIDTH = 100
_TO_APPLY = "to run this over the declared connection: lakefeed cdc {command}{source} --apply"


def render_setups(setups: Sequence[Outcome]) -> str:
    """The statements that are missing, or what was run; and what must be done first."""
    if not setups:
        return (
            "-- no table has `cursor: wal`; to remove what was set up for earlier ones: "
            "lakefeed cdc drop"
        )
    return "\n\n".join("\n".join(_setup(setup)) for setup in setups)


def render_drops(drops: Sequence[SourceDrop]) -> str:
    """The statements that remove slots and publications, or what was removed."""
    return "\n\n".join("\n".join(_drop(drop)) for drop in drops)


def render_leftover(found: SourceDrop) -> str:
    """A reminder of a slot or a publication that nothing reads any more."""
    kept = f", which holds back {data_size(found.retained)} of the log" if found.retained else ""
    has_slot = found.retained is not None
    what = f"its slot{kept}" if has_slot else "its publication"
    return (
        f"no table of `{found.source}` has `cursor: wal`, but {what} is still there; to remove it: "
        f"lakefeed cdc drop --source {found.source} --apply"
    )


def _setup(setup: Outcome) -> Iterator[str]:
    notes = [f"{setup.source}: note: {remark}" for remark in setup.plan.remarks]
    yield from _outcome(setup, "setup", notes)


def _drop(drop: SourceDrop) -> Iterator[str]:
    notes = []
    if drop.retained and drop.plan.steps:
        notes.append(f"{drop.source}: the slot holds back {data_size(drop.retained)}")
    if drop.plan.steps and drop.is_of_others:
        notes.append(
            f"{drop.source}: something has read the slot, but never this project: if another one "
            "does, its tables must be read in full afterwards"
        )
    if drop.plan.steps and drop.tables:
        notes.append(
            f"{drop.source}: without the slot, {named(drop.tables)} can't be loaded; declare "
            "another cursor, or `cdc setup` again: either way the next load must read "
            f"{counted(len(drop.tables), 'table')} in full. What was loaded stays."
        )
    yield from _outcome(drop, "drop", notes)


def _outcome(outcome: Outcome, command: str, notes: Sequence[str]) -> Iterator[str]:
    source, plan, error = outcome.source, outcome.plan, outcome.error
    if error:
        yield from _comment(f"{source}: error: {error}")
    for need in plan.needs:
        yield from _need(source, "first, ", need)
    for need in plan.unfit:
        yield from _need(source, "not published: ", need)
    for step in plan.steps:
        yield from _comment(f"{source}: {step.why}")
        yield from step.sql
    for note in notes:
        yield from _comment(note)
    if outcome.applied:
        yield from _comment(f"{source}: done")
    elif not (plan.steps or plan.needs or error):
        yield from _comment(f"{source}: nothing to do")
    elif plan.steps and not plan.needs and not error:
        yield from _comment(_TO_APPLY.format(command=command, source=f" --source {source}"))


def _need(source: str, why: str, need: Need) -> Iterator[str]:
    yield from _comment(f"{source}: {why}{need.what}")
    yield from _comment(f"  {need.do}")
    # These are for somebody else, or a decision, so they don't run with the rest.
    yield from (f"--   {statement}" for statement in need.sql)


def _comment(text: str) -> list[str]:
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(
            line.lstrip(),
            _WIDTH,
            initial_indent=f"-- {indent}",
            subsequent_indent=f"--   {indent}",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
