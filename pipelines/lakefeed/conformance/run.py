"""Runs `lakefeed check --warehouse --conformance`: does the declared warehouse keep the promises?

What is declared is only read: the test's own project, source and raw layer are apart (scratch.py),
and a catalogue in which a version is published is refused.
"""

from __future__ import annotations

from rich.console import Console

from lakefeed.conformance.report import recorded_reports, report_of, write_report
from lakefeed.conformance.scratch import remove_scratch, scratch_trial
from lakefeed.conformance.suite import PROMISES, Outcome, try_promises
from lakefeed.declaration.project import Project
from lakefeed.demo.server import require_server
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED
from lakefeed.render.report import console
from lakefeed.transformation.warehouse.base.warehouse import Inspection
from lakefeed.wording import counted

_OR_A_SERVER = ", or use your own server: --server URL"


def run_conformance(project: Project, found: Inspection, server: str | None) -> int:
    """Tries every promise and prints how it ended; returns the exit code: 0 if all are kept.

    Side effects: builds tables in the declared warehouse and writes a report to
    `data/conformance`; removes its project if all promises are kept.

    Args:
        server: a PostgreSQL server for the test's database; None for an embedded one.

    Raises:
        Refused: a version is published in the declared warehouse.
        SourceUnreachable: the server or the warehouse can't be reached.
        ExtraMissing: the embedded PostgreSQL isn't installed, and no other server is named.
    """
    if server is None:
        require_server("`lakefeed check --conformance`", extra="lab", otherwise=_OR_A_SERVER)
    out, outcomes = console(), []
    out.print(f"testing {found.engine} {found.version} …", markup=False)
    with scratch_trial(project, server) as trial:
        for outcome in try_promises(trial):
            outcomes.append(outcome)
            _print(out, outcome)
    report = report_of(project, found, outcomes)
    path = write_report(project, report)
    kept, untried = sum(o.is_kept for o in outcomes), len(PROMISES) - len(outcomes)
    out.print(
        f"{kept} of {counted(len(outcomes), 'promise')} kept"
        + (f", {untried} not tried" if untried else ""),
        markup=False,
    )
    out.print(f"report: {path}", markup=False, soft_wrap=True)
    if not any(r.type == report.type and r.is_passed for r in recorded_reports()):
        out.print(
            f"no report of {found.engine} is on record yet: please attach this one to an issue. It "
            "has no path, host or secret",
            soft_wrap=True,
        )
    if not report.is_passed:
        out.print(f"to investigate: {trial.root}", markup=False, soft_wrap=True)
        return EXIT_PARTLY_FAILED
    remove_scratch(trial)
    return EXIT_OK


def _print(out: Console, outcome: Outcome) -> None:
    ended = "passed" if outcome.is_kept else "failed"
    out.print(f"{ended} {outcome.seconds:6.1f} s  {outcome.promise.name}", markup=False)
    if not outcome.is_kept:
        out.print(f"  {outcome.why}", markup=False, soft_wrap=True)
