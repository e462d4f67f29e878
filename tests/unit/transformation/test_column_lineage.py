"""The origins of a select's columns: unchanged, computed, none or unknown."""

from __future__ import annotations

import pytest

from lakefeed.transformation.lineage.column_lineage import (
    Column,
    Columns,
    Origin,
    columns_of_select,
)


def table(name: str, *columns: str) -> Columns:
    return {one: Column(frozenset({Origin(name, one, unchanged=True)})) for one in columns}


RELATIONS = {
    ("s", "a"): table("a", "id", "x", "at"),
    ("s", "b"): table("b", "id", "y"),
    ("s", "odd"): table("odd", "a b", "order"),
    ("s", "itself"): {},
    ("s", "unknown"): None,
}


def lineage(sql: str) -> dict[str, str]:
    """Origins by column: `a.id` unchanged, `a.id*` computed, `= b.id` equated by a join."""
    found = columns_of_select(sql, RELATIONS)
    assert not isinstance(found, str), found

    def text(column: Column | None) -> str:
        if column is None:
            return "?"
        origins = sorted(
            f"{origin.table}.{origin.column}{'' if origin.unchanged else '*'}"
            for origin in column.origins
        )
        equal = sorted(f"= {origin.table}.{origin.column}" for origin in column.equals)
        return " ".join(origins + equal)

    return {name: text(column) for name, column in found.items()}


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select id, x as y from s.a", {"id": "a.id", "y": "a.x"}),
        ('select ID, "X" from s.A', {"id": "a.id", "x": "a.x"}),
        ("select (id) as id, any_value(x) as x from s.a", {"id": "a.id", "x": "a.x"}),
        ('select "a b", "order" as o from s.odd', {"a b": "odd.a b", "o": "odd.order"}),
        ("with c as (select * from s.a) select id from c", {"id": "a.id"}),
        ("select q.id from (select * from s.a) as q", {"id": "a.id"}),
        ("from s.b", {"id": "b.id", "y": "b.y"}),
        ("from s.b select y", {"y": "b.y"}),
        ("select distinct id from s.a limit 3", {"id": "a.id"}),
        ("select id, max(x) as x from s.a group by all", {"id": "a.id", "x": "a.x*"}),
    ],
)
def test_distinguishes_unchanged_from_computed_columns(sql: str, expected: dict[str, str]) -> None:
    assert lineage(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1 as one, now() as at, count(*) as n from s.a", {"one": "", "at": "", "n": ""}),
        ("select x + id as z from s.a", {"z": "a.id* a.x*"}),
        ("select id::varchar as id from s.a", {"id": "a.id*"}),
        ("select case when x > 0 then at end as z from s.a", {"z": "a.at* a.x*"}),
        ("select x is null as gone, not gone as here from s.a", {"gone": "a.x*", "here": "a.x*"}),
        ("select lag(x) over (order by at) as w from s.a", {"w": "a.at* a.x*"}),
        ("select list_transform([x], v -> v + id) as l from s.a", {"l": "a.id* a.x*"}),
        ("select id, unnest([x, at]) as v from s.a", {"id": "a.id", "v": "a.at* a.x*"}),
        ("select t.v from s.a, unnest([x]) as t(v)", {"v": "a.x*"}),
        (
            "select id, (select max(y) from s.b where b.id = a.id) as y from s.a",
            {"id": "a.id", "y": "a.id* b.id* b.y*"},
        ),
        ("select n from generate_series(1, 3) as g(n)", {"n": ""}),
        ("select k from (values (1)) as v(k)", {"k": ""}),
    ],
)
def test_a_computed_column_has_all_its_inputs_as_origins(
    sql: str, expected: dict[str, str]
) -> None:
    assert lineage(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select * exclude (at) from s.a", {"id": "a.id", "x": "a.x"}),
        ("select * exclude (at) replace (x + 1 as x) from s.a", {"id": "a.id", "x": "a.x*"}),
        ("select a.*, y from s.a join s.b using (id)", ["id", "x", "at", "y"]),
        ("select * exclude (x, at) from s.a anti join s.b on b.id = a.id", ["id"]),
    ],
)
def test_stars_are_expanded(sql: str, expected: dict[str, str] | list[str]) -> None:
    found = lineage(sql)

    assert (found if isinstance(expected, dict) else list(found)) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select a.id from s.a join s.b on b.id = a.id and a.x > b.y", "a.id = b.id"),
        ("select a.id from s.a, s.b where a.id = b.id", "a.id = b.id"),
        ("select id from s.a join s.b using (id)", "a.id = b.id"),
        ("select a.id from s.a asof left join s.b on b.id = a.id and a.x >= b.y", "a.id = b.id"),
        ("select a.id from s.a join s.b on b.id = a.id or b.y = a.x", "a.id"),
        ("select a.id from s.a join s.b on b.id = a.id + 1", "a.id"),
        (
            "with j as (select a.id as k from s.a join s.b on b.id = a.id) select k as id from j",
            "a.id = b.id",
        ),
    ],
)
def test_a_join_equates_columns(sql: str, expected: str) -> None:
    assert lineage(sql) == {"id": expected}


def test_a_column_of_a_union_has_origins_in_all_parts() -> None:
    assert lineage("select id, x from s.a union all select id, y from s.b") == {
        "id": "a.id b.id",
        "x": "a.x b.y",
    }
    assert lineage("select id, x from s.a union all by name select y, id from s.b") == {
        "id": "a.id b.id",
        "x": "a.x",
        "y": "b.y",
    }
    assert lineage("select id from s.a union select id + 1 from s.a") == {"id": "a.id*"}


def test_a_union_with_a_constant_keeps_equalities_from_joins() -> None:
    joined = "select a.id from s.a join s.b on b.id = a.id"

    assert lineage(f"{joined} union all select null") == {"id": "a.id = b.id"}
    assert lineage(f"{joined} union all select x from s.a") == {"id": "a.id a.x"}


def test_a_recursive_select_adds_no_origins_by_reading_itself() -> None:
    sql = """
        with recursive r as (
            select id, 1 as n from s.a union all select r.id, n + 1 from r where n < 3
        )
        select id, n from r
    """
    assert lineage(sql) == {"id": "a.id", "n": ""}


def test_an_incremental_model_may_query_itself() -> None:
    sql = "select id, x from s.a where at > (select max(at) from s.itself) qualify at > x"
    assert lineage(sql) == {"id": "a.id", "x": "a.x"}


def test_unknown_origins_are_not_guessed() -> None:
    assert lineage("select id, y, y + 1 as z from s.unknown") == {"id": "?", "y": "?", "z": "?"}
    assert lineage("select id from read_parquet('x.parquet')") == {"id": "?"}
    assert lineage("select * from s.unknown") == {}
    assert lineage("select a.id, columns('x|at') as c from s.a") == {"id": "a.id", "c": "?"}


def test_reports_sql_that_cannot_be_parsed() -> None:
    assert isinstance(columns_of_select("select frm where )(", RELATIONS), str)
