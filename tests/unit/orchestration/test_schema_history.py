"""What changed between loads, told from what each noted."""

from __future__ import annotations

from dataclasses import replace

from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.orchestration.reports.schema_history import schema_changes

FIRST = ReadContract("updated_at", ("id",), None, None, {"id": "integer", "name": "varchar"}, 7)


def a_load(second: int, read_as: ReadContract | None) -> Load:
    return Load(
        f"179546392{second}.5", "shop__a", False, f"2026-11-25T00:00:0{second}", 1, 1, 0,
        "updated_at", None, None, None, None, read_as=read_as,
    )  # fmt: skip


def changes(*noted: ReadContract | None) -> list[tuple[str, ...]]:
    loads = [a_load(second, one) for second, one in enumerate(noted)]
    return [
        (one.load_id[-3:], one.kind, one.column, one.before, one.after)
        for one in schema_changes("shop.a", loads)
    ]


def test_columns_that_came_went_and_changed_their_type() -> None:
    columns = {"id": "bigint", "note": "varchar"}

    assert changes(FIRST, FIRST, replace(FIRST, columns=columns)) == [
        ("2.5", "retyped", "id", "integer", "bigint"),
        ("2.5", "added", "note", "", "varchar"),
        ("2.5", "removed", "name", "varchar", ""),
    ]


def test_another_key_cursor_or_condition_other_tables_and_one_created_anew() -> None:
    second = replace(FIRST, key=("id", "name"), cursor="changed_at")
    third = replace(second, where="id > 3", only=True, identity=8)

    assert changes(FIRST, second, third) == [
        ("1.5", "key", "", "id", "id, name"),
        ("1.5", "cursor", "", "updated_at", "changed_at"),
        ("2.5", "where", "", "", "id > 3"),
        ("2.5", "only", "", "false", "true"),
        ("2.5", "created anew", "", "", ""),
    ]


def test_loads_that_noted_nothing_are_passed_over() -> None:
    assert changes(FIRST, None, FIRST) == []
