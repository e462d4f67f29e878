"""What many tables have in common is said once."""

from __future__ import annotations

from lakefeed.errors import TableFailed
from lakefeed.orchestration.reports.run_report import TableReport
from lakefeed.render.grouping import Message, grouped, of_failures


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

    assert list(grouped(texts)) == ["x", "p: y\n  same for 2 other tables: q, r", "z"]
