"""How a load is asked for, and what it did: plain data."""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.loading.extract.steps import Step, Steps
from lakefeed.loading.plan.table_plan import Range
from lakefeed.loading.raw.load_manifest import Load


@dataclass(frozen=True)
class LoadOptions:
    """How this run differs from an ordinary one. `steps`: read one of them, where that is sound."""

    full_refresh: bool = False
    backfill: Range | None = None
    allow_shrink: bool = False
    steps: Steps | None = None


@dataclass(frozen=True)
class LoadResult:
    """What loading one table did. `committed` holds resumed loads first, then the new one.

    `step` is the one that was read, where more are to be read; None where that is all.
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
