"""`lakefeed check --data`: the newest loads of each table, held against the table's own past."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
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
    new_values,
    unlike_age,
    unlike_nulls,
    unlike_size,
    unlike_values,
    unlike_volumes,
)
from lakefeed.orchestration.checks.baselines import DAYS_BACK, LEAST_DAYS
from lakefeed.orchestration.checks.check import CheckReport
from lakefeed.source.inspection.types import lake_type

# However often a table is loaded, so many profiles are read: half of the newest two days, half of
# the weeks before.
_MOST_PROFILES = 500


@dataclass(frozen=True)
class _History:
    """The loads of a table, the oldest first: those of today and yesterday, and those before.

    `profiles` are those of its loads, or of a sample, by load id.
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
    """The report, and how the newest loads of every table compare with those before, as of now."""
    return replace(report, data=check_data(project, dt.datetime.now(dt.UTC)))


def check_data(project: Project, now: dt.datetime) -> DataReport:
    """Holds every table against its own past. Reads raw alone; changes nothing."""
    unlike: list[Anomaly] = []
    young = 0
    with engine_for(project) as engine:
        for table in project.tables:
            history = _history_of(project, table, now)
            if _is_young(history, now):
                young += 1
            else:
                unlike += _unlike(history, engine, now)
    return DataReport(tuple(unlike), young)


def sampled(newest: Sequence[Load], before: Sequence[Load], most: int) -> list[Load]:
    """The last half of `most` of the newest loads, and as many of those before, evenly spread."""
    half = most // 2
    step = max(1, -(-len(before) // half))
    return [*before[::step], *newest[-half:]]


def _history_of(project: Project, table: Table, now: dt.datetime) -> _History:
    log = CommitLog(project.raw_url, table.lake_name)
    loads = sorted(log.loads(), key=lambda load: load.loaded_at)
    yesterday = now.astimezone(dt.UTC).date() - dt.timedelta(1)
    newest = tuple(load for load in loads if load.loaded_at.date() >= yesterday)
    before = tuple(loads[: len(loads) - len(newest)])
    recent = [load for load in before if now - load.loaded_at <= dt.timedelta(DAYS_BACK)]
    chosen = sampled(newest, recent, _MOST_PROFILES)
    profiles = log.profiles({load.load_id for load in chosen})
    return _History(table, log, newest, before, profiles)


def _is_young(history: _History, now: dt.datetime) -> bool:
    loads = history.loads
    return not loads or now - loads[0].loaded_at < dt.timedelta(LEAST_DAYS)


def _unlike(history: _History, engine: DuckDBPyConnection, now: dt.datetime) -> Iterator[Anomaly]:
    shown, loads = history.table.shown, history.loads
    yield from unlike_age(shown, [one.loaded_at for one in loads if one.rows + one.deleted], now)
    if history.table.mode == "full_refresh":
        yield from unlike_size(shown, [load.rows for load in loads if load.supersedes])
    else:
        yield from unlike_volumes(shown, _arrivals(loads), loads[0].loaded_at, now)
    for column, counts in _nulls_by_day(history).items():
        yield from unlike_nulls(shown, column, _judged_day(counts, now), counts)
    for column in _categories(history):
        yield from unlike_values(shown, column, _new_values(history, engine, column))


def _arrivals(loads: Sequence[Load]) -> list[Arrival]:
    """What came by itself: neither a first load nor a full refresh nor a backfill, which don't say
    how much arrives. None of these continues a checkpoint.
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
    """Today, where enough rows came already; else yesterday."""
    today = now.astimezone(dt.UTC).date()
    has_enough = counts.get(today, (0, 0))[1] >= LEAST_ROWS
    return today if has_enough else today - dt.timedelta(1)


def _categories(history: _History) -> list[str]:
    """Columns of text that never had many values in one load."""
    profiles = history.profiles.values()
    catalogue = history.table.catalogue
    return [
        column.name
        for column in (catalogue.columns if catalogue else ())
        if lake_type(column.type).duckdb == "varchar" and column.name not in history.table.key
        if all(_has_few_values(profile, column.name) for profile in profiles)
    ]


def _has_few_values(profile: Profile, column: str) -> bool:
    """Whether this load says so, or doesn't have the column."""
    found = profile.columns.get(column)
    return found is None or (found.distinct is not None and found.distinct <= MOST_CATEGORIES)


def _new_values(history: _History, engine: DuckDBPyConnection, column: str) -> list[str]:
    """New values of a column of categories.

    Whether there may be any is told from the largest loads; that a value is new, from all.
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
