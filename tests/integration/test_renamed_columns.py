"""Columns with another name in staging: raw keeps the source's names."""

from __future__ import annotations

import pytest

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.project.sync import sync
from tests.conftest import Database, Lake, failure

pytestmark = pytest.mark.builds

PEOPLE = (
    'create table people ("Person No" int primary key, "Full Name" text, full_age int, '
    '"Changed" timestamptz default now())',
    """insert into people values (1, 'Ann', 41), (2, 'Bob', 42)""",
)
DECLARED = """
people:
  cursor: Changed
  primary_key: ["Person No"]
  deletes: remove
  history: true
  columns: {columns}
  tests: {columns: {full_name: {not_null: true}, person_no: {range: {min: 1}}}}
"""
NAMES = '{"Person No": {name: person_no}, "Full Name": {name: full_name}, Changed: {name: changed}}'


def declared(names: str = NAMES, *, mode: str = "") -> str:
    return DECLARED.replace("{columns}", names) + mode


def staged(lake: Lake, columns: str = "person_no, full_name") -> list[tuple[object, ...]]:
    return lake.query(f"select {columns} from staging.stg_shop__people order by 1")


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_rows_are_merged_compared_and_traced_under_the_new_names(
    database: Database, lake: Lake
) -> None:
    database.execute(*PEOPLE)
    lake.declare(declared())
    assert lake.run().exit_code == 0
    database.execute(
        """update people set "Full Name" = 'Anna', "Changed" = clock_timestamp()"""
        """ where "Person No" = 1""",
        'delete from people where "Person No" = 2',
        """insert into people values (3, 'Cy', 1, clock_timestamp())""",
    )

    again = lake.run()
    audited = lake.command("audit")
    traced = lake.command("trace", "shop.people", "1")

    assert again.exit_code == 0
    assert staged(lake) == [(1, "Anna"), (3, "Cy")]
    assert lake.raw("shop__people", '"Full Name"')
    versions = lake.query(
        "select full_name, is_current from history.hst_shop__people where person_no = 1 order by 2"
    )
    assert versions == [("Ann", False), ("Anna", True)]
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert traced.returncode == 0, traced.stderr
    assert "full_name" in traced.stdout


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_another_name_later_reads_no_row_again_and_loses_none(
    database: Database, lake: Lake
) -> None:
    database.execute(*PEOPLE)
    key = '"Person No": {name: person_no}'
    lake.declare(declared(f'{{{key}, "Full Name": {{name: full_name}}}}'))
    lake.run()
    lake.declare(
        declared(f'{{{key}, "Full Name": {{name: full_age}}, full_age: {{name: full_name}}}}')
    )

    swapped = lake.run()

    assert swapped.exit_code == 0, swapped.failures
    assert [table.rows_written for table in swapped.tables] == [0]
    assert staged(lake, "person_no, full_age, full_name") == [(1, "Ann", 41), (2, "Bob", 42)]

    lake.declare(declared('{"Full Name": {name: full_name}}').replace("person_no:", "Person No:"))
    lake.run()

    assert staged(lake, '"Person No", full_age, full_name') == [(1, 41, "Ann"), (2, 42, "Bob")]
    columns = [row[0] for row in lake.query("describe staging.stg_shop__people")]
    assert columns[:4] == ["Person No", "full_name", "full_age", "Changed"]
    assert len(columns) == 6


def test_a_name_that_another_column_has_is_refused_with_its_place(
    database: Database, lake: Lake
) -> None:
    database.execute(*PEOPLE)
    lake.declare('people: {cursor: Changed, columns: {"Full Name": {name: FULL_AGE}}}')

    failed = failure(lake.load())

    assert "names `Full Name` `FULL_AGE`, the name of `full_age` in staging" in failed
    assert "sources.yaml:" in failed
    with pytest.raises(DeclarationError, match=r"sources.yaml:\d+:\d+: `columns` of shop.people"):
        sync(lake.project)
    lake.declare(
        'people: {cursor: Changed, columns: {exclude: [full_age], "Full Name": {name: FULL_AGE}}}'
    )
    assert lake.load().exit_code == 0
