"""Names and messages are printed as they are, even where Rich would take them for its markup."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.render.parts.wording import node_line, table_line
from lakefeed.render.progress import ProgressLines
from lakefeed.render.report import print_run
from lakefeed.transformation.dbt_adapter.runner import NodeResult

NAMES = ["shop.t[red]", "shop.t[/x]"]


def printed(line: str) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(line)
    return out.getvalue()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", ["failed", "unchanged", "loaded"])
def test_the_name_and_the_notes_of_a_table_are_not_markup(name: str, status: str) -> None:
    report = TableReport(name, "shop__t", status, notes=("column `[/a]` was added",))  # type: ignore[arg-type]

    text = printed(table_line(report))

    assert name in text
    assert status == "failed" or "`[/a]`" in text


@pytest.mark.parametrize("name", NAMES)
def test_the_name_in_the_table_of_a_run_is_not_markup(name: str) -> None:
    out = io.StringIO()

    print_run(Console(file=out, width=200), RunReport((TableReport(name, "shop__t", "loaded"),)))

    assert name in out.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_the_reason_for_waiting_is_not_markup(name: str) -> None:
    out = io.StringIO()
    lines = ProgressLines(Console(file=out, width=200, force_terminal=True))

    lines.waiting(f"waiting for {name}")
    lines.ended(TableReport(name, "shop__t", "loaded"))

    assert f"waiting for {name}" in out.getvalue()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", ["success", "skipped", "warn", "error"])
def test_the_name_and_the_message_of_a_model_are_not_markup(name: str, status: str) -> None:
    node = NodeResult(name, "model", status, "expected [/a]")

    text = printed(node_line(node))

    assert name in text
    assert status in ("success", "skipped") or "[/a]" in text
