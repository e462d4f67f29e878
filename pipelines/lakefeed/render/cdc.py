"""How `lakefeed cdc` is printed: SQL, with everything else as its comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lakefeed.wording import counted, data_size, named

if TYPE_CHECKING:
    from lakefeed.orchestration.log.drop import SourceDrop
    from lakefeed.orchestration.log.setup import SourceSetup
    from lakefeed.orchestration.log.steps import Need, Step

_WIDTH = 100
_TO_APPLY = "to run this over the declared connection: lakefeed cdc {command}{source} --apply"


def render_setups(setups: Sequence[SourceSetup]) -> str:
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


def _setup(setup: SourceSetup) -> Iterator[str]:
    if setup.error:
        yield from _comment(f"{setup.source}: error: {setup.error}")
    plan = setup.plan
    for need in plan.needs:
        yield from _need(setup.source, "first, ", need)
    for need in plan.unfit:
        yield from _need(setup.source, "not published: ", need)
    yield from _steps(setup.source, plan.steps)
    for remark in plan.remarks:
        yield from _comment(f"{setup.source}: note: {remark}")
    if setup.applied:
        yield from _comment(f"{setup.source}: done")
    elif not (plan.steps or plan.needs or setup.error):
        yield from _comment(f"{setup.source}: nothing to do")
    elif plan.steps and not plan.needs and not setup.error:
        yield from _comment(_TO_APPLY.format(command="setup", source=f" --source {setup.source}"))


def _drop(drop: SourceDrop) -> Iterator[str]:
    if drop.error:
        yield from _comment(f"{drop.source}: error: {drop.error}")
    for need in drop.needs:
        yield from _need(drop.source, "first, ", need)
    yield from _steps(drop.source, drop.steps)
    if drop.retained and drop.steps:
        yield from _comment(f"{drop.source}: the slot holds back {data_size(drop.retained)}")
    if drop.steps and drop.tables:
        yield from _comment(
            f"{drop.source}: without the slot, {named(drop.tables)} can't be loaded; declare "
            "another cursor, or `cdc setup` again: either way the next load must read "
            f"{counted(len(drop.tables), 'table')} in full. What was loaded stays."
        )
    if drop.applied:
        yield from _comment(f"{drop.source}: done")
    elif not (drop.steps or drop.needs or drop.error):
        yield from _comment(f"{drop.source}: nothing to do")
    elif drop.steps and not drop.needs and not drop.error:
        yield from _comment(_TO_APPLY.format(command="drop", source=f" --source {drop.source}"))


def _need(source: str, why: str, need: Need) -> Iterator[str]:
    yield from _comment(f"{source}: {why}{need.what}")
    yield from _comment(f"  {need.do}")
    # These are for somebody else, or a decision, so they don't run with the rest.
    yield from (f"--   {statement}" for statement in need.sql)


def _steps(source: str, steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        yield from _comment(f"{source}: {step.why}")
        yield from step.sql


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
