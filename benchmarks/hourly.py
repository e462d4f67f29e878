"""The run that happens every hour: load, staging, tests and publication. The case `hourly`.

Lakefeed beside dlt and dbt glued by hand, each on a database of its own with the same rows, for ten
tables and for fifty: the first run, and runs after a hundred others, with rows changed in none, in
one and in all of the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import by_hand
from benchmarks.again import must
from benchmarks.contender import Copy
from benchmarks.fidelity import compare, fingerprint_source, open_copy
from benchmarks.hourly_past import RUNS_A_BUILD
from benchmarks.lakefeed import declare, lakefeed
from benchmarks.peers import package_version
from benchmarks.place import Place
from benchmarks.process import Command
from benchmarks.rounds import Checked, Step
from benchmarks.source import Source, ensure_database
from benchmarks.tables import CURSOR, Table
from lakefeed import __version__

_ROWS = 1_000
_CHANGED_ROWS = 10
_PAST_RUNS = 100
_SIZES = (10, 50)
_MAKING_SECONDS = 3_600
_LIMIT_SECONDS = 600
_FLOOR = "dbt --version; import dlt"
_COLUMNS = "n as id, 'first' as note, n / 100.0::numeric(15,2) as amount"


@dataclass(frozen=True)
class Tool:
    """A way of doing the whole job.

    `write` makes its project for these tables in a folder, `run` is one run of it; tables that are
    given are those that changed, for a tool that must be told. `past` makes a number of runs in one
    process. `staged` is where a table's rows are afterwards.
    """

    name: str
    version: str
    write: Callable[[Path, Sequence[Table]], None]
    run: Callable[[Path, Source, Sequence[Table]], Command]
    past: Callable[[Path, Source, int], Command]
    staged: Callable[[Path, Table], Copy]


@dataclass(frozen=True)
class Project:
    """A tool's project over a database of its own."""

    tool: Tool
    source: Source
    tables: tuple[Table, ...]
    root: Path


def hourly_case(server: Source, place: Place, scale: float, only_ours: bool) -> list[Step]:
    """First runs, then runs on a lake with a past.

    Args:
        scale: 1 is a hundred past runs.
    """
    past = max(RUNS_A_BUILD, round(_PAST_RUNS * min(scale, 1.0)))
    steps: list[Step] = []
    for size in _SIZES:
        tables = tuple(events_table(number) for number in range(size))
        tools = (_by_hand(place), lakefeed_tool())
        first = [_fresh(server, place, tool, tables) for tool in tools]
        steps += _first_runs(f"{size} tables, first run", first, place)
        grown = [_with_past(server, place, tool, tables, past) for tool in tools]
        for changed in (0, 1, size):
            steps += _runs(grown, changed, place, only_ours=only_ours)
    return steps


def events_table(number: int) -> Table:
    return Table(
        f"events_{number}",
        {"id": "integer", "note": "text", "amount": "numeric", CURSOR: "timestamptz"},
        ("id",),
    )


def lakefeed_tool() -> Tool:
    return Tool(
        "Lakefeed",
        __version__,
        declare,
        lambda root, source, _changed: lakefeed(root, source, "run"),
        lambda root, source, runs: Command(
            [sys.executable, "-m", "benchmarks.hourly_past", root, str(runs)],
            root,
            lakefeed(root, source).environment,
        ),
        lambda root, table: Copy(
            f"copies.staging.stg_bench__{table.name}", root / "data" / "warehouse.duckdb"
        ),
    )


def _by_hand(place: Place) -> Tool:
    return Tool(
        "dlt + dbt by hand",
        package_version(place, by_hand.ENVIRONMENT, "dlt"),
        by_hand.write_project,
        partial(by_hand.run, place),
        partial(by_hand.past, place),
        by_hand.staged,
    )


def _fresh(server: Source, place: Place, tool: Tool, tables: tuple[Table, ...]) -> Project:
    """A project that each run begins anew."""
    name = _name(tool, tables, "first")
    source = ensure_database(server, name)
    ensure_tables(source, tables)
    return Project(tool, source, tables, place.root / "runs" / name)


