"""Schema changes between loads, from the read contract that each load recorded."""

from __future__ import annotations

from dataclasses import replace

from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.orchestration.reports.schema_history import schema_changes

FIRST = ReadContract(
    cursor="updated_at",
    key=("id",),
    where=None,
    initial_value=None,
    columns={"id": "integer", "name": "varchar"},
    identity=7,
)


def a_load(second: int, read_as: ReadContract | None) -> Load:
    return Load(
        load_id=f"179546392{second}.5",
        table="shop__a",
        supersedes=False,
        snapshot_at=f"2026-11-25T00:00:0{second}",
        rows_read=1,
        rows=1,
        null_cursors=0,
        cursor="updated_at",
        cursor_min=None,
        cursor_max=None,
        checkpoint_before=None,
        checkpoint=None,
        read_as=read_as,
    )


def changes(*contracts: ReadContract | None) -> list[tuple[str, ...]]:
    loads = [a_load(second, contract) for second, contract in enumerate(contracts)]
    return [
        (change.load_id[-3:], change.kind, change.column, change.before, change.after)
        for change in schema_changes("shop.a", loads)
    ]


def test_reports_added_removed_and_retyped_columns() -> None:
    columns = {"id": "bigint", "note": "varchar"}

    assert changes(FIRST, FIRST, replace(FIRST, columns=columns)) == [
        ("2.5", "retyped", "id", "integer", "bigint"),
        ("2.5", "added", "note", "", "varchar"),
        ("2.5", "removed", "name", "varchar", ""),
    ]


def test_reports_changes_of_key_cursor_condition_inheritance_and_identity() -> None:
    second = replace(FIRST, key=("id", "name"), cursor="changed_at")
    third = replace(second, where="id > 3", only=True, identity=8)

    assert changes(FIRST, second, third) == [
        ("1.5", "key", "", "id", "id, name"),
        ("1.5", "cursor", "", "updated_at", "changed_at"),
        ("2.5", "where", "", "", "id > 3"),
        ("2.5", "only", "", "false", "true"),
        ("2.5", "recreated", "", "", ""),
    ]


def test_loads_without_a_recorded_contract_are_skipped() -> None:
    assert changes(FIRST, None, FIRST) == []
