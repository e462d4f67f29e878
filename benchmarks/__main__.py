"""`make bench` and `make bench-guard`."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import cache

import click
from rich.console import Console

from benchmarks.again import nothing_new_case
from benchmarks.by_log import log_case, log_server
from benchmarks.engines import engines_case
from benchmarks.hourly import hourly_case
from benchmarks.machine import describe_commit, describe_machine
from benchmarks.many_tables import many_tables_case
from benchmarks.past import past_loads_case, past_runs_case
from benchmarks.place import REPOSITORY, Place
from benchmarks.record import (
    SHORTEST_BASE,
    TOLERANCE,
    Record,
    ratios_of,
    read_records,
    regressions,
    write_record,
)
from benchmarks.rounds import Row, Step, measure
from benchmarks.scale import scale_case
from benchmarks.side_by_side import big_case, lineitem_case, many_case, wide_case
from benchmarks.source import Source, running_source
from benchmarks.table import markdown, terminal, with_section
from benchmarks.watch import Watch

CASES: dict[str, Callable[[Source, Place, float, bool], list[Step]]] = {
    "hourly": hourly_case,
    "lineitem": lineitem_case,
    "big": big_case,
    "wide": wide_case,
    "many": many_case,
    "five-hundred": many_tables_case,
    "nothing-new": nothing_new_case,
    "past-loads": past_loads_case,
    "past-runs": past_runs_case,
    "engines": engines_case,
    "scale": scale_case,
    "log": log_case,
}
# Those that need a server of their own.
SERVERS: dict[str, Callable[[Place], AbstractContextManager[Source]]] = {"log": log_server}
PAGE = REPOSITORY / "docs" / "benchmarks.md"
RECORDED = REPOSITORY / "benchmarks" / "recorded.json"
# The scale at which results are worth keeping.
_RECORDED_SCALE = 1.0

_OPTIONS = (
    click.option("--cases", default=" ".join(CASES), show_default=True, help="Which to run."),
    click.option("--scale", type=float, default=1.0, show_default=True, help="1 is 6M lineitems."),
    click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True),
)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def main() -> None:
    """Lakefeed beside other ways of reading PostgreSQL."""


@main.command()
@_options
@click.option("--record/--no-record", default=None, help="Default: at scale 1 only.")
def run(cases: str, scale: float, rounds: int, record: bool | None) -> None:
    """Measure all contenders; write docs/benchmarks.md and recorded.json."""
    console = _console()
    kept = scale == _RECORDED_SCALE if record is None else record
    with _bench(scale, rounds, console) as measured:
        for case in _chosen(cases):
            rows = measured(case, False)
            console.print(terminal(case, rows))
            if kept:
                _keep(case, rows, scale, rounds)
    where = "docs/benchmarks.md and benchmarks/recorded.json" if kept else "nowhere: not scale 1"
    console.print(f"written: {where}")


@main.command()
@_options
def guard(cases: str, scale: float, rounds: int) -> None:
    """Measure Lakefeed and its bases; exit with 1 where a ratio is worse than recorded."""
    console = _console()
    records = read_records(RECORDED)
    worse: list[str] = []
    with _bench(scale, rounds, console) as measured:
        for case in _chosen(cases):
            record = records.get(case)
            if record is None or record.scale != scale:
                click.echo(f"{case}: nothing is recorded at scale {scale:g}; run: make bench")
                continue
            if record.machine != describe_machine():
                click.echo(f"{case}: recorded on another machine, {record.machine}")
            rows = measured(case, True)
            console.print(terminal(case, rows))
            worse += [f"{case}: {one}" for one in regressions(record.ratios, ratios_of(rows))]
    for one in worse:
        click.echo(f"slower than recorded: {one}", err=True)
    click.echo(f"{len(worse)} ratios worse than recorded by more than {TOLERANCE:.0%}")
    sys.exit(1 if worse else 0)


@contextmanager
def _bench(
    scale: float, rounds: int, console: Console
) -> Iterator[Callable[[str, bool], list[Row]]]:
    """Gives what measures one case, while the server is up."""
    place = Place()
    with ExitStack() as shared:
        common = cache(lambda: shared.enter_context(running_source(place.server)))

        def measured(case: str, only_ours: bool) -> list[Row]:
            console.print(f"{case}: making its tables, unless they are there")
            with ExitStack() as own:
                server = own.enter_context(SERVERS[case](place)) if case in SERVERS else common()
                watch = own.enter_context(closing(Watch(server)))
                steps = CASES[case](server, place, scale, only_ours)
                server.execute("checkpoint")
                return measure(steps, rounds, watch, console.print)

        try:
            yield measured
        finally:
            place.drop_runs()


def _console() -> Console:
    """Wide enough for the tables where the output is a file."""
    console = Console(stderr=True)
    return console if console.is_terminal else Console(stderr=True, width=170)


def _chosen(cases: str) -> Sequence[str]:
    chosen = cases.replace(",", " ").split()
    unknown = [case for case in chosen if case not in CASES]
    if unknown:
        raise click.BadParameter(f"no case `{unknown[0]}`; there are: {', '.join(CASES)}")
    return chosen


def _keep(case: str, rows: Sequence[Row], scale: float, rounds: int) -> None:
    date, commit, machine = dt.date.today().isoformat(), describe_commit(), describe_machine()
    ratios = ratios_of(rows, shortest_base=SHORTEST_BASE)
    write_record(RECORDED, case, Record(date, commit, machine, scale, ratios))
    command = f"make bench CASES={case} SCALE={scale:g} ROUNDS={rounds}"
    head = f"{date}, commit {commit}, {machine}. Again: `{command}`"
    page = with_section(PAGE.read_text(encoding="utf-8"), case, f"{head}\n\n{markdown(rows)}")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
