"""Positions are numbers that are written as PostgreSQL writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakefeed.source.log.lsn import lsn_text, parse_lsn


def test_a_position_is_read_as_postgresql_writes_it() -> None:
    assert parse_lsn("16/B374D848") == 0x16_B374_D848
    assert lsn_text(0x16_B374_D848) == "16/B374D848"
    assert lsn_text(1 << 32) == "1/0"


@given(st.integers(0, 2**64 - 1))
def test_a_position_that_is_written_is_read_again(lsn: int) -> None:
    assert parse_lsn(lsn_text(lsn)) == lsn


@pytest.mark.parametrize("text", ["", "16", "16/", "1/2/3", "x/1", "123456789/0"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="isn't a position"):
        parse_lsn(text)
