"""`lakefeed check --data`: compares each table's newest loads with the table's own past."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.distinct_values import seen_in, values_in
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.profile import Profile
from lakefeed.loading.sessions.duckdb_engine import engine_for
from lakefeed.orchestration.checks.anomalies import (
    LEAST_ROWS,
    MOST_CATEGORIES,
    Anomaly,
    Arrival,
    DataReport,
    age_anomalies,
    new_values,
    null_anomalies,
    size_anomalies,
    value_anomalies,
    volume_anomalies,
)
from lakefeed.orchestration.checks.baselines import DAYS_BACK, LEAST_DAYS
from lakefeed.orchestration.checks.check import CheckReport
from lakefeed.source.inspection.types import lake_type

# At most this many profiles are read, however often a table is loaded: half from the newest two
# days, half from the weeks before.
_MOST_PROFILES = 500


@dataclass(frozen=True)
class _History:
    """A table's loads, oldest first: `newest` are those since yesterday, `before` all others.

    `profiles` are the profiles of the loads, or of a sample of them, by load id.
    """

    table: Table
    log: CommitLog
    newest: tuple[Load, ...]
    before: tuple[Load, ...]
    profiles: Mapping[str, Profile]

    @property
    def loads(self) -> tuple[Load, ...]:
        return self.before + self.newest


def with_data(project: Project, report: CheckReport) -> CheckReport:
    """The report with the anomalies in every table's newest loads added."""
    return replace(report, data=check_data(project, dt.datetime.now(dt.UTC)))


def check_data(project: Project, now: dt.datetime) -> DataReport:
    """Compares every table with its own past. Reads only raw; changes nothing."""
    anomalies: list[Anomaly] = []
    young = 0
    with engine_for(project) as engine:
        for table in project.active:
            history = _history_of(project, table, now)
            if _is_young(history, now):
                young += 1
            else:
                anomalies += _anomalies(history, engine, now)
    return DataReport(tuple(anomalies), young)


def sampled(newest: Sequence[Load], before: Sequence[Load], most: int) -> list[Load]:
    """At most `most` loads: half of them the newest, half evenly spread over those before."""
    half = most // 2
    step = max(1, -(-len(before) // half))
    return [*before[::step], *newest[-half:]]


def _history_of(project: Project, table: Table, now: dt.datetime) -> _History:
    log = CommitLog(project.raw, table.lake_name)
    loads = sorted(log.loads(), key=lambda load: load.loaded_at)
    yesterday = now.astimezone(dt.UTC).date() - dt.timedelta(1)
    newest = tuple(load for load in loads if load.loaded_at.date() >= yesterday)
    before = tuple(loads[: len(loads) - len(newest)])
    recent = [load for load in before if now - load.loaded_at <= dt.timedelta(DAYS_BACK)]
    chosen = sampled(newest, recent, _MOST_PROFILES)
    profiles = log.profiles({load.load_id for load in chosen})
    return _History(table=table, log=log, newest=newest, before=before, profiles=profiles)


def _is_young(history: _History, now: dt.datetime) -> bool:
    loads = history.loads
    return not loads or now - loads[0].loaded_at < dt.timedelta(LEAST_DAYS)


def _anomalies(
    history: _History, engine: DuckDBPyConnection, now: dt.datetime
) -> Iterator[Anomaly]:
    name, loads = history.table.shown, history.loads
    with_changes = [load.loaded_at for load in loads if load.rows + load.deleted]
    yield from age_anomalies(name, with_changes, now)
    if history.table.mode == "full_refresh":
        yield from size_anomalies(name, [load.rows for load in loads if load.is_whole])
    else:
        yield from volume_anomalies(name, _arrivals(loads), loads[0].loaded_at, now)
    for column, counts in _nulls_by_day(history).items():
        yield from null_anomalies(name, column, _judged_day(counts, now), counts)
    for column in _categorical_columns(history):
        yield from value_anomalies(name, column, _new_values(history, engine, column))


def _arrivals(loads: Sequence[Load]) -> list[Arrival]:
    """The loads that continue a checkpoint.

    First loads, full refreshes and backfills don't: their size says nothing of how much arrives.
    """
    return [
        Arrival(load.loaded_at, load.rows)
        for load in loads
        if load.checkpoint_before is not None and not load.supersedes
    ]


def _nulls_by_day(history: _History) -> dict[str, dict[dt.date, tuple[int, int]]]:
    """Nulls and rows of each column, by day."""
    counts: dict[str, dict[dt.date, tuple[int, int]]] = {}
    for load in history.loads:
        profile = history.profiles.get(load.load_id)
        for name, column in profile.columns.items() if profile else ():
            days = counts.setdefault(name, {})
            nulls, rows = days.get(load.loaded_at.date(), (0, 0))
            assert profile is not None
            days[load.loaded_at.date()] = (nulls + column.nulls, rows + profile.rows)
    return counts


def _judged_day(counts: Mapping[dt.date, tuple[int, int]], now: dt.datetime) -> dt.date:
    """Today if enough rows have arrived already, else yesterday."""
    today = now.astimezone(dt.UTC).date()
    has_enough = counts.get(today, (0, 0))[1] >= LEAST_ROWS
    return today if has_enough else today - dt.timedelta(1)


def _categorical_columns(history: _History) -> list[str]:
    """Text columns that never had many distinct values in a load."""
    profiles = history.profiles.values()
    catalogue = history.table.catalogue
    return [
        column.name
        for column in (catalogue.columns if catalogue else ())
        if lake_type(history.table.as_loaded(column).type).duckdb == "varchar"
        if column.name not in history.table.key
        if all(_has_few_values(profile, column.name) for profile in profiles)
    ]


def _has_few_values(profile: Profile, column: str) -> bool:
    """Whether the column has few distinct values in this load, or isn't in it."""
    found = profile.columns.get(column)
    return found is None or (found.distinct is not None and found.distinct <= MOST_CATEGORIES)


def _new_values(history: _History, engine: DuckDBPyConnection, column: str) -> list[str]:
    """The new values of a categorical column.

    The largest loads show whether it is stable; a value counts as new only if no load has it.
    """
    log, before = history.log, history.before
    largest = sorted(before, key=lambda load: load.rows, reverse=True)[:_MOST_PROFILES]
    chosen = sorted(largest, key=lambda load: load.loaded_at)
    half = len(chosen) // 2
    first, then, newest = (
        values_in(engine, log, loads, column, MOST_CATEGORIES)
        for loads in (chosen[:half], chosen[half:], history.newest)
    )
    rows = sum(load.rows for load in chosen)
    found = new_values(first, then, newest, rows)
    return sorted(set(found) - seen_in(engine, log, before, column, found))
