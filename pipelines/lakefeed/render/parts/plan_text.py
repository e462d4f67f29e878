"""What a plan says, as plain text: for a terminal, and for the DAG's documentation in Airflow.

Imported while Airflow parses the DAG, so nothing here imports rich.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lakefeed.declaration.models.table_settings import LOG, ROW_VERSION
from lakefeed.wording import counted, data_size

if TYPE_CHECKING:
    from lakefeed.loading.forecast.planned_load import LoadPreview
    from lakefeed.orchestration.ingest.plan_parts import LongestStatement, SourceSessions

_WHY = {
    "first load": "first load",
    "no checkpoint": "no checkpoint yet",
    "another table": "another table now",
    "added column": "a column was added",
    "rewritten table": "the table was rewritten",
    "restored server": "the server was restored",
}
_FINDS_DELETED = "; all keys, to find deleted rows"


def reads(load: LoadPreview) -> str:
    """Which rows a load reads; where it isn't known from which value on, as declared."""
    also = _FINDS_DELETED if load.finds_deleted else ""
    if load.reads_whole:
        return f"all rows{also}"
    return (_reads_now(load) if load.reasons else _reads_each_time(load)) + also


def _reads_each_time(load: LoadPreview) -> str:
    if load.cursor == LOG:
        return "changes in the source's log since the last load"
    if load.cursor == ROW_VERSION:
        return f"rows written since the last load (`{ROW_VERSION}`)"
    start = f"{load.lookback} before the checkpoint" if load.lookback else "the checkpoint"
    return f"rows from {start} on, by `{load.cursor}`"


def _reads_now(load: LoadPreview) -> str:
    if load.cursor == LOG and "checkpoint" in load.reasons:
        return f"changes in the log since {load.checkpoint}"
    why = next((_WHY[reason] for reason in load.reasons if reason in _WHY), "")
    why += f", {load.ranges}" if load.ranges else ""
    if load.start is None:
        return f"all rows: {why}" if why else "all rows"
    until = f" to {load.end}" if load.end else ""
    return f"from {load.start}{until}{f': {why}' if why else ''}"


def followed_by(load: LoadPreview) -> str:
    """The models and tests downstream of a table, as far as dbt has listed them."""
    found = ((load.models, "model"), (load.tests, "test"))
    return ", ".join(counted(number, noun) for number, noun in found if number)


def cost_lines(
    longest: LongestStatement | None,
    sessions: Sequence[SourceSessions],
    compared: Sequence[LoadPreview] = (),
) -> Iterator[str]:
    """What the plan asks of the sources.

    Args:
        compared: the loads of which it is known what comparing their keys scans.
    """
    if longest:
        yield f"longest statement: {_statement(longest)}"
    for one in sessions:
        bound = f"`max_connections: {one.max_connections}`" if one.max_connections else ""
        if one.at_most is None:
            yield f"sessions on {one.source}: at most {one.max_connections} of all runs ({bound})"
        else:
            yield f"sessions on {one.source}: up to {one.at_most}{f' ({bound})' if bound else ''}"
    for load in compared:
        if keys := load.keys:
            count = "an unknown number of" if keys.keys is None else f"about {keys.keys:,}"
            scanned = "in an index" if keys.in_index else "the whole table"
            yield (
                f"{load.name} compares {count} keys, to find deleted rows: "
                f"{data_size(keys.size)}, {scanned}"
            )


def _statement(longest: LongestStatement) -> str:
    noun = "keys" if longest.compares_keys else "rows"
    what = "the keys of " if longest.compares_keys else ""
    rows = "" if longest.rows is None else f"about {longest.rows:,} {noun}, "
    of = f", one of {longest.parts} ranges" if longest.parts > 1 else ""
    does = "comparing" if longest.compares_keys else "reading"
    return f"{does} {what}{longest.table}, {rows}{data_size(longest.size)}{of}"


def build_lines(
    models: Sequence[str], tests: int, *, is_first: bool, most: int | None = None
) -> Iterator[str]:
    """What dbt would build, and when that is published; the models, if they are counted, last.

    Args:
        most: the number of models that are listed; None for all.
    """
    of_tests = f" with {counted(tests, 'test')}" if tests else ""
    if is_first:
        yield f"dbt would build all models{of_tests}, and publish them if their tests pass"
    elif models:
        yield (
            f"dbt would build and test up to {counted(len(models), 'model')}{of_tests}, "
            "downstream of tables with new rows, and publish them if their tests pass:"
        )
        more = len(models) - len(models[:most])
        rest = [f"and {more:,} more"] if more else []
        yield ", ".join([*models[:most], *rest])
    else:
        yield "dbt would build nothing"
