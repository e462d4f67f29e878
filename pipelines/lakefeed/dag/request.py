"""The trigger form, and what a run asks of each table: what is new, all of it, or a range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from lakefeed.dag.names import loads_of
from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import DeclarationError

if TYPE_CHECKING:
    from lakefeed.loading.plan.table_plan import Range
    from lakefeed.orchestration.ingest.load import LoadRequest


# Starts with a digit, as a date, a time or a whole number does: the form refuses the rest at once.
_BOUND = r"^(-?\d+|\d{4}-?\d\d-?\d\d[-0-9T:.,WZ+ ]*)?$"
_BOUND_NAMES = ("start", "end")


def form_of(project: Project) -> dict[str, Param]:
    """The fields of the trigger form."""
    choices = list(_choices(project))
    text = ["null", "string"]
    return {
        "tables": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": choices},
            examples=choices,
            title="Tables",
            description="Load these alone. None chosen means all.",
        ),
        "full_refresh": Param(
            False,
            type="boolean",
            title="Full refresh",
            description="Read the tables whole, whatever their mode.",
        ),
        "start": Param(
            None,
            type=text,
            pattern=_BOUND,
            title="Start",
            description="Load again from this cursor value on, such as 2026-01-31. Leaves the "
            "checkpoint alone.",
        ),
        "end": Param(
            None,
            type=text,
            pattern=_BOUND,
            title="End",
            description="Load again up to, not including, this cursor value. Needs a start.",
        ),
    }


def _choices(project: Project) -> Iterable[str]:
    """What `--select` takes as well: tables, sources where there are several, tags."""
    yield from (table.shown for table in project.tables)
    if len(project.declaration.sources) > 1:
        yield from project.declaration.sources
    tags = {tag for table in project.tables for tag in table.settings.tags}
    yield from (f"tag:{tag}" for tag in sorted(tags))


def request_of(project: Project, names: Sequence[str], context: Mapping[str, Any]) -> LoadRequest:
    """What this run asks of these tables; those that it leaves out are not in the request.

    Raises:
        AirflowSkipException: it asks nothing of any of them.
        DeclarationError: the run's parameters are wrong. Only the task of the first tables says so,
            since the mistake is one; the others are skipped.
    """
    from lakefeed.orchestration.ingest.load import LoadRequest

    params = context["params"]
    since, until = params["start"] or None, params["end"] or None
    if since is None and context["dag_run"].run_type == "backfill":
        since = context["data_interval_start"].isoformat()
        until = context["data_interval_end"].isoformat()
    try:
        asked, chosen = _parse(project, params, since, until)
    except DeclarationError:
        first, tables = next(iter(loads_of(project).items()))
        if tables[0].lake_name in names:
            raise
        raise AirflowSkipException(
            f"the run's parameters are wrong: see the log of {first}"
        ) from None
    is_number = isinstance(asked.since, int) if asked else None
    left_out = {
        name: reason
        for name in names
        if (reason := _reason_to_leave_out(project.table(name), chosen, is_number))
    }
    if len(left_out) == len(names):
        raise AirflowSkipException("; ".join(left_out.values()))
    select = tuple(name for name in names if name not in left_out)
    return LoadRequest(select, full_refresh=params["full_refresh"], since=since, until=until)


def _parse(
    project: Project, params: Mapping[str, Any], since: str | None, until: str | None
) -> tuple[Range | None, Sequence[Table]]:
    from lakefeed.loading.plan.backfill import parse_range
    from lakefeed.orchestration.project.selection import select_tables

    full_refresh = params["full_refresh"]
    asked = parse_range(since, until, full_refresh=full_refresh, names=_BOUND_NAMES)
    return asked, select_tables(project, params["tables"] or [], option="tables: ")


def _reason_to_leave_out(
    table: Table, chosen: Sequence[Table], range_is_number: bool | None
) -> str:
    """Why a run asks nothing of this table; empty where it does. No range is None."""
    from lakefeed.source.inspection.types import cursor_kind

    if table not in chosen:
        return f"{table.shown} isn't among the tables of this run"
    if range_is_number is None:
        return ""
    if table.cursor is None:
        return f"{table.shown} has no cursor column: it has no range"
    known = table.catalogue.column(table.cursor.column) if table.catalogue else None
    if known is not None and (cursor_kind(known.type) == "number") != range_is_number:
        return f"the cursor of {table.shown} is {known.type}; this range doesn't apply to it"
    return ""
