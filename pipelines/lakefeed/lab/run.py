"""Runs `lakefeed lab`: does a declaration lose or duplicate rows when everything goes wrong?

The source is only read: its schema, and some rows of each declared table. Writes, runs and kills
happen on a scratch database, with a separate lake in `data/lab`.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid

from lakefeed.declaration.project import Project, open_project
from lakefeed.demo.server import embedded_postgres, require_server
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED, LakefeedError
from lakefeed.lab.kill import lakefeed, lakefeed_perhaps_killed
from lakefeed.lab.project import Lab, drop_databases, keep_logs, open_lab
from lakefeed.lab.writers import writing
from lakefeed.loading.plan.column_check import hash_keys
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.loading.reconcile import lost_and_doubled
from lakefeed.orchestration.checks.audit import at_one_snapshot, attach_staging
from lakefeed.orchestration.log.setup import logging_sources
from lakefeed.render.report import console

_MOST_TRANSACTIONS_BETWEEN_RUNS = 10
_OPEN_TRANSACTIONS_END = 0.5
_ALTERED = 0.2
_OR_A_SERVER = ", or use your own server: --server URL"
_WORKING_DIRECTORY_LOST = 0.15


@dataclass(frozen=True)
class LabRequest:
    """How many steps and rows, from which seed, on which server (None: an embedded one)."""

    steps: int
    rows: int
    seed: int
    server: str | None = None


@dataclass(frozen=True)
class Outcome:
    """The result for a table: rows in the source, rows missing in staging, surplus rows there."""

    name: str
    rows: int
    lost: int
    duplicated: int


def run_lab(project: Project, request: LabRequest) -> int:
    """Runs the lab; returns the exit code: 0 if no row is lost or duplicated.

    Side effects: replaces `data/lab`, and deletes it if no row is lost or duplicated.

    Raises:
        SourceUnreachable, DeclarationError: a source's schema can't be read.
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
    out.print(f"to investigate: {lab.project.root}; to reproduce: --seed {request.seed}")
    return EXIT_PARTLY_FAILED


@contextmanager
def _scratch_server(project: Project, folder: Path, request: LabRequest) -> Iterator[str]:
    if request.server is None:
        with embedded_postgres(folder, is_logical=bool(logging_sources(project))) as url:
            yield url
        return
    drop_databases(project, request.server)
    try:
        yield request.server
    finally:
        drop_databases(project, request.server)


def _introduce(out: Console, lab: Lab, request: LabRequest) -> None:
    out.print(
        f"created scratch databases for {len(lab.tables)} tables, with up to {request.rows} rows "
        "each; the sources are only read",
    )
    for line in lab.left_out:
        out.print(f"left out: {line}", markup=False, soft_wrap=True)
    numeric = [t.plan.table.shown for t in lab.tables if t.plan.cursor_kind == "number"]
    if numeric:
        out.print(
            f"note: {', '.join(numeric)}: rows are committed in the order of their cursor, since "
            "only `lookback` finds rows with lower numbers that are committed later",
            soft_wrap=True,
        )
    out.print(f"starting {request.steps} runs with seed {request.seed}, most of them killed …")


def _torture(out: Console, lab: Lab, request: LabRequest, choose: random.Random) -> int:
    """Runs random transactions, runs and kills from the seed; returns how many runs were killed."""
    killed, root = 0, lab.project.root
    for step in range(request.steps):
        for writers in lab.writers:
            for _ in range(choose.randrange(_MOST_TRANSACTIONS_BETWEEN_RUNS)):
                writers.write()
            if choose.random() < _ALTERED:
                writers.alter()
            if choose.random() < _OPEN_TRANSACTIONS_END:
                writers.end_transactions()
        with suppress(LakefeedError):
            # A transaction that stays open may be writing to a table that was replaced.
            keep_logs(lab.project)
        with writing(lab.writers):
            killed += lakefeed_perhaps_killed(root, choose, "run", "--allow-shrink", *lab.selection)
        if choose.random() < _WORKING_DIRECTORY_LOST:
            shutil.rmtree(lab.project.data / ".dlt", ignore_errors=True)
        if out.is_terminal:
            out.print(f"  {step + 1} of {request.steps}", end="\r")
    for writers in lab.writers:
        writers.end_transactions()
    keep_logs(lab.project)
    return killed


def _conclude(out: Console, lab: Lab, killed: int) -> bool:
    """Prints the result; returns whether no row is lost or duplicated."""
    project, names = open_project(lab.project.root), [t.plan.table.shown for t in lab.tables]
    outcomes = [o for source in project.declaration.sources for o in count(project, source, names)]
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("table", "rows", "lost", "duplicated"):
        grid.add_column(heading, justify="left" if heading == "table" else "right")
    for outcome in outcomes:
        grid.add_row(
            outcome.name, f"{outcome.rows:,}", f"{outcome.lost:,}", f"{outcome.duplicated:,}"
        )
    out.print(grid)
    committed, late, altered, upheavals = (
        sum(writers.committed for writers in lab.writers),
        sum(writers.committed_late for writers in lab.writers),
        sum(writers.altered for writers in lab.writers),
        sum(writers.upheavals for writers in lab.writers),
    )
    out.print(
        f"transactions: {committed:,}, committed late: {late:,}, columns added or dropped: "
        f"{altered:,}, tables truncated, rewritten or replaced: {upheavals:,}, runs killed: "
        f"{killed:,}",
        soft_wrap=True,
    )
    lost, duplicated = sum(o.lost for o in outcomes), sum(o.duplicated for o in outcomes)
    out.print(f"rows lost: {lost:,}, rows duplicated: {duplicated:,}")
    return lost == duplicated == 0


def count(project: Project, source: str, names: Collection[str]) -> Iterator[Outcome]:
    """Compares staging of these tables with the source, row by row, at one snapshot.

    Raises:
        SourceUnreachable, TableFailed: the source can't be read.
    """
    with at_one_snapshot(project, source) as (at_snapshot, live):
        for table in project.tables_of(source):
            if table.shown in names:
                keys = hash_keys(project, table)
                plan = plan_table(table, live.found(table), keys)
                with at_snapshot.session(plan) as reader:
                    staged = attach_staging(reader, project, table)
                    yield Outcome(table.shown, *lost_and_doubled(reader, plan, staged))
