"""A terminal of any width shows names and numbers whole."""

from __future__ import annotations

import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from lakefeed.cli.main import main
from lakefeed.orchestration.inspect.status import LoadFailure, TableStatus
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.render.parts.grid import Column, print_rows
from lakefeed.render.report import print_run, show_status

LONG = "shop.a_table_whose_name_has_forty_characters_"


def printed(width: int, columns: list[Column], rows: list[tuple[str, ...]]) -> str:
    out = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_rows(out, columns, rows)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_names_and_numbers_of_a_run_are_never_cut(width: int) -> None:
    table = TableReport(
        name=LONG, lake_name="x", status="loaded", rows_read=1_234_567, rows_written=1_234_567,
        checkpoint_before="2026-11-23T20:20:42", checkpoint="2026-11-28T20:20:42",
    )  # fmt: skip
    out = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    print_run(out, RunReport((table,)))
    assert isinstance(out.file, io.StringIO)
    text = out.file.getvalue()

    assert LONG in text
    assert "1,234,567" in text
    assert "…" not in text
    assert max(map(len, text.splitlines()[:5])) <= width


def test_the_least_important_columns_are_dropped_first_and_named() -> None:
    columns = [Column("table"), Column("a", 2), Column("b", 1), Column("c", is_number=True)]
    text = printed(30, columns, [("shop.orders", "aaaa", "bbbbbbbb", "1,000")])

    assert "aaaa" in text
    assert "bbbb" not in text
    assert "hidden at this width: b" in text


def test_rows_are_stacked_when_the_most_important_columns_do_not_fit() -> None:
    columns = [Column("table"), Column("rows", is_number=True), Column("age")]

    text = printed(20, columns, [(LONG, "1,000", "5m"), ("shop.b", "2", "1h")])

    assert text.splitlines() == [
        *(LONG, "  rows  1,000", "  age   5m", "shop.b", "  rows  2", "  age   1h")
    ]


def status_of(name: str, failure: LoadFailure | None = None, *, sees: bool = True) -> TableStatus:
    """The status of a table that was never loaded."""
    return TableStatus(
        name=name,
        mode="full_refresh",
        checkpoint=None,
        last_load=None,
        last_load_rows=0,
        loads=0,
        files=0,
        raw_rows=0,
        age_seconds=None,
        freshness="",
        sees_deletes=sees,
        last_failure=failure,
    )


FAILED = LoadFailure("2026-11-28T10:00:00+00:00", "can't connect to `shop`")


def test_status_names_the_last_failure_and_counts_tables_that_ignore_deletes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_status([status_of("shop.a", FAILED, sees=False), status_of("shop.b")], as_json=False)

    text = capsys.readouterr().out
    assert "shop.a failed at 2026-11-28 10:00:00: can't connect to `shop`" in text
    assert "1 table without delete detection: rows deleted in the source stay in staging" in text


def test_status_names_the_last_failure_of_many_tables_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_status([status_of(f"shop.t{number}", FAILED) for number in range(9)], as_json=False)

    assert capsys.readouterr().out.endswith(
        "shop.t0 failed at 2026-11-28 10:00:00: can't connect to `shop`\n"
        "  same for 8 other tables: shop.t1, shop.t2, shop.t3, shop.t4, shop.t5 and 3 more\n"
    )


def test_help_shows_the_whole_summary_of_each_command() -> None:
    text = " ".join(CliRunner().invoke(main, ["--help"], terminal_width=60).output.split())

    for command in main.commands.values():
        assert " ".join((command.help or "").partition("\n\n")[0].split()) in text
