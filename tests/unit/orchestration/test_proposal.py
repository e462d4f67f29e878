"""What `init` proposes for a table, from what the database says of it."""

from __future__ import annotations

import pytest
import yaml

from pipelines.declaration.catalogue import CatalogueTable, Column
from pipelines.orchestration.proposal import TableFacts, propose_declaration
from pipelines.source.inspect import ColumnFacts

MB = 1024 * 1024


def table(
    *columns: Column,
    key: tuple[str, ...] = ("id",),
    size: int = MB,
    trigger: str = "",
    kind: str = "table",
) -> TableFacts:
    every = (Column("id", "bigint", False), *columns)
    facts = {
        column.name: ColumnFacts(
            column.name, False, not column.nullable, "", column.name == trigger
        )
        for column in every
    }
    return TableFacts(CatalogueTable("public", "t", kind, every, key), facts, (), 10, size)


def proposed(facts: TableFacts) -> dict[str, object]:
    text = propose_declaration("shop", "public", "SHOP_URL", [facts])
    return dict(yaml.safe_load(text)["sources"]["shop"]["tables"]["t"])


UPDATED = Column("updated_at", "timestamp with time zone", True)
CREATED = Column("created_at", "timestamp with time zone", False)
LAST_SEEN = Column("seen", "timestamp with time zone", True)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (table(UPDATED), {"cursor": "updated_at"}),
        (table(UPDATED, LAST_SEEN, trigger="seen"), {"cursor": "seen"}),
        (table(CREATED, UPDATED), {"cursor": "updated_at"}),
        (
            table(Column("updated_at", "timestamp without time zone", True)),
            {"cursor": {"column": "updated_at", "timezone": "UTC"}},
        ),
        (table(), {"mode": "full_refresh"}),
        (table(UPDATED, key=()), {"mode": "full_refresh"}),
        (table(size=500 * MB), {"cursor": "xmin"}),
        (table(size=500 * MB, key=()), {"mode": "full_refresh"}),
        (table(size=500 * MB, kind="foreign table"), {"mode": "full_refresh"}),
    ],
)
def test_the_cursor_that_serves_best_is_chosen(
    facts: TableFacts, expected: dict[str, object]
) -> None:
    assert proposed(facts) == expected


def test_the_reason_stands_beside_the_choice() -> None:
    text = propose_declaration("shop", "public", "SHOP_URL", [table(UPDATED, trigger="updated_at")])

    assert "# about 10 rows, 1 MB; key id; kept by a trigger, not indexed, may be null" in text
