"""What PostgreSQL's text of a partition's bound says."""

from __future__ import annotations

import pytest

from lakefeed.source.inspection.partition_bounds import Beyond, Listed, Ranged, parsed_bound

BOUNDS = {
    "FOR VALUES IN ('a', 'it''s', NULL, 'NULL')": Listed(("a", "it's", None, "NULL")),
    "FOR VALUES IN (1, '-2', true)": Listed(("1", "-2", "true")),
    "FOR VALUES IN (') TO (', 'MAXVALUE', '')": Listed((") TO (", "MAXVALUE", "")),
    "FOR VALUES FROM ('2024-01-01') TO (MAXVALUE)": Ranged(("2024-01-01",), (Beyond.HIGH,)),
    "FOR VALUES FROM (MINVALUE, MINVALUE) TO (5, 'TO')": Ranged(
        (Beyond.LOW, Beyond.LOW), ("5", "TO")
    ),
}


@pytest.mark.parametrize("text", BOUNDS)
def test_a_bound_is_understood(text: str) -> None:
    assert parsed_bound(text) == BOUNDS[text]


@pytest.mark.parametrize("text", ["DEFAULT", "FOR VALUES WITH (modulus 4, remainder 0)", ""])
def test_what_is_neither_a_list_nor_a_range_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="not the bound of a list or range"):
        parsed_bound(text)
