"""`max_shrink`: how many rows a table may lose between two loads."""

from __future__ import annotations

from typing import Any

import pytest

from lakefeed.declaration.models.table_settings import TableSettings


@pytest.mark.parametrize(
    ("declared", "before", "most"),
    [
        # The default: a share, but losing fewer than 100 rows is always accepted.
        (None, 3, 3),
        (None, 400, 99),
        (None, 500, 100),
        (None, 10_000, 2_000),
        # A share alone applies to tables of any size.
        ("20%", 3, 0),
        ("20%", 10, 2),
        ("29%", 100, 29),
        ("0%", 1_000, 0),
        ("100%", 1_000, 1_000),
        # Keys missing from a mapping have their defaults.
        ({"rows": 10}, 20, 9),
        ({"rows": 10}, 100, 20),
        ({"share": "50%"}, 150, 99),
        ({"share": "50%"}, 1_000, 500),
        ({"share": "0%", "rows": 1}, 1_000, 0),
        ({"share": "0%", "rows": 2}, 1_000, 1),
    ],
)
def test_a_table_may_lose_the_share_or_the_number_of_rows_whichever_is_more(
    declared: Any, before: int, most: int
) -> None:
    settings = TableSettings.model_validate({"max_shrink": declared} if declared else {})

    assert settings.max_shrink.allows(before, most)
    assert most == before or not settings.max_shrink.allows(before, most + 1)
