"""Rows become tables, and a page keeps what isn't theirs."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import CASES, PAGE
from benchmarks.process import Usage, failure
from benchmarks.rounds import Base, Checked, Measured, Row, Step, summarise
from benchmarks.table import all_cells, markdown, with_section

BASE = Base(wall=1.5, cpu=0.5)


def step(**changes: object) -> Step:
    given: dict[str, object] = {
        "group": "6 rows",
        "contender": "Lakefeed",
        "version": "1",
        "start": None,
        "check": lambda: Checked(0, ""),
        **changes,
    }
    return Step(**given)  # type: ignore[arg-type]


def measured(wall: float) -> Measured:
    return Measured(Usage(wall, wall / 2, 100_000_000, ""), 0.5, 0.25)


def row(group: str, contender: str) -> Row:
    return Row(
        group, contender, "1", 3, 2.0, 4.0, 1.0, 3.0, 0.5, 100_000_000, 0.25, 10_000, "exact"
    )


def test_a_row_has_the_median_of_its_runs_and_its_ratio_to_the_base() -> None:
    found = summarise(step(), [measured(9), measured(2), measured(3)], Checked(5, ""), BASE)

    assert (found.runs, found.wall, found.ratio) == (3, 3, 2)
    assert (found.client_cpu, found.cpu_ratio, found.verdict) == (1.5, 3, "values exact")


def test_a_row_says_what_was_lost_before_its_remark() -> None:
    found = summarise(step(remark="to DuckDB"), [measured(1)], Checked(5, "1 row of 2"), None)

    assert (found.ratio, found.verdict) == (None, "1 row of 2; to DuckDB")


def test_a_step_that_failed_has_no_numbers() -> None:
    found = summarise(step(), [], Checked(0, "failed: no such program"), BASE)

    assert (found.wall, found.verdict) == (None, "failed: no such program")


def test_a_group_is_named_once() -> None:
    cells = all_cells([row("a", "one"), row("a", "two"), row("b", "three")])

    assert [cell[0] for cell in cells] == ["a", "", "b"]


def test_markdown_has_a_line_a_row_and_escapes_what_would_break_it() -> None:
    lines = markdown([row("a", "x | y")]).splitlines()

    assert (
        lines[2]
        == "| a | x \\| y | 1 | 2.00 | 4.00 | 1.0 | 3.00 | 0.5 | 100 | 0.2 | 0.01 | exact |"
    )


def test_a_section_is_replaced_and_the_rest_of_the_page_stays() -> None:
    page = "before\n<!-- many -->\nold\n<!-- /many -->\nafter"

    new = with_section(page, "many", r"new \1")

    assert new == "before\n<!-- many -->\nnew \\1\n<!-- /many -->\nafter"


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the markers"):
        with_section("nothing", "many", "new")


def test_the_page_has_a_place_for_each_case() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert all(with_section(page, case, "new") != page for case in CASES)


def test_a_failure_tells_the_reason_and_not_the_advice_below_it() -> None:
    output = "File x\n\x1b[31mpyarrow.lib.ArrowInvalid: too long\x1b[0m\nNote: keep your folder\n"

    assert failure(1, output, None) == "failed: pyarrow.lib.ArrowInvalid: too long"
    assert failure(0, output, None) is None
    assert failure(-9, output, 60) == "not done after 60 s"
