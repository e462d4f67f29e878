"""Which schemas `init` declares, and under which names their tables stand in the lake."""

from __future__ import annotations

import pytest

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.project.proposal.lake_names import names_in_lake
from lakefeed.orchestration.project.proposal.schemas import choose_schemas, own_schema

COUNTS = {"person": 13, "sales": 19, "sales_old": 1, "a*b": 1, "axb": 1}


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        (("person",), ["person"]),
        (("sales*",), ["sales", "sales_old"]),
        (("sales*", "sales", "person"), ["sales", "sales_old", "person"]),
        (("a*b",), ["a*b"]),
        (("*",), list(COUNTS)),
    ],
)
def test_names_and_wildcards_choose_schemas(asked: tuple[str, ...], chosen: list[str]) -> None:
    assert choose_schemas(asked, COUNTS) == chosen


def test_public_is_meant_if_nothing_is_asked_for() -> None:
    assert choose_schemas((), {"audit": 1, "public": 2}) == ["public"]


def test_a_wildcard_without_a_match_is_refused_with_the_schemas_that_there_are() -> None:
    with pytest.raises(DeclarationError) as refused:
        choose_schemas(("sls*",), {"person": 13, "my sales": 2})

    assert str(refused.value) == (
        "no schema with tables matches `sls*`\n"
        "  other schemas have tables: person (13), my sales (2); to declare some of them, or all:\n"
        "  lakefeed init --connection \"$URL\" --schema person --schema 'my sales'\n"
        '  lakefeed init --connection "$URL" --all-schemas'
    )


def test_the_schema_of_several_is_public() -> None:
    assert own_schema(["person"]) == "person"
    assert own_schema(["person", "sales"]) == "public"


def test_a_name_of_two_schemas_gets_the_schema_of_each_but_the_sources_own() -> None:
    tables = [("person", "address"), ("public", "address"), ("sales", "Address"), ("sales", "tax")]

    assert names_in_lake("aw", "public", tables) == {
        ("person", "address"): "person_address",
        ("public", "address"): None,
        ("sales", "Address"): "sales_address",
        ("sales", "tax"): None,
    }


def test_a_name_with_a_schema_gives_way_to_a_table_of_that_name() -> None:
    tables = [("a", "t"), ("b", "t"), ("public", "a_t")]

    assert names_in_lake("s", "public", tables) == {
        ("a", "t"): "a_t_2",
        ("b", "t"): "b_t",
        ("public", "a_t"): None,
    }
