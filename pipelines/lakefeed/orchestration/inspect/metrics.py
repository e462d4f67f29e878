"""`lakefeed metrics`: what is known of a lake, as Prometheus gauges.

Times are given as timestamps rather than ages, as Prometheus recommends: `time() - timestamp` is
right whenever it is asked, also when the metrics themselves have become old.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lakefeed import __version__
from lakefeed.loading.raw.late_arrivals import clock_of
from lakefeed.orchestration.inspect.overview import ModelOverview, Overview, TableOverview
from lakefeed.orchestration.log.slot_states import SlotState
from lakefeed.orchestration.reports.run_history import KeptRun, TableOutcome

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sample:
    """One value of a metric, and the labels that tell it apart: pairs of name and value."""

    labels: Labels
    value: float


@dataclass(frozen=True)
class Metric:
    """A gauge with its description and samples."""

    name: str
    help: str
    samples: tuple[Sample, ...]


def metrics(seen: Overview) -> list[Metric]:
    """The gauges of a lake. One without a value, such as the age of no load, is left out."""
    found = (
        *_of_warehouse(seen),
        *_of_tables(seen),
        *_of_models(seen),
        *_of_runs(seen),
        *_of_slots(seen),
    )
    lake: Labels = (("project", seen.name),)
    if seen.environment:
        lake += (("environment", seen.environment),)
    return [
        Metric(
            metric.name,
            metric.help,
            tuple(Sample((*lake, *s.labels), s.value) for s in metric.samples),
        )
        for metric in found
        if metric.samples
    ]


def _of_warehouse(seen: Overview) -> Iterator[Metric]:
    yield Metric(
        "lakefeed_build_info",
        "The version of Lakefeed that wrote these metrics.",
        (Sample((("version", __version__),), 1.0),),
    )
    yield _single(
        "lakefeed_warehouse_published_timestamp_seconds",
        "When the warehouse was last published.",
        _seconds(seen.published_at),
    )
    yield _single(
        "lakefeed_warehouse_unreadable",
        "Whether the warehouse could not be read; metrics from it are missing then.",
        bool(seen.unread),
    )
    yield _single(
        "lakefeed_warehouse_rolled_back",
        "Whether the warehouse is rolled back, so that runs don't build.",
        bool(seen.rolled_back),
    )


# Of each table: name, description, and the value.
_TABLES: tuple[tuple[str, str, Callable[[TableOverview], float | None]], ...] = (
    ("rows", "Rows in the staging model.", lambda t: t.status.staged_rows),
    ("raw_rows", "Rows in raw, one for each version of a row.", lambda t: t.status.raw_rows),
    ("raw_files", "Data files in raw.", lambda t: t.status.files),
    ("loads", "Committed loads; 0 if the table was never loaded.", lambda t: t.status.loads),
    (
        "newest_load_timestamp_seconds",
        "When the newest load was committed.",
        lambda t: _seconds_in(t.status.last_load),
    ),
    (
        "newest_load_rows",
        "Rows of the newest load.",
        lambda t: t.status.last_load_rows if t.status.last_load else None,
    ),
    (
        "complete_through_timestamp_seconds",
        "Time up to which all commits of the source are in the warehouse.",
        lambda t: _seconds(t.standing.complete_through) if t.standing else None,
    ),
    (
        "checkpoint_timestamp_seconds",
        "The checkpoint, if the cursor is a time.",
        lambda t: _seconds_in(t.status.checkpoint) if clock_of(t.table) else None,
    ),
    (
        "late_rows",
        "Late rows in the last 500 loads: those that only the lookback caught.",
        lambda t: t.lateness.late if t.lateness else None,
    ),
    (
        "late_rows_beyond_lookback",
        "Late rows in the last 500 loads that arrived after the lookback.",
        lambda t: t.lateness.beyond if t.lateness else None,
    ),
    (
        "unreadable",
        "Whether a file in raw can't be read.",
        lambda t: bool(t.unread),
    ),
    ("paused", "Whether the table is paused, so that it isn't loaded.", lambda t: t.status.paused),
)
# Of each table's part in the last run that loaded it.
_LOADS: tuple[tuple[str, str, Callable[[TableOutcome], float]], ...] = (
    ("last_run_failed", "Whether the table's latest load failed.", lambda o: bool(o.error)),
    ("last_run_duration_seconds", "How long the table's latest load took.", lambda o: o.seconds),
)


def _of_tables(seen: Overview) -> Iterator[Metric]:
    for name, text, value in _TABLES:
        values = ((_labels_of(found), value(found)) for found in seen.tables)
        yield _metric(f"lakefeed_table_{name}", text, values)
    # Of a paused table, neither its age nor how its last load ended is of any concern.
    loading = [found for found in seen.tables if not found.status.paused]
    limits = (
        ((*_labels_of(found), ("severity", severity)), limit.total_seconds())
        for found in loading
        if (bounds := found.table.settings.freshness)
        for severity, limit in (("warn", bounds.warn_after), ("error", bounds.error_after))
        if limit is not None
    )
    yield _metric(
        "lakefeed_table_freshness_limit_seconds",
        "The declared freshness: the greatest allowed age of the newest load.",
        limits,
    )
    outcomes = {outcome.name: outcome for run in seen.runs for outcome in run.tables}
    for name, text, value_of in _LOADS:
        values = (
            (_labels_of(found), value_of(outcomes[found.table.shown]))
            for found in loading
            if found.table.shown in outcomes
        )
        yield _metric(f"lakefeed_table_{name}", text, values)


_MODELS: tuple[tuple[str, str, Callable[[ModelOverview], float | None]], ...] = (
    ("rows", "Rows of the model; views aren't counted.", lambda m: m.rows),
    (
        "complete_through_timestamp_seconds",
        "Time up to which all commits of the tables upstream are in the model.",
        lambda m: _seconds(m.standing.complete_through) if m.standing else None,
    ),
    (
        "held_back",
        "Whether the model is held back at an earlier version, although newer data is there.",
        lambda m: bool(m.standing.held) if m.standing else None,
    ),
)


def _of_models(seen: Overview) -> Iterator[Metric]:
    for name, text, value in _MODELS:
        values = (((("model", found.model.name),), value(found)) for found in seen.models)
        yield _metric(f"lakefeed_model_{name}", text, values)
    counts = Counter(
        "fail" if result.test.failed else result.test.status for result in seen.test_results
    )
    counts["never_ran"] = seen.never_ran
    yield _metric(
        "lakefeed_tests",
        "Tests by their latest result: pass, warn, fail or never_ran.",
        (((("result", r),), counts[r]) for r in ("pass", "warn", "fail", "never_ran")),
    )


# Of the newest run: name, description, and the value.
_RUN: tuple[tuple[str, str, Callable[[KeptRun], float]], ...] = (
    (
        "start_timestamp_seconds",
        "When the last run, load, build or rebuild started.",
        lambda run: run.started_at.timestamp(),
    ),
    ("duration_seconds", "How long the last run took.", lambda run: run.seconds),
    (
        "failed",
        "Whether any of the last run failed or was refused.",
        lambda run: bool(run.exit_code),
    ),
    ("rows", "Rows that the last run wrote to raw.", lambda run: run.rows),
    ("tables", "Tables that the last run set out to load.", lambda run: len(run.tables)),
    (
        "failed_tables",
        "Tables that the last run failed to load.",
        lambda run: sum(bool(table.error) for table in run.tables),
    ),
)


def _of_runs(seen: Overview) -> Iterator[Metric]:
    for name, text, value in _RUN if seen.runs else ():
        yield _single(f"lakefeed_last_run_{name}", text, value(seen.runs[-1]))
    yield _single(
        "lakefeed_last_success_start_timestamp_seconds",
        "When the last run without a failure started.",
        _last_success(seen.runs),
    )


# Of each slot: name, description, and the value.
_SLOTS: tuple[tuple[str, str, Callable[[SlotState], float | None]], ...] = (
    ("retained_bytes", "What the slot holds back of the source's log.", lambda s: s.retained),
    ("safe_bytes", "What can still be written before the slot is lost.", lambda s: s.safe),
    ("max_bytes", "What it may hold back for a table that fails.", lambda s: s.max_wal),
    (
        "unreadable",
        "Whether the slot is missing, lost, or can't be looked at.",
        lambda s: bool(s.problem),
    ),
)


def _of_slots(seen: Overview) -> Iterator[Metric]:
    for name, text, value in _SLOTS:
        values = (((("source", s.source), ("slot", s.slot)), value(s)) for s in seen.slots)
        yield _metric(f"lakefeed_slot_{name}", text, values)
    idle = (
        ((("source", s.source), ("slot", s.slot)), seen.made_at.timestamp() - s.idle_seconds)
        for s in seen.slots
        if s.idle_seconds is not None
    )
    yield _metric(
        "lakefeed_slot_last_read_timestamp_seconds",
        "When the slot was last read or advanced, from PostgreSQL 17 on.",
        idle,
    )


def _last_success(runs: Sequence[KeptRun]) -> float | None:
    return next((r.started_at.timestamp() for r in reversed(runs) if not r.exit_code), None)


def _single(name: str, text: str, value: float | None) -> Metric:
    return _metric(name, text, [((), value)])


def _metric(name: str, text: str, values: Iterable[tuple[Labels, float | None]]) -> Metric:
    known = (Sample(labels, float(value)) for labels, value in values if value is not None)
    return Metric(name, text, tuple(known))


def _labels_of(seen: TableOverview) -> Labels:
    return (("source", seen.table.source), ("table", seen.table.short_name))


def _seconds_in(text: str | None) -> float | None:
    """The seconds of a time in ISO format, in UTC if it has no zone; None if it is none."""
    try:
        return _seconds(dt.datetime.fromisoformat(text)) if text else None
    except ValueError:
        # Such as `infinity`, or a year before Christ.
        return None


def _seconds(time: dt.datetime | None) -> float | None:
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp()
