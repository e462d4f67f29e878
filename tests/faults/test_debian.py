"""The parts that only Debian's PostgreSQL brings are there."""

from __future__ import annotations

import pytest

from tests.conftest import Database

pytestmark = pytest.mark.faults


def test_debians_server_has_collations_of_icu_and_the_extensions_of_contrib(
    debian_database: Database,
) -> None:
    debian_database.execute(
        "create extension citext",
        "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = off)",
    )

    assert debian_database.rows("select 'A' = 'a' collate nocase, 'B'::citext = 'b'") == [
        (True, True)
    ]
