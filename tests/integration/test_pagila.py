"""Pagila, a database that we did not make: loaded, staged, and compared value by value.

The dump lies outside of the project and is never copied into it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.raw.table_folders import BUILDS_FOLDER
from lakefeed.orchestration.reports.run_report import RunReport
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_database, new_lake_at
from tests.integration.spelling import Row, lake_texts, source_texts, staging

HERE = Path(__file__).resolve()
SHARED = Path(os.environ.get("LAKEFEED_SHARED", HERE.parents[3] / "shared"))
DUMP = SHARED / "data" / "pagila.sql.gz"
DECLARATION = HERE.with_name("pagila.yaml")
TABLES = sorted(yaml.safe_load(DECLARATION.read_text())["sources"]["pagila"]["tables"])

# psql's own: rows between a COPY and a line with a backslash and a dot.
COPY = re.compile(r"^(COPY [^\n]* FROM stdin;)\n(.*?)^\\\.\n", re.MULTILINE | re.DOTALL)

pytestmark = [
    pytest.mark.on_store(at_night=True),
    pytest.mark.skipif(
        not DUMP.exists(),
        reason=f"no {DUMP.name} in {DUMP.parent}; LAKEFEED_SHARED names its folder",
    ),
]

# Pagila's own triggers move `last_update`, and `fulltext` with it.
A_DAY_IN_THE_SHOP = (
    "update film set title = 'ÜBER \"DINOSAUR\"', rental_rate = 0.10 where film_id = 1",
    'update film set description = null, special_features = \'{"a,b",NULL,""}\' where film_id = 2',
    "update film set rating = 'NC-17', release_year = 2155, length = null where film_id = 3",
    "update customer set email = null, activebool = false, active = null where customer_id = 5",
    "update rental set return_date = now() where rental_id in (select rental_id from rental"
    " where return_date is null order by rental_id limit 3)",
    "insert into rental (rental_date, inventory_id, customer_id, staff_id) values (now(), 1, 5, 1)",
    "update staff set picture = '\\x00ff5c27', password = null where staff_id = 2",
    "insert into actor (first_name, last_name) values ('', E'O''NEILL\\n')",
    "insert into film_actor (actor_id, film_id) select max(actor_id), 1 from actor",
    "insert into payment (customer_id, staff_id, rental_id, amount, payment_date)"
    " values (5, 1, 1, 0.10, '2022-07-31 23:59:59.999999+00')",
    "update payment set amount = -0.01 where payment_id = (select payment_id from payment"
    " where payment_date < '2022-07-31' order by payment_date desc limit 1)",
    "delete from film_category where film_id in (7, 8)",
    "update language set name = 'Français' where name = 'French'",
)
CHANGED = {"actor": 1, "customer": 1, "film": 3, "film_actor": 1, "payment": 2, "rental": 4,
           "staff": 1}  # fmt: skip
COPIED_WHOLE = {"film_category": 998, "language": 6}


@dataclass(frozen=True)
class Stage:
    """What a run did, what the source held by then, and what staging held after it."""

    report: RunReport
    source: dict[str, list[Row]]
    staged: dict[str, list[Row]]
    files: dict[str, str]


@pytest.fixture(scope="module")
def stages(
    place: str, server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Stage]]:
    """Three runs: the first, one after a day in the shop, and one that finds nothing new."""
    database = new_database(server_url)
    restore(database)
    lake = new_lake_at(place, tmp_path_factory.mktemp("pagila"))
    raw = f"raw: {{url: '{lake.raw_url}'}}\n" if lake.raw_url else ""
    (lake.root / "sources.yaml").write_text(DECLARATION.read_text() + raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION_VARIABLE, database.url)
        first = stage(database, lake)
        database.execute(*A_DAY_IN_THE_SHOP)
        yield [first, stage(database, lake), stage(database, lake)]


def restore(database: Database) -> None:
    """Does as psql does, which not every machine has."""
    script = gzip.decompress(DUMP.read_bytes()).decode()
    session = database.connect()
    session.autocommit = True
    with session.cursor() as cursor:
        before = 0
        for copy in COPY.finditer(script):
            # Comments alone, as between two COPYs, are no query.
            cursor.execute("select;" + script[before : copy.start()])
            cursor.copy_expert(copy[1], io.StringIO(copy[2]))
            before = copy.end()
        cursor.execute(script[before:])
    session.close()


def stage(database: Database, lake: Lake) -> Stage:
    report = lake.run()
    columns = {table: columns_of(database, table) for table in TABLES}
    return Stage(
        report,
        {table: source_texts(database, table, columns[table]) for table in TABLES},
        {table: lake_texts(lake, staging(f"pagila__{table}"), columns[table]) for table in TABLES},
        files_of_raw(lake),
    )


def files_of_raw(lake: Lake) -> dict[str, str]:
    """The digest of each file below raw, by its path, but for those that are replaced: the packs of
    manifests in a store, and the record of what was built."""
    files, root = open_raw(lake.project.raw)
    written_once = (
        path
        for path in files.find(root)
        if Path(path).name != "packed" and Path(path).parent.name != BUILDS_FOLDER
    )
    return {path: hashlib.sha256(files.cat_file(path)).hexdigest() for path in written_once}


def columns_of(database: Database, table: str) -> list[str]:
    query = f"select attname from pg_attribute where attrelid = '{table}'::regclass and attnum > 0"
    return [row[0] for row in database.rows(query)]


def written(stage: Stage) -> dict[str, int]:
    """Rows written by table, where there were any."""
    tables = stage.report.tables
    return {table.name.partition(".")[2]: table.rows_written for table in tables if table.load_id}


def test_every_base_table_is_declared_and_loaded(stages: list[Stage]) -> None:
    first = stages[0]

    assert len(TABLES) == 15
    assert first.report.exit_code == 0, first.report
    assert written(first) == {table: len(rows) for table, rows in first.source.items()}


@pytest.mark.parametrize("table", TABLES)
def test_every_value_is_staged_as_postgresql_shows_it(stages: list[Stage], table: str) -> None:
    assert stages[0].source[table]
    assert stages[0].staged[table] == stages[0].source[table]


@pytest.mark.parametrize("table", TABLES)
def test_after_changes_every_value_is_staged_as_postgresql_shows_it(
    stages: list[Stage], table: str
) -> None:
    assert (stages[1].source[table] != stages[0].source[table]) == (table in CHANGED | COPIED_WHOLE)
    assert stages[1].staged[table] == stages[1].source[table]


def test_the_second_run_writes_what_changed_and_refreshed_tables_that_did(
    stages: list[Stage],
) -> None:
    assert stages[1].report.exit_code == 0
    assert written(stages[1]) == CHANGED | COPIED_WHOLE


def test_the_second_run_builds_only_the_models_of_tables_that_changed(stages: list[Stage]) -> None:
    build = stages[1].report.build

    assert build is not None
    models = {node.name for node in build.nodes if node.kind == "model"}
    assert models == {f"stg_pagila__{table}" for table in CHANGED | COPIED_WHOLE}


def test_no_later_run_touches_a_file_of_an_earlier_one(stages: list[Stage]) -> None:
    first, second, third = (stage.files for stage in stages)

    assert len(second) > len(first) > len(TABLES)
    assert {path: second.get(path) for path in first} == first
    assert third == second


def test_a_run_that_finds_nothing_new_writes_nothing_and_starts_no_dbt(
    stages: list[Stage],
) -> None:
    third = stages[2]

    assert {table.status for table in third.report.tables} == {"unchanged"}
    assert third.report.build is None
    assert third.staged == third.source
