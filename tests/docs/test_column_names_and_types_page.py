"""docs/column-names-and-types.md: its declarations give the values that the page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_database, new_lake_at

PAGE = Path(__file__).resolve().parents[2] / "docs/column-names-and-types.md"
PARTS = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
NAMED = re.compile(r"^\| `([\w ]+)` \| `(\w+)` \| (.+?) \|$", re.MULTILINE)
TYPED = re.compile(r"^\| (.+) \| (\w+) \| `(\w+)` .+ \| (.+) \|$", re.MULTILINE)
FORMED = re.compile(r"^\| (.+) \| ([\w\[\]]+) \| `(\w+)` as .+ \| (.+) \|$", re.MULTILINE)

VALUES = re.compile(r"^\| `.+` \| [\w(),]+ \| `(payload__\S+)` \| (.+) \|$", re.MULTILINE)
DOCUMENT = re.compile(r"```json\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def lake_of_the_page(
    place: str, server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lake]:
    with pytest.MonkeyPatch.context() as patch:
        database = new_database(server_url)
        patch.setenv(CONNECTION_VARIABLE, database.url)
        _create_tables(database)
        lake = new_lake_at(place, tmp_path_factory.mktemp("page"))
        declared = [re.search(r"```yaml\n(.*?)```", part, re.DOTALL) for part in PARTS]
        defaults, _, tables = declared[0][1].partition("tables:\n")
        tables += "".join(found[1].partition("tables:\n")[2] for found in declared[1:] if found)
        text = f"{defaults}tables:\n{tables}"
        indented = "".join(f"    {line}" for line in text.splitlines(keepends=True))
        (lake.root / "sources.yaml").write_text(
            f"version: 1\nsources:\n  shop:\n    connection: ${{{CONNECTION_VARIABLE}}}\n{indented}"
        )
        assert lake.run().exit_code == 0
        yield lake


def _create_tables(database: Database) -> None:
    people = ", ".join(f"'{v}'::text as \"{name}\"" for name, _, v in NAMED.findall(PARTS[0]))
    orders = ", ".join(f"'{v}'::{kind} as {name}" for v, kind, name, _ in TYPED.findall(PARTS[1]))
    events = ", ".join(f"'{v}'::{kind} as {name}" for v, kind, name, _ in FORMED.findall(PARTS[2]))
    (document,) = DOCUMENT.findall(PARTS[3])
    database.execute(
        f"create table visits as select 1 as id, '{document}'::jsonb as payload",
        "alter table visits add primary key (id)",
        f"create table events as select 1 as id, {events}",
        "alter table events add primary key (id)",
        f'create table people as select {people}, now() as "Changed"',
        'alter table people add primary key ("Person No")',
        f"create table orders as select 1 as id, {orders}",
        "alter table orders add primary key (id)",
    )


def test_the_names_of_the_page_are_those_in_staging(lake_of_the_page: Lake) -> None:
    shown = NAMED.findall(PARTS[0])
    names = ", ".join(new for _, new, _ in shown)

    found = lake_of_the_page.query(f"select {names} from staging.stg_shop__people")

    assert found == [tuple(value for _, _, value in shown)]


@pytest.mark.parametrize(("table", "rows", "part"), [("orders", TYPED, 1), ("events", FORMED, 2)])
def test_the_types_of_the_page_give_its_values(
    lake_of_the_page: Lake, table: str, rows: re.Pattern[str], part: int
) -> None:
    shown = rows.findall(PARTS[part])
    names = ", ".join(f"{name}::varchar" for _, _, name, _ in shown)

    found = lake_of_the_page.query(f"select {names} from staging.stg_shop__{table}")

    assert found == [tuple(value for *_, value in shown)]


def test_the_values_in_json_of_the_page_are_those_in_staging(lake_of_the_page: Lake) -> None:
    shown = VALUES.findall(PARTS[3])
    names = ", ".join(f'"{name}"::varchar' for name, _ in shown)

    found = lake_of_the_page.query(f"select {names} from staging.stg_shop__visits")

    assert len(shown) == 7
    assert found == [tuple(value for _, value in shown)]
