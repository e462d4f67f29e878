"""The options of a load and its result, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.loading.plan.table_plan import Range
from lakefeed.loading.ranges.steps import Step, Steps
from lakefeed.loading.raw.load_manifest import Load


@dataclass(frozen=True)
class LoadOptions:
    """How this load differs from an ordinary one.

    `steps`: read only the next step, if the table can be read in steps.
    """

    full_refresh: bool = False
    backfill: Range | None = None
    allow_shrink: bool = False
    steps: Steps | None = None


@dataclass(frozen=True)
class LoadResult:
    """The result of loading one table. `committed` lists resumed loads first, then the new one.

    `step` is the step that was read if more follow; None if nothing is left to read.
    """

    rows_read: int
    rows: int
    deleted: int
    null_cursors: int
    checkpoint_before: str | None
    checkpoint: str | None
    committed: tuple[Load, ...]
    notes: tuple[str, ...]
    seconds: float
    step: Step | None = None
