"""How rows look on a terminal, whatever their values are."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from lakefeed.render.parts.rows import render_rows, shown
from lakefeed.transformation.lineage.downstream_rows import ModelRows, Pointing


def printed(made: ModelRows) -> str:
    out = Console(file=StringIO(), width=160)
    for part in render_rows(made):
        out.print(part, markup=False)
    assert isinstance(out.file, StringIO)
    return out.file.getvalue()


def made(*rows: dict[str, str | None], total: int = 0, **more: Pointing) -> ModelRows:
    return ModelRows(
        model="m",
        relation="marts.m",
        by=("id",),
        total=total or len(rows),
        rows=rows,
        pointing=tuple(more.values()),
    )


def test_a_value_is_one_short_line() -> None:
    assert shown(None) == "null"
    assert shown("2026-01-01 12:00:00.123456+00") == "2026-01-01 12:00:00"
    assert shown("two\nlines\x1b[31m") == "two·lines·[31m"
    assert shown("x" * 100) == "x" * 39 + "…"


def test_markup_in_values_is_escaped() -> None:
    assert "[red]x[/]" in printed(made({"id": "1", "note": "[red]x[/]"}))
    assert "[/nothing]" in printed(made({"id": "[/nothing]"}, {"id": "2"}))


def test_values_that_rows_share_are_printed_once() -> None:
    told = printed(made({"id": "1", "city": "Utrecht"}, {"id": "2", "city": "Utrecht"}))

    assert told.count("Utrecht") == 1
    assert "city Utrecht" in told


def test_wide_rows_show_the_columns_that_fit_and_name_the_rest() -> None:
    rows = [{f"column{c}": f"{'v' * 30}{r}" for c in range(8)} for r in range(6)]

    told = printed(made(*rows, total=70))

    assert "70 rows by id, 6 of them shown" in told
    assert "also in --json: column4, column5, column6, column7" in told
    assert all(len(line.rstrip()) <= 110 for line in told.splitlines())


def test_references_to_a_row_are_counted_beside_it() -> None:
    pointing = Pointing("fct", "k", "k", {"a": 3})

    told = printed(made({"k": "a"}, {"k": "b"}, pointing=pointing))

    assert ["rows", "of", "fct", "3", "0"] in [line.split() for line in told.splitlines()]
