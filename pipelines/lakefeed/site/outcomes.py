"""The outcome of a run and its messages."""

from __future__ import annotations

from lakefeed.orchestration.reports.run_history import KeptRun
from lakefeed.site import wording


def outcome_of(run: KeptRun) -> str:
    """The outcome of a run, as the page names it."""
    if run.exit_code:
        return "failed"
    if any(node.status == "warn" for node in run.nodes or ()):
        return "warned"
    if run.nodes is None and not run.rows:
        return "nothing new"
    return "ok"


def messages(run: KeptRun) -> list[tuple[str, str]]:
    """The messages of a run, the worst first, each with its table, model or test."""
    found = [(table.name, table.error) for table in run.tables if table.error]
    found += [("", run.error)] if run.error else []
    found += [
        (node.name, wording.plain_message(node.message or node.status))
        for node in run.nodes or ()
        if node.failed or node.status == "warn"
    ]
    found += [(table.name, note) for table in run.tables for note in table.notes]
    return found + [("", warning) for warning in run.warnings]
