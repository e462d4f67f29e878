"""How a load is asked for, and what it did: plain data."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.loading.description import Load
from pipelines.loading.plan import Range


@dataclass(frozen=True)
class LoadOptions:
    """How this run differs from an ordinary one."""

    full_refresh: bool = False
    backfill: Range | None = None
    allow_shrink: bool = False


@dataclass(frozen=True)
class LoadOutcome:
    """What loading one table did. `committed` holds resumed loads first, then the new one."""

    rows_read: int
    rows: int
    deleted: int
    null_cursors: int
    checkpoint_before: str | None
    checkpoint: str | None
    committed: tuple[Load, ...]
    notes: tuple[str, ...]
    seconds: float
