"""What is said of a column that came out otherwise than the source has it."""

from __future__ import annotations

import pytest

from benchmarks.fidelity import Print, judge
from benchmarks.tables import Kind

SOURCE = Print(values=9, exact=1, meaning=2, total=None)


@pytest.mark.parametrize(
    ("kind", "type_", "copy", "said"),
    [
        ("numeric", "DECIMAL(15,2)", Print(9, 1, 2, None), []),
        ("numeric", "DOUBLE", Print(9, 1, 2, None), ["numeric became double"]),
        ("numeric", "DECIMAL(38,9)", Print(9, 7, 2, None), ["numeric respelled"]),
        ("numeric", "DECIMAL(38,9)", Print(9, 7, 7, None), ["numeric values changed"]),
        ("numeric", "DECIMAL(38,9)", Print(9, 1, 2, "5"), ["numeric values changed"]),
        ("jsonb", "VARCHAR", Print(9, 7, 2, None), ["jsonb respelled"]),
        ("array", "VARCHAR", Print(9, 7, 2, None), ["array became json"]),
        ("array", "VARCHAR[]", Print(9, 7, 2, None), []),
        ("timestamptz", "TIMESTAMP WITH TIME ZONE", Print(9, 7, 2, None), []),
        ("timestamptz", "VARCHAR", Print(9, 7, 2, None), ["timestamptz became varchar"]),
        ("text", "VARCHAR", Print(8, 1, 2, None), ["NULLs differ"]),
        ("text", None, Print(0, 0, 0, None), ["column lost"]),
    ],
)
def test_a_column_is_judged(kind: Kind, type_: str | None, copy: Print, said: list[str]) -> None:
    assert judge(kind, type_, SOURCE, copy) == said
