"""How a run ended, and what it said."""

from __future__ import annotations

from lakefeed.orchestration.reports.run_history import KeptRun
from lakefeed.site import wording


def outcome_of(run: KeptRun) -> str:
    """How a run ended, in one word of the page's own."""
    if run.exit_code:
        return "failed"
    if any(node.status == "warn" for node in run.nodes or ()):
        return "warned"
    if run.nodes is None and not run.rows:
        return "nothing new"
    return "ok"


def messages(run: KeptRun) -> list[tuple[str, str]]:
    """What a run said, the worst first, each with the table, model or test that it is of."""
    said = [(table.name, table.error) for table in run.tables if table.error]
    said += [("", run.error)] if run.error else []
    said += [
        (node.name, wording.plain_message(node.message or node.status))
        for node in run.nodes or ()
        if node.failed or node.status == "warn"
    ]
    said += [(table.name, note) for table in run.tables for note in table.notes]
    return said + [("", warning) for warning in run.warnings]
