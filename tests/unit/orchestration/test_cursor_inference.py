"""The declaration that `init` proposes for a table, from what it learns of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lakefeed.declaration.catalogue import (
    CATALOGUE_FILE,
    Catalogue,
    CatalogueTable,
    Column,
    catalogue_text,
    read_catalogue,
)
from lakefeed.declaration.document.loader import validate
from lakefeed.declaration.document.positions import parse_document
from lakefeed.declaration.tables import resolve_tables
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.orchestration.project.proposal.cursor_inference import (
    TableFacts,
    choose_cursor,
    doubts_of,
)
from lakefeed.orchestration.project.proposal.declaration_text import declaration_text
from lakefeed.orchestration.project.proposal.table_proposal import propose
from lakefeed.source.inspection.tables import ColumnFacts
from lakefeed.source.inspection.updates import Updates
from tests.naming import names

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
            name=column.name,
            indexed=False,
            not_null=not column.nullable,
            default="",
            kept_by_trigger=column.name == trigger,
        )
        for column in every
    }
    return TableFacts(
        table=CatalogueTable(schema="public", name="t", kind=kind, columns=every, primary_key=key),
        columns=facts,
        denied=(),
        rows=10,
        size=size,
    )


def proposed_text(*tables: TableFacts, own: str = "public") -> str:
    proposals = [facts if facts.why_left_out else propose(facts) for facts in tables]
    return declaration_text("shop", own, "SHOP_URL", proposals)


def proposed(facts: TableFacts) -> dict[str, object]:
    text = proposed_text(facts)
    return dict(yaml.safe_load(text)["sources"]["shop"]["tables"]["t"])


UPDATED = Column("updated_at", "timestamp with time zone", True)
CREATED = Column("created_at", "timestamp with time zone", False)
DEFAULTED = ColumnFacts(
    name="created_at", indexed=False, not_null=True, default="now()", kept_by_trigger=False
)
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
def test_the_best_cursor_is_chosen(facts: TableFacts, expected: dict[str, object]) -> None:
    assert proposed(facts) == expected


def test_the_comment_gives_the_reason_for_the_choice() -> None:
    text = proposed_text(table(UPDATED, trigger="updated_at"))

    assert "# about 10 rows, 1 MB; key id; maintained by a trigger, not indexed, nullable" in text


def test_a_comment_says_what_becomes_of_deleted_rows_where_they_stay() -> None:
    comment = "# A row deleted in the source stays in staging of a table with a cursor"

    assert comment in proposed_text(table(UPDATED))
    assert comment not in proposed_text(table())


def test_a_cursor_that_is_only_set_on_insert_is_marked() -> None:
    facts = table(CREATED)
    by_default = replace(facts, columns={**facts.columns, "created_at": DEFAULTED})

    assert choose_cursor(by_default).misses_updates
    assert not choose_cursor(table(UPDATED)).misses_updates
    assert not choose_cursor(table(CREATED, trigger="created_at")).misses_updates


def created(*others: Column, **facts: Any) -> TableFacts:
    """A table whose only possible cursor is set by a default, on insert."""
    found = table(CREATED, *others)
    return replace(found, columns={**found.columns, "created_at": DEFAULTED}, **facts)


@pytest.mark.parametrize(
    ("facts", "sign"),
    [
        (created(updates=Updates(rows=2)), "2 updates counted"),
        (created(updates=Updates(has_trigger=True)), "a trigger on update"),
        (created(Column("status", "text", False)), "column status"),
        (created(Column("lockVersion", "integer", False)), "column lockVersion"),
        (created(Column("updated_by", "integer", False)), "column updated_by"),
        (created(Column("paid_at", "timestamp without time zone", True)), "column paid_at"),
        (
            created(Column("state", "text", True), updates=Updates(rows=1)),
            "1 update counted, column state",
        ),
    ],
)
def test_a_cursor_that_is_only_set_on_insert_is_not_chosen_for_rows_that_are_updated(
    facts: TableFacts, sign: str
) -> None:
    text = declaration_text("shop", "public", "SHOP_URL", [propose(facts)])

    assert proposed(facts) == {"mode": "full_refresh"}
    assert f"created_at is only set on insert, but rows are updated ({sign})" in text
    assert proposed(replace(facts, size=500 * MB)) == {"cursor": "xmin"}


@pytest.mark.parametrize(
    "column",
    [Column("statement", "text", True), Column("happened_at", "timestamp with time zone", False)],
)
def test_a_cursor_that_is_only_set_on_insert_is_chosen_for_rows_that_nothing_updates(
    column: Column,
) -> None:
    facts = created(column)

    text = declaration_text("shop", "public", "SHOP_URL", [propose(facts)])

    assert proposed(facts) == {"cursor": "created_at"}
    assert "only set on insert: later updates are NOT loaded" in text
    assert list(doubts_of(facts)) == [
        "its cursor created_at is only set when a row is inserted, so later updates are missed"
    ]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (replace(table(), refused="no\nhandler"), "no\\nhandler"),
        (replace(table(), denied=("id",)), "this role may not read it"),
        (replace(table(UPDATED), denied=("id",)), "this role may not read id in its primary key"),
        (
            table(Column('a"b', "int", False), key=('a"b',)),
            "its primary key has a column named `a\"b`, which dbt can't quote",
        ),
        (table(Column('a"b', "int", True)), ""),
        (table(Column("ID", "int", True)), ""),
        (table(Column("ID", "int", True), key=("ID",)), ""),
    ],
)
def test_a_table_is_left_out_if_its_key_cannot_be_loaded(facts: TableFacts, why: str) -> None:
    assert facts.why_left_out == why
    text = proposed_text(facts)
    assert (f"      # t: left out, {why} (" in text) == bool(why)


def test_columns_that_the_lake_cannot_store_are_excluded() -> None:
    odd = (
        Column('a"b', "int", True),
        Column("ID", "int", True),
        Column("_dlt_load_id", "int", True),
    )

    assert proposed(table(*odd))["columns"] == {"exclude": ['a"b', "ID", "_dlt_load_id"]}


@given(
    data=st.data(),
    own=names,
    tables=st.lists(
        st.tuples(st.sampled_from(["own", "public", "a.b", "*"]), names),
        min_size=1,
        max_size=5,
        unique=True,
    ),
)
def test_the_proposed_declaration_is_valid_for_any_names(
    data: st.DataObject, own: str, tables: list[tuple[str, str]]
) -> None:
    """Each table is declared under a unique name or left out."""
    facts = []
    for schema, name in {(own if one[0] == "own" else one[0], one[1]) for one in tables}:
        columns = data.draw(st.lists(names, min_size=1, max_size=3, unique=True))
        found = tuple(Column(one, "timestamp with time zone", True) for one in columns)
        about = {
            one: ColumnFacts(
                name=one,
                indexed=True,
                not_null=True,
                default="now()",
                kept_by_trigger=one == columns[-1],
            )
            for one in columns
        }
        whole = CatalogueTable(
            schema=schema, name=name, kind="table", columns=found, primary_key=tuple(columns[:1])
        )
        facts.append(TableFacts(table=whole, columns=about, denied=(), rows=1, size=1))

    text = proposed_text(*facts, own=own)

    known = {one.table.qualified: one.table for one in facts}
    wanted = {(f.table.schema, f.table.name) for f in facts if not f.why_left_out}
    if not wanted:
        return
    declared = validate(parse_document(text, "sources.yaml"))
    resolved = resolve_tables(declared, Catalogue({"shop": known}))
    assert {(one.schema, one.name) for one in resolved} == wanted
    assert len({one.lake_name.lower() for one in resolved}) == len(wanted)
    for one in resolved:
        plan_table(one, one.catalogue)
    again = catalogue_from(catalogue_text(Catalogue({"shop": known})))
    assert again.sources["shop"] == known


def catalogue_from(text: str) -> Catalogue:
    with TemporaryDirectory() as folder:
        (Path(folder) / CATALOGUE_FILE).write_text(text, encoding="utf-8")
        return read_catalogue(Path(folder))


def log(*others: Column, key: tuple[str, ...] = (), **facts: Any) -> TableFacts:
    """A large table without a key, whose only possible cursor is set by a default, on insert."""
    found = created(*others, **{"size": 500 * MB, **facts})
    return replace(found, table=replace(found.table, primary_key=key))


def test_a_large_table_without_a_key_is_appended_if_its_rows_are_only_inserted() -> None:
    text = proposed_text(log(Column("statement", "text", True)))

    assert proposed(log()) == {"mode": "append", "cursor": "created_at"}
    assert "500 MB; no primary key; created_at is set on insert, not indexed" in text
    assert list(doubts_of(log())) == [
        "it has no key, so every row that its cursor created_at leads to is kept (`mode: append`): "
        "a row that is updated is missed, or kept a second time"
    ]


@pytest.mark.parametrize(
    "facts",
    [
        log(size=MB),
        log(updates=Updates(rows=1)),
        log(updates=Updates(has_trigger=True)),
        log(Column("status", "text", False)),
        log(table=replace(log().table, unique=(("id",),))),
        log(table=replace(log().table, kind="foreign table")),
        table(Column("created_at", "timestamp with time zone", True), key=(), size=500 * MB),
        table(UPDATED, key=(), size=500 * MB),
    ],
)
def test_any_other_table_without_a_key_is_read_whole(facts: TableFacts) -> None:
    assert proposed(facts) == {"mode": "full_refresh"}
