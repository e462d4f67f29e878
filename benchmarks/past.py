"""Lakes with many past loads against fresh ones of the same tables: `past-loads` and `past-runs`.

As a program, `python -m benchmarks.past NAME PROJECT`, it makes a past: each load is real.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.again import Lake, changed, loaded_lake, nothing_new
from benchmarks.lakefeed import VARIABLE, declare, lakefeed
from benchmarks.place import Place
from benchmarks.process import Command, run_measured
from benchmarks.rounds import Step
from benchmarks.source import Source, ensure_database
from benchmarks.tables import CURSOR, Table

_ROWS = 1_000
_ROWS_A_LOAD = 10
_MAKING_SECONDS = 3_600
_FRESH = "Lakefeed, fresh lake"


def _events(name: str) -> Table:
    return Table(name, {"id": "integer", "note": "text", CURSOR: "timestamptz"}, ("id",))


@dataclass(frozen=True)
class Past:
    """A past: how many loads each table has behind it, and which command is measured on them.

    `runs` is how many of the loads dbt follows, where the command is `run`.
    """

    tables: tuple[Table, ...]
    loads: int
    command: str
    history: bool = False
    runs: int = 0

    @property
    def too_many(self) -> int:
        """A lake is made anew once measuring has added this many."""
        return self.loads + self.loads // 5


PASTS = {
    "past": Past((_events("events"),), 500, "load"),
    "past_runs": Past(tuple(_events(f"events_{n}") for n in range(10)), 200, "run", True, 20),
}


def past_loads_case(server: Source, place: Place, _scale: float, _only_ours: bool) -> list[Step]:
    """The same delta and the same nothing, in a lake of hundreds of loads and in one of one."""
    return _case("past", server, place)


def past_runs_case(server: Source, place: Place, _scale: float, _only_ours: bool) -> list[Step]:
    """The same with ten tables that keep their history, and with dbt."""
    return _case("past_runs", server, place)


def _case(name: str, server: Source, place: Place) -> list[Step]:
    past, source = PASTS[name], ensure_database(server, name)
    old = _old_lake(name, source, place)
    fresh = Lake(place.fresh(f"lake-without-{name}"), source, past.tables, past.command)
    fresh = loaded_lake(fresh, history=past.history)
    tables = f" in each of {len(past.tables)} tables" if len(past.tables) > 1 else ""
    delta, nothing, told = (
        f"{_ROWS_A_LOAD} rows changed{tables}",
        f"nothing new{tables}",
        f"Lakefeed, {past.loads} past loads",
    )
    return [
        changed(delta, fresh, partial(_change, source, past), _FRESH, base=True),
        # The same rows: both lakes have yet to hear of them.
        changed(delta, old, partial(_newest, source, past), told),
        nothing_new(nothing, fresh, _FRESH, base=True),
        nothing_new(nothing, old, told),
    ]


def loads_of(root: Path, table: Table) -> int:
    """How many loads of a table the lake of a project committed."""
    raw = root / "data" / "raw" / f"bench__{table.name}"
    return len(list((raw / "_dlt_loads").glob("*.jsonl")))


def make_past(past: Past, root: Path) -> None:
    """Changes a few rows and loads them, until there were as many loads; in this one process."""
    from lakefeed.declaration.project import open_project
    from lakefeed.orchestration.ingest.load import load
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.run import run

    source = Source(os.environ[VARIABLE], 0)
    begun = min(loads_of(root, table) for table in past.tables)
    for number in range(begun, past.loads):
        first = number * _ROWS_A_LOAD % _ROWS
        for table in past.tables:
            source.execute(
                f"update {table.name} set note = 'load {number}', {CURSOR} = "
                f"timestamptz '2025-01-01 00:00Z' + {number} * interval '1 h' "
                f"where id > {first} and id <= {first + _ROWS_A_LOAD}"
            )
        builds = past.runs and (number + 1) % (past.loads // past.runs) == 0
        project, request = open_project(root), LoadRequest()
        report = run(project, request) if builds else load(project, request)[1]
        if report.exit_code:
            raise RuntimeError(f"load {number} failed: {report}")


def _old_lake(name: str, source: Source, place: Place) -> Lake:
    """The lake with a past: kept, since it takes minutes to make."""
    past = PASTS[name]
    lake = Lake(place.lake(name), source, past.tables, past.command)
    done = loads_of(lake.root, past.tables[0])
    if not source.has(past.tables[0].name) or not done or done > past.too_many:
        _remake(name, lake, place)
    environment = lakefeed(lake.root, source).environment
    arguments: list[str | Path] = [sys.executable, "-m", "benchmarks.past", name, lake.root]
    usage = run_measured(Command(arguments, lake.root, environment), _MAKING_SECONDS)
    if usage.error:
        raise RuntimeError(f"{usage.error}\n{usage.output}")
    return lake


def _remake(name: str, lake: Lake, place: Place) -> None:
    place.drop_lake(name)
    for table in lake.tables:
        lake.source.execute(
            f"drop table if exists {table.name}",
            f"create table {table.name} as select n as id, 'first' as note, "
            f"timestamptz '2024-12-31 00:00Z' as {CURSOR} from generate_series(1, {_ROWS}) as n",
            f"alter table {table.name} add primary key (id)",
            f"create index on {table.name} ({CURSOR})",
            f"vacuum (analyze) {table.name}",
        )
    declare(lake.root, lake.tables, history=PASTS[name].history)


def _change(source: Source, past: Past) -> str:
    for table in past.tables:
        source.execute(
            f"update {table.name} set note = md5(note), {CURSOR} = now() where id <= {_ROWS_A_LOAD}"
        )
    return _newest(source, past)


def _newest(source: Source, past: Past) -> str:
    (moment,) = source.row(f"select max({CURSOR})::text from {past.tables[0].name}")
    return f"{CURSOR} = timestamptz '{moment}'"


if __name__ == "__main__":
    make_past(PASTS[sys.argv[1]], Path(sys.argv[2]))
