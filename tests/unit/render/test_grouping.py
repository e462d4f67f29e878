"""What many tables have in common is said once."""

from __future__ import annotations

import io

from rich.console import Console

from lakefeed.errors import TableFailed
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.render.parts.grouping import Message, grouped, of_failures, of_named, of_warnings
from lakefeed.render.progress import ProgressLines
from lakefeed.render.report import print_notes


def failed(name: str, line: int) -> TableReport:
    error = TableFailed(
        f"`at` of shop.{name} is a timestamp without time zone",
        where=f"sources.yaml:{line}",
        do=f"grant select on public.{name}",
    )
    return TableReport(f"shop.{name}", f"shop__{name}", "failed", error=error)


def test_errors_that_differ_only_by_table_and_line_are_grouped() -> None:
    failures = [failed(name, line) for line, name in enumerate("abcdefgh")]

    (told,) = grouped(of_failures(failures))

    assert told == (
        "sources.yaml:0: `at` of shop.a is a timestamp without time zone\n"
        "  grant select on public.a\n"
        "  same for 7 other tables: shop.b, shop.c, shop.d, shop.e, shop.f and 2 more"
    )


def test_two_similar_errors_are_not_grouped() -> None:
    assert len(list(grouped(of_failures([failed("a", 1), failed("b", 2)])))) == 2


def test_the_same_error_of_several_tables_is_printed_once_with_their_names() -> None:
    down = [
        TableReport(f"shop.{name}", name, "failed", error=TableFailed("can't connect to `shop`"))
        for name in ("a", "b", "c")
    ]

    assert list(grouped(of_failures(down))) == [
        "can't connect to `shop`\n  same for 2 other tables: shop.b, shop.c"
    ]


def test_other_errors_keep_their_place_between_groups() -> None:
    texts = [Message("x"), *(Message(f"{name}: y", name, (name,)) for name in "pqr"), Message("z")]

    assert list(grouped(texts)) == ["x", "3 tables: y\n  p, q, r", "z"]


def test_a_text_that_names_its_table_twice_keeps_its_own_wording() -> None:
    texts = of_named((name, f"see {name}") for name in ("p", "q", "r"))

    assert list(grouped(texts)) == ["p: see p\n  same for 2 other tables: q, r"]


def test_a_warning_of_a_run_is_grouped_by_the_table_that_it_begins_with() -> None:
    of_tables = [f"shop.public.t{number}: column `a` (text) was added" for number in range(7)]

    assert list(grouped(of_warnings(["shop: this is a standby", *of_tables]))) == [
        "shop: this is a standby",
        "7 tables: column `a` (text) was added\n  shop.public.t0, shop.public.t1, "
        "shop.public.t2, shop.public.t3, shop.public.t4 and 2 more",
    ]


NOTE = "its raw files are gone, so it is loaded from the beginning"


def lines_of_a_run(tables: int) -> list[str]:
    """What is printed of a run of tables with a note each."""
    reports = tuple(
        TableReport(f"shop.t{number}", f"shop__t{number}", "unchanged", notes=(NOTE, f"{number}"))
        for number in range(tables)
    )
    out = Console(file=io.StringIO(), width=200)
    progress = ProgressLines(out)
    for report in reports:
        progress.ended(report)
    print_notes(out, RunReport(reports))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()


def test_a_note_of_two_tables_stands_in_their_lines() -> None:
    first, second = lines_of_a_run(2)

    assert NOTE in first
    assert NOTE in second


def test_a_note_that_many_tables_share_stands_in_two_lines_and_then_once() -> None:
    *lines, note, names = lines_of_a_run(38)

    assert [NOTE in line for line in lines] == [True, True] + [False] * 36
    assert [line.endswith(f"; {number}") for number, line in enumerate(lines)] == [True] * 38
    assert note == f"note: 38 tables: {NOTE}"
    assert names == "  shop.t0, shop.t1, shop.t2, shop.t3, shop.t4 and 33 more"