def _with_past(
    server: Source, place: Place, tool: Tool, tables: tuple[Table, ...], runs: int
) -> Project:
    """A project with so many runs behind it; kept, since it takes minutes to make."""
    name = _name(tool, tables, "past")
    project = Project(tool, ensure_database(server, name), tables, place.lake(name))
    made = project.root / f"past-{runs}"
    if not made.exists() or not project.source.has(tables[0].name):
        place.drop_lake(name)
        project.source.execute(*(f"drop table if exists {table.name}" for table in tables))
        ensure_tables(project.source, tables)
        tool.write(project.root, tables)
        must(tool.past(project.root, project.source, runs), _MAKING_SECONDS)
        made.touch()
    return project


def _name(tool: Tool, tables: Sequence[Table], what: str) -> str:
    short = "by_hand" if "hand" in tool.name else "lakefeed"
    return f"hourly_{short}_{len(tables)}_{what}"


def ensure_tables(source: Source, tables: Sequence[Table]) -> None:
    for table in tables:
        if not source.has(table.name):
            source.execute(
                f"create table {table.name} as select {_COLUMNS}, "
                f"timestamptz '2024-12-31 00:00Z' as {CURSOR} from generate_series(1, {_ROWS}) n",
                f"alter table {table.name} add primary key (id), "
                f"alter column amount type numeric(15,2)",
                f"create index on {table.name} ({CURSOR})",
                f"vacuum (analyze) {table.name}",
            )


def _floor(group: str, place: Place) -> Step:
    """What importing both tools takes, which no run with dbt can be without."""
    programs = (
        place.program(by_hand.ENVIRONMENT, "python"),
        place.program(by_hand.ENVIRONMENT, "dbt"),
    )
    script = '"$0" -c "import dlt" && "$1" --version'
    command = Command(["sh", "-c", script, *programs], place.fresh("floor"))
    return Step(group, _FLOOR, "", lambda: command, None)


def _first_runs(group: str, projects: Sequence[Project], place: Place) -> Iterator[Step]:
    yield _floor(group, place)
    for project in projects:

        def start(project: Project = project) -> Command:
            place.fresh(project.root.name)
            project.tool.write(project.root, project.tables)
            return project.tool.run(project.root, project.source, ())

        yield checked_step(group, project, start, is_base=project is projects[0])


def _runs(
    projects: Sequence[Project], changed: int, place: Place, *, only_ours: bool
) -> Iterator[Step]:
    size = len(projects[0].tables)
    which = {0: "nothing changed", size: "rows changed in all"}.get(changed, "rows changed in one")
    group = f"{size} tables, {which}"
    if not only_ours:
        yield _floor(group, place)
    hand, ours = projects
    is_some = 0 < changed < size
    if is_some and not only_ours:
        yield checked_step(group, hand, partial(changed_run, hand, changed), name=hand.tool.name)
    name = f"{hand.tool.name}, one model selected" if is_some else hand.tool.name
    start = partial(changed_run, hand, changed, tells=is_some)
    yield checked_step(group, hand, start, name=name, is_base=True)
    yield checked_step(group, ours, partial(changed_run, ours, changed))


def changed_run(project: Project, changed: int, *, tells: bool = False) -> Command:
    """Changes rows just before, and gives the run that finds them."""
    tables = project.tables[:changed]
    project.source.execute(
        *(
            f"update {table.name} set note = md5(note), {CURSOR} = now() "
            f"where id <= {_CHANGED_ROWS}"
            for table in tables
        )
    )
    return project.tool.run(project.root, project.source, tables if tells else ())


def checked_step(
    group: str,
    project: Project,
    start: Callable[[], Command],
    *,
    name: str = "",
    is_base: bool = False,
    limit_seconds: float = _LIMIT_SECONDS,
) -> Step:
    """A run after which every table's staging is compared with the source, value by value."""
    tool = project.tool
    return Step(
        group,
        name or tool.name,
        tool.version,
        start,
        partial(_check, project),
        is_base,
        limit_seconds=limit_seconds,
    )


def _check(project: Project) -> Checked:
    """Every table's staging against the source, value by value."""
    found: dict[str, None] = {}
    for table in project.tables:
        staged = project.tool.staged(project.root, table)
        with closing(open_copy(staged)) as session:
            fingerprint = fingerprint_source(project.source, table)
            found[compare(session, fingerprint, table, staged)] = None
    return Checked(0, "; ".join(one for one in found if one))
