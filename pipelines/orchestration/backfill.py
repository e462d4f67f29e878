"""`--since` and `--until`: a range of the cursor to load again, leaving the checkpoint alone."""

from __future__ import annotations

import datetime as dt

from pipelines.errors import DeclarationError, TableFailed
from pipelines.loading.cursors import CursorValue, as_cursor_value
from pipelines.loading.plan import Range, TablePlan
from pipelines.source.types import CursorKind


def backfill_range(plan: TablePlan, since: str | None, until: str | None) -> Range | None:
    """The range for this table; None where none was asked for.

    Raises:
        TableFailed: the table has no cursor to take a range of.
        DeclarationError: the texts aren't values of its cursor, or stand in the wrong order.
    """
    if since is None and until is None:
        return None
    if since is None:
        raise DeclarationError("--until needs --since", do="say where the range begins: --since")
    if plan.cursor_kind is None:
        raise TableFailed(
            f"{plan.table.shown} is read whole each time, so it has no range to load",
            where=plan.table.where,
            do="leave it out of --select, or run without --since and --until",
        )
    start = parse_bound("--since", since, plan.cursor_kind)
    end = parse_bound("--until", until, plan.cursor_kind) if until else None
    if end is not None and not start < end:  # type: ignore[operator]
        raise DeclarationError(f"--since {since} isn't before --until {until}")
    return Range(start, end)


def parse_bound(flag: str, text: str, kind: CursorKind) -> CursorValue:
    """A whole number, or an ISO 8601 date or timestamp (in UTC where it names no zone)."""
    try:
        if kind == "number":
            return int(text)
        value = as_cursor_value(dt.datetime.fromisoformat(text), kind)
    except ValueError:
        wanted = "a whole number" if kind == "number" else "a date or time such as 2026-01-31T08:00"
        raise DeclarationError(f"{flag} {text}: expected {wanted}") from None
    assert value is not None
    return value
