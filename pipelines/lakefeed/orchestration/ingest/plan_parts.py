"""What a plan says besides its loads: sessions, the longest statement, and what follows a table.

Plain data and pure functions. Imported while Airflow parses the DAG, so nothing here imports dlt,
DuckDB or psycopg2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from lakefeed.declaration.models.table_settings import LOG
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.loading.forecast.planned_load import LoadPreview, declared_load
from lakefeed.transformation.manifest import Model, tables_above

# The costs of a page and of a row in the planner's unit, by its defaults
# (https://www.postgresql.org/docs/current/runtime-config-query.html).
_PAGE_BYTES, _ROW_COST = 8192, 0.01
# The session that keeps the slot, and the one that the log arrives in.
_SESSIONS_OF_LOG = 2


@dataclass(frozen=True)
class SourceSessions:
    """The sessions that a run opens on a source.

    Attributes:
        at_most: the largest number at the same time; None if that depends on where it runs.
        max_connections: how many all runs together may have; None for any number.
    """

    source: str
    at_most: int | None
    max_connections: int | None


@dataclass(frozen=True)
class LongestStatement:
    """The statement of a run that takes its source the longest, by the planner's costs.

    Attributes:
        rows, size: what it reads; rows are None where the source has no statistics.
        compares_keys: whether it compares all keys, to find deleted rows.
        parts: into how many statements the same table's rows are split; 1 for none.
    """

    table: str
    rows: int | None
    size: int
    compares_keys: bool = False
    parts: int = 1


def declared_loads(tables: Sequence[Table], models: Sequence[Model]) -> list[LoadPreview]:
    """What is known of the next loads without a connection."""
    return with_followers([declared_load(table) for table in tables], models)


def with_followers(loads: Sequence[LoadPreview], models: Sequence[Model]) -> list[LoadPreview]:
    """The same loads, with the number of models and tests downstream of each.

    Args:
        models: all models of the project, upstream first.
    """
    below: dict[str, list[Model]] = {load.lake_name: [] for load in loads}
    above = tables_above(models)
    for model in (model for model in models if not model.is_seed):
        for lake_name in above[model.name] & below.keys():
            below[lake_name].append(model)
    return [
        replace(
            load,
            models=len(below[load.lake_name]),
            tests=len({test for model in below[load.lake_name] for test in model.tests}),
        )
        for load in loads
    ]


def declared_sessions(project: Project, tables: Iterable[Table]) -> tuple[SourceSessions, ...]:
    """The sources of these tables that bound the sessions of all runs."""
    bounds = {table.source: project.source(table.source).max_connections for table in tables}
    return tuple(SourceSessions(name, None, most) for name, most in bounds.items() if most)


def sessions_of(
    project: Project, loads: Iterable[LoadPreview], readers: int
) -> tuple[SourceSessions, ...]:
    """The sessions that a run with these loads opens on each source.

    Args:
        readers: how many read at the same time, for tables without `parallel`.
    """
    by_source: dict[str, list[tuple[Table, LoadPreview]]] = {}
    for load in loads:
        table = project.table(load.lake_name)
        by_source.setdefault(table.source, []).append((table, load))
    return tuple(
        SourceSessions(
            source,
            _sessions(pairs, readers, most := project.source(source).max_connections),
            most,
        )
        for source, pairs in by_source.items()
    )


def _sessions(pairs: Sequence[tuple[Table, LoadPreview]], readers: int, most: int | None) -> int:
    """One that keeps the snapshot, those that read, and those of the log."""
    at_once = max([readers, *(table.settings.parallel or 0 for table, _ in pairs)])
    count = 1 + min(at_once, sum(load.statements for _, load in pairs))
    of_log = _SESSIONS_OF_LOG if any(load.cursor == LOG for _, load in pairs) else 0
    return min(count, most or count) + of_log


def longest_of(loads: Iterable[LoadPreview]) -> LongestStatement | None:
    """The longest statement of these loads; None if there is no estimate of any."""
    costs = [cost for load in loads for cost in _costs(load)]
    return max(costs, key=lambda cost: cost[0])[1] if costs else None


def _costs(load: LoadPreview) -> Iterator[tuple[float, LongestStatement]]:
    estimate, keys, parts = load.estimate, load.keys, load.statements
    if estimate:
        rows, size = estimate.rows // parts, estimate.size // parts
        yield estimate.cost / parts, LongestStatement(load.name, rows, size, parts=parts)
    if keys:
        cost = keys.size / _PAGE_BYTES + (keys.keys or 0) * _ROW_COST
        yield cost, LongestStatement(load.name, keys.keys, keys.size, compares_keys=True)
