"""A lake with many past loads against a fresh one, of the same table. The case `past-loads`.

As a program, `python -m benchmarks.past PROJECT LOADS`, it makes the past: each load is real.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from benchmarks.again import Lake, changed, loaded_lake, nothing_new
from benchmarks.lakefeed import VARIABLE, declare, lakefeed
from benchmarks.place import Place
from benchmarks.process import Command, run_measured
from benchmarks.rounds import Step
from benchmarks.source import Source, ensure_database
from benchmarks.tables import CURSOR, Table

PAST_LOADS = 500
_TOO_MANY = PAST_LOADS + 100
_ROWS = 1_000
_ROWS_A_LOAD = 10
_MAKING_SECONDS = 1_800
_EVENTS = Table("events", {"id": "integer", "note": "text", CURSOR: "timestamptz"}, ("id",))
_FRESH = "Lakefeed, fresh lake"


def past_loads_case(server: Source, place: Place, _scale: float, _only_ours: bool) -> list[Step]:
    """The same delta and the same nothing, in a lake of hundreds of loads and in one of one."""
    source = ensure_database(server, "past")
    old = _old_lake(source, place)
    fresh = loaded_lake(Lake(place.fresh("lake-without-past"), source, (_EVENTS,)))
    past = f"Lakefeed, {PAST_LOADS} past loads"
    delta, nothing = f"{_ROWS_A_LOAD} rows changed", "nothing new"
    return [
        changed(delta, fresh, partial(_change, source), _FRESH, base=True),
        # The same rows: both lakes have yet to hear of them.
        changed(delta, old, partial(_newest, source), past),
        nothing_new(nothing, fresh, _FRESH, base=True),
        nothing_new(nothing, old, past),
    ]


def loads_of(root: Path) -> int:
    """How many loads the lake of a project committed."""
    return len(list((root / "data" / "raw" / "bench__events" / "_dlt_loads").glob("*.jsonl")))


def make_past(root: Path, loads: int) -> None:
    """Changes a few rows and loads them, until there were as many loads; in this one process."""
    from pipelines.declaration.project import open_project
    from pipelines.orchestration.load import LoadRequest, load

    source = Source(os.environ[VARIABLE], 0)
    for number in range(loads_of(root), loads):
        first = number * _ROWS_A_LOAD % _ROWS
        source.execute(
            f"update events set note = 'load {number}', {CURSOR} = "
            f"timestamptz '2025-01-01 00:00Z' + {number} * interval '1 h' "
            f"where id > {first} and id <= {first + _ROWS_A_LOAD}"
        )
        _, report = load(open_project(root), LoadRequest())
        if report.exit_code:
            raise RuntimeError(f"load {number} failed: {report}")


def _old_lake(source: Source, place: Place) -> Lake:
    """The lake with a past: kept, since it takes minutes to make."""
    lake = Lake(place.lake("past"), source, (_EVENTS,))
    done = loads_of(lake.root)
    if not source.has("events") or not done or done > _TOO_MANY:
        _remake(lake, place)
    making = lakefeed(lake.root, source)
    arguments: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.past",
        lake.root,
        str(PAST_LOADS),
    ]
    usage = run_measured(Command(arguments, lake.root, making.environment), _MAKING_SECONDS)
    if usage.error:
        raise RuntimeError(f"{usage.error}\n{usage.output}")
    return lake


def _remake(lake: Lake, place: Place) -> None:
    place.drop_lake("past")
    lake.source.execute(
        "drop table if exists events",
        f"create table events as select n as id, 'first' as note, "
        f"timestamptz '2024-12-31 00:00Z' as {CURSOR} from generate_series(1, {_ROWS}) as n",
        "alter table events add primary key (id)",
        f"create index on events ({CURSOR})",
        "vacuum (analyze) events",
    )
    declare(lake.root, lake.tables)


def _change(source: Source) -> str:
    source.execute(
        f"update events set note = md5(note), {CURSOR} = now() where id <= {_ROWS_A_LOAD}"
    )
    return _newest(source)


def _newest(source: Source) -> str:
    (moment,) = source.row(f"select max({CURSOR})::text from events")
    return f"{CURSOR} = timestamptz '{moment}'"


if __name__ == "__main__":
    make_past(Path(sys.argv[1]), int(sys.argv[2]))
