"""Every name that PostgreSQL allows can be written in sources.yaml, and read back as what it is."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakefeed.declaration.table_names import (
    Entry,
    is_wildcard,
    qualify,
    read_entry,
    shortest_entry,
    spelled,
    split,
)
from tests.naming import names


@given(names, names)
@example('"a"', "b")
@example("a", '"b"."c"')
@example('"a', 'b".c')
@example("a.b", "c")
@example('a"."b', "c")
@example("", ".")
def test_a_qualified_name_is_read_back_as_the_same_table(schema: str, name: str) -> None:
    qualified = spelled(schema, name)

    assert split(qualified) == (schema, name)
    assert read_entry(qualified, "other") == Entry(schema, name)
    assert not is_wildcard(qualified)
    assert qualify(qualified, "other") == qualified


@given(names, names)
@example("public", '"x"')
@example("a.b", "c")
@example("[a]", "b")
@example("public", "a.b")
def test_the_shortest_entry_means_the_table_alone(schema: str, name: str) -> None:
    entry = shortest_entry(schema, name)

    assert read_entry(entry, schema) == Entry(schema, name)
    assert qualify(entry, schema) == spelled(schema, name)


@given(st.tuples(names, names), st.tuples(names, names))
def test_no_two_tables_have_the_same_qualified_name(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert (spelled(*one) == spelled(*other)) == (one == other)


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ("orders", Entry("public", "orders")),
        ("audit.events", Entry("audit", "events")),
        ("dot.ted.name", Entry("dot", "ted.name")),
        ("*", Entry("public", "*", name_is_pattern=True)),
        ("audit.*", Entry("audit", "*", name_is_pattern=True)),
        ("tenant_?.orders", Entry("tenant_?", "orders", schema_is_pattern=True)),
        ('"what?"', Entry("public", "what?")),
        ('"a.b".*', Entry("a.b", "*", name_is_pattern=True)),
        ('a*."b*"', Entry("a*", "b*", schema_is_pattern=True)),
        ('"Quoted_"" . Schema".t', Entry('Quoted_" . Schema', "t")),
        ('c"d', Entry("public", 'c"d')),
        ('"c"d"', Entry("public", '"c"d"')),
    ],
)
def test_an_entry_means_what_it_says(entry: str, meant: Entry) -> None:
    assert read_entry(entry, "public") == meant


@pytest.mark.parametrize(
    ("schema", "name", "matched"),
    [("public", "orders", True), ("public", "a.b", True), ("publi", "c.orders", False)],
)
def test_a_wildcard_matches_schema_and_name_each_by_itself(
    schema: str, name: str, matched: bool
) -> None:
    assert read_entry("*", "public").matches(spelled(schema, name)) is matched


def test_a_default_schema_is_a_pattern_only_for_wildcards() -> None:
    assert read_entry("*", "tenant_*").matches("tenant_1.orders")
    assert read_entry("orders", "tenant_*") == Entry("tenant_*", "orders")
