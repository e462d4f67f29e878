"""Backfills: `--since` and `--until` reload a range of the cursor without moving the checkpoint."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from lakefeed.errors import DeclarationError, TableFailed
from lakefeed.loading.plan.cursors import CursorValue, as_cursor_value, in_zone
from lakefeed.loading.plan.table_plan import Range, TablePlan


def parse_range(
    since: str | None,
    until: str | None,
    *,
    full_refresh: bool = False,
    names: tuple[str, str] = ("--since", "--until"),
) -> Range | None:
    """Parses the requested range, before any table is known; None if none was requested.

    Args:
        names: the names of the two bounds in error messages.

    Raises:
        DeclarationError: `since` is missing, a bound is neither a number nor a time, the order is
            wrong, or the range is combined with a full refresh.
    """
    if since is None and until is None:
        return None
    if full_refresh:
        raise DeclarationError(
            "a range can't be combined with a full refresh", do="use only one of them"
        )
    low, high = names
    if since is None:
        raise DeclarationError(f"{high} requires {low}", do=f"add the start of the range: {low}")
    start = _parse_bound(low, since)
    end = None if until is None else _parse_bound(high, until)
    if end is not None and not _is_before(start, end):
        raise DeclarationError(
            f"{low} {since} isn't before {high} {until}",
            do=f"the range runs from {low} (inclusive) to {high} (exclusive)",
        )
    return Range(start, end)


def range_of_table(plan: TablePlan, asked: Range | None) -> Range | None:
    """Converts the range to the type of this table's cursor.

    Raises:
        TableFailed: the table has no cursor column, or its type doesn't match the range.
    """
    if asked is None:
        return None
    if plan.cursor is None or plan.cursor_kind is None:
        raise TableFailed(
            f"{plan.table.shown} has no cursor column, so it can't load a range",
            where=plan.table.where,
            do="exclude it with --select, or run without --since and --until",
        )
    if isinstance(asked.since, int) != (plan.cursor_kind == "number"):
        wanted = "integers" if plan.cursor_kind == "number" else "dates or times"
        raise TableFailed(
            f"the cursor `{plan.cursor.name}` of {plan.table.shown} is {plan.cursor.type}: "
            f"--since and --until must be {wanted}",
            where=plan.table.where_of("cursor"),
            do="load tables with this kind of cursor separately, with --select",
        )
    zone = ZoneInfo(plan.cursor_zone)
    return Range(
        as_cursor_value(in_zone(asked.since, zone), plan.cursor_kind),
        as_cursor_value(in_zone(asked.until, zone), plan.cursor_kind),
    )


def _parse_bound(flag: str, text: str) -> CursorValue:
    """An integer, or an ISO 8601 date or time (without an offset: in the cursor's time zone)."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise DeclarationError(
            f"{flag} {text}: expected a time such as 2026-01-31 or 2026-01-31T08:00, or a number"
        ) from None


def _is_before(start: CursorValue, end: CursorValue) -> bool:
    if isinstance(start, dt.datetime) and isinstance(end, dt.datetime):
        return in_zone(start, ZoneInfo("UTC")) < in_zone(end, ZoneInfo("UTC"))
    return isinstance(start, int) and isinstance(end, int) and start < end
