"""The trigger form, and what a run loads of each table: new rows, all rows, or a range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from lakefeed.dag.docs import plan_of
from lakefeed.dag.names import loads_of
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import DeclarationError
from lakefeed.transformation.manifest import Model

if TYPE_CHECKING:
    from lakefeed.loading.plan.table_plan import Range
    from lakefeed.orchestration.ingest.load_request import LoadRequest


# Lets the form refuse obvious mistakes: dates, timestamps and integers all start with a digit.
_BOUND = r"^(-?\d+|\d{4}-?\d\d-?\d\d[-0-9T:.,WZ+ ]*)?$"
# The form's other fields are below the list.
_MOST_IN_FORM = 12
_BOUND_NAMES = ("start", "end")


def form_of(project: Project, tables: Sequence[Table], models: Sequence[Model]) -> dict[str, Param]:
    """The fields of the trigger form of a DAG that loads these tables; models as in `plan_of`."""
    choices = list(_choices(tables))
    text = ["null", "string"]
    return {
        "tables": Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": choices},
            examples=choices,
            title="Tables",
            description_md="Load only these tables. Leave empty to load all.\n\n"
            f"{plan_of(project, tables, models, most=_MOST_IN_FORM)}",
        ),
        "full_refresh": Param(
            False,
            type="boolean",
            title="Full refresh",
            description="Read the whole tables, whatever their mode.",
        ),
        "start": Param(
            None,
            type=text,
            pattern=_BOUND,
            title="Start",
            description="Reload from this cursor value on, such as 2026-01-31. The checkpoint "
            "doesn't change.",
        ),
        "end": Param(
            None,
            type=text,
            pattern=_BOUND,
            title="End",
            description="Reload up to, but not including, this cursor value. Requires a start.",
        ),
    }


def _choices(tables: Sequence[Table]) -> Iterable[str]:
    """The values that `--select` accepts: tables, tags, and sources if there are several."""
    yield from (table.shown for table in tables)
    sources = list(dict.fromkeys(table.source for table in tables))
    if len(sources) > 1:
        yield from sources
    tags = {tag for table in tables for tag in table.settings.tags}
    yield from (f"tag:{tag}" for tag in sorted(tags))


def request_of(project: Project, names: Sequence[str], context: Mapping[str, Any]) -> LoadRequest:
    """What this run loads of these tables; tables that it doesn't load are left out.

    Raises:
        AirflowSkipException: it loads none of them.
        DeclarationError: the run's parameters are wrong. Only the first load task raises it, so
            that it is reported once; the others are skipped.
    """
    from lakefeed.orchestration.ingest.load_request import LoadRequest

    params = context["params"]
    since, until = params["start"] or None, params["end"] or None
    if since is None and context["dag_run"].run_type == "backfill":
        since = context["data_interval_start"].isoformat()
        until = context["data_interval_end"].isoformat()
    try:
        asked, chosen = _parse(project, params, since, until)
    except DeclarationError:
        loads = loads_of(project, context["dag_run"].dag_id)
        first, tables = next(iter(loads.items()), (names[0], ()))
        if not tables or tables[0].lake_name in names:
            raise
        raise AirflowSkipException(
            f"the run's parameters are invalid; see the log of {first}"
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
    from lakefeed.orchestration.project.selection import select_active

    full_refresh = params["full_refresh"]
    asked = parse_range(since, until, full_refresh=full_refresh, names=_BOUND_NAMES)
    return asked, select_active(project, params["tables"] or [], option="tables: ")


def _reason_to_leave_out(
    table: Table, chosen: Sequence[Table], range_is_number: bool | None
) -> str:
    """Why a run doesn't load this table; empty if it does.

    Args:
        range_is_number: whether the run's range is of numbers; None if it has no range.
    """
    from lakefeed.source.inspection.types import cursor_kind

    if table.is_paused:
        return f"{table.shown} is paused (`enabled: false`)"
    if table not in chosen:
        return f"{table.shown} isn't selected for this run"
    if range_is_number is None:
        return ""
    if table.cursor is None:
        return f"{table.shown} has no cursor column, so it can't be reloaded by range"
    known = table.catalogue.column(table.cursor.columns[0]) if table.catalogue else None
    if known is not None and (cursor_kind(known.type) == "number") != range_is_number:
        return f"this range doesn't apply to {table.shown}: its cursor is of type {known.type}"
    return ""
