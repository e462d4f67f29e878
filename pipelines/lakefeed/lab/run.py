"""`lakefeed lab`: is anything lost or doubled, as declared, when everything goes wrong?

The source is only read: its schema, and some rows of each declared table. Writers, runs and kills
work on a scratch database, with a lake of their own in `data/lab`.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from lakefeed.declaration.project import Project, open_project
from lakefeed.demo.server import embedded_postgres, require_server
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED
from lakefeed.lab.kill import lakefeed, lakefeed_perhaps_killed
from lakefeed.lab.project import Lab, drop_databases, open_lab
from lakefeed.lab.writers import writing
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.loading.reconcile import lost_and_doubled
from lakefeed.orchestration.checks.audit import at_one_snapshot, attach_staging
from lakefeed.render.report import console

_MOST_TRANSACTIONS_BETWEEN_RUNS = 10
_OPEN_ONES_END = 0.5
_RESHAPED = 0.2
_OR_A_SERVER = ", or give a server of your own: --server URL"
_WORKING_DIRECTORY_LOST = 0.15


@dataclass(frozen=True)
class LabRequest:
    """How much is to happen, from which seed; on which server, an embedded one where None."""

    steps: int
    rows: int
    seed: int
    server: str | None = None


@dataclass(frozen=True)
class Outcome:
    """A table at the end: rows in its source, those that staging lacks, those it has too many."""

    name: str
    rows: int
    lost: int
    doubled: int


def run_lab(project: Project, request: LabRequest) -> int:
    """Writes, runs, kills and counts; returns the exit code: 0 where nothing is lost or doubled.

    Side effects: replaces `data/lab`; where all is well nothing of it stays.

    Raises:
        SourceUnreachable, DeclarationError: a source, whose schema is needed, can't be read.
        ExtraMissing: the embedded PostgreSQL isn't installed, and no other server is named.
    """
    if request.server is None:
        require_server("`lakefeed lab`", extra="lab", otherwise=_OR_A_SERVER)
    out, folder, choose = console(), project.data / "lab", random.Random(request.seed)
    shutil.rmtree(folder, ignore_errors=True)
    with _scratch_server(project, folder / "postgres", request) as server:
        lab = open_lab(project, folder / "project", server, request.rows, choose)
        _introduce(out, lab, request)
        if not lab.tables:
            return EXIT_PARTLY_FAILED
        killed = _torture(out, lab, request, choose)
        ended = lakefeed(lab.project.root, "run", "--allow-shrink", *lab.selection)
        if ended.returncode == 0:
            clean = _conclude(out, lab, killed)
        else:
            clean = False
            out.print(f"the last run failed:\n{ended.stdout}{ended.stderr}", markup=False)
    if clean:
        shutil.rmtree(folder)
        return EXIT_OK
    out.print(f"to look into: {lab.project.root}; the same again: --seed {request.seed}")
    return EXIT_PARTLY_FAILED


@contextmanager
def _scratch_server(project: Project, folder: Path, request: LabRequest) -> Iterator[str]:
    if request.server is None:
        with embedded_postgres(folder) as url:
            yield url
        return
    drop_databases(project, request.server)
    try:
        yield request.server
    finally:
        drop_databases(project, request.server)


def _introduce(out: Console, lab: Lab, request: LabRequest) -> None:
    out.print(
        f"scratch databases for {len(lab.tables)} tables, with up to {request.rows} rows of each; "
        "the sources are only read",
    )
    for line in lab.left_out:
        out.print(f"left out: {line}", markup=False, soft_wrap=True)
    numeric = [t.plan.table.shown for t in lab.tables if t.plan.cursor_kind == "number"]
    if numeric:
        out.print(
            f"note: numbers don't tell when they were written, so the rows of {', '.join(numeric)} "
            "are committed in their order; only `lookback` covers rows that aren't",
            soft_wrap=True,
        )
    out.print(f"{request.steps} runs from seed {request.seed}, most of them killed …")


def _torture(out: Console, lab: Lab, request: LabRequest, choose: random.Random) -> int:
    """Transactions, runs and kills, as the seed has it; returns how many were killed."""
    killed, root = 0, lab.project.root
    for step in range(request.steps):
        for one in lab.writers:
            for _ in range(choose.randrange(_MOST_TRANSACTIONS_BETWEEN_RUNS)):
                one.write()
            if choose.random() < _RESHAPED:
                one.reshape()
            if choose.random() < _OPEN_ONES_END:
                one.end_open_ones()
        with writing(lab.writers):
            killed += lakefeed_perhaps_killed(root, choose, "run", "--allow-shrink", *lab.selection)
        if choose.random() < _WORKING_DIRECTORY_LOST:
            shutil.rmtree(root / "data" / ".dlt", ignore_errors=True)
        if out.is_terminal:
            out.print(f"  {step + 1} of {request.steps}", end="\r")
    for one in lab.writers:
        one.end_open_ones()
    return killed


def _conclude(out: Console, lab: Lab, killed: int) -> bool:
    """Prints what happened and what became of it; returns whether nothing is lost or doubled."""
    project, names = open_project(lab.project.root), [t.plan.table.shown for t in lab.tables]
    outcomes = [o for source in project.declaration.sources for o in count(project, source, names)]
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("table", "rows", "lost", "doubled"):
        grid.add_column(heading, justify="left" if heading == "table" else "right")
    for found in outcomes:
        grid.add_row(found.name, f"{found.rows:,}", f"{found.lost:,}", f"{found.doubled:,}")
    out.print(grid)
    committed, late, reshaped, upheaved = (
        sum(one.committed for one in lab.writers),
        sum(one.committed_late for one in lab.writers),
        sum(one.reshaped for one in lab.writers),
        sum(one.upheaved for one in lab.writers),
    )
    out.print(
        f"transactions: {committed:,}, committed late: {late:,}, columns added or dropped: "
        f"{reshaped:,}, tables emptied, rewritten or exchanged: {upheaved:,}, runs killed: "
        f"{killed:,}",
        soft_wrap=True,
    )
    lost, doubled = sum(o.lost for o in outcomes), sum(o.doubled for o in outcomes)
    out.print(f"lost and doubled rows: {lost:,} and {doubled:,}")
    return lost == doubled == 0


def count(project: Project, source: str, names: Collection[str]) -> Iterator[Outcome]:
    """Holds staging of these tables against the source, row by row, at one snapshot.

    Raises:
        SourceUnreachable, TableFailed: there is nothing to compare with.
    """
    with at_one_snapshot(project, source) as (at_snapshot, live):
        for table in project.tables_of(source):
            if table.shown in names:
                plan = plan_table(table, live.tables.get(table.qualified))
                with at_snapshot.session(plan) as reader:
                    staged = attach_staging(reader, project, table)
                    yield Outcome(table.shown, *lost_and_doubled(reader, plan, staged))
