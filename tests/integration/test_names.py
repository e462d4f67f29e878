"""Names: any name in PostgreSQL works, or is refused before anything is written.

One table has a column for each name; others try those that meet most of dlt and dbt, as the name of
the table itself, and of its key and cursor.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lakefeed.orchestration.project.scaffold import write_scaffold
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.sql import quote
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure, only
from tests.integration.spelling import Row, lake_texts, raw, source_texts, staging

pytestmark = pytest.mark.builds

NAMES = (
    # Letters
    "MixedCase", "UPPER", "größe", "GRÜN", "名前", "имя", "ı", "👩‍👩‍👧‍👦", "e\u0301", "\u200b",
    "x" * 63, "ü" * 31, "1", "1st", "-1", "_", "__", "a__b", "a_b", "a-b", "dot.ted", ".", "..",
    # Space
    "with space", " around ", "tab\there", "new\nline", "\x01",
    # Characters with a meaning in SQL, SQLAlchemy, Jinja, YAML, shells or paths
    "a'b", "'", "''", "`", "back\\slash", "\\", "\\'", "100%", "%", "%%", "%s",
    "%(x)s", ":x", "a:b", "::text", "?", "$1", "$x$", "@x", "#", "*", "=", "!", "&", "~", "^", "|",
    "{x}", "{", "{{ x }}", "{%", "{#", "#}", "}}", "[x]", "(", ")", ",", ";", "'; drop table x; --",
    "-- x", "/* x", "<x>", "- x", "key: x", "${HOME}", "$(x)", "a/b", "../x", "a\\b",
    # Keywords of SQL and YAML, and Lakefeed's own names
    "select", "order", "group", "table", "user", "from", "null", "true", "yes", "123", "1e3",
    "files", "loads", "load_id", "snapshot_at", "position", "batch", "incoming", "held", "present",
    "new_rows", "staged", "newest_per_key", "this", "source_load", "row_number", "rowid", "ctid_",
    "filename", "file_row_number", "load_date", "model", "rows", "count", "_dlt_id", "value",
)  # fmt: skip
# A table's name, and that of its key.
TABLES = {
    "MixedCase": "UpperKey", "select": "order", "with space": "a b", "größe": "名前",
    "x" * 63: "x" * 60, "a'b": "a'b", "100%": "100%", ":x": ":x", "{{ y }}": "{{ x }}",
    "'; drop table x; --": "'; drop table x; --", "back\\slash": "back\\slash",
    "dot.ted": "dot.ted",
    "../etc": "where", "new\nline": "new\nline", " around ": " around ", 'c"d': "position",
}  # fmt: skip


@dataclass(frozen=True)
class Loaded:
    """All the tables, loaded and staged, some rows changed, loaded and staged again.

    `columns` has the only row as it is in the source, in raw and in staging.
    """

    reports: tuple[RunReport, RunReport]
    columns: tuple[Row, Row, Row]
    source: dict[str, list[Row]]
    staged: dict[str, list[Row]]


@pytest.fixture(scope="module")
def loaded(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """A table with a column for each name, and the tables that are named awkwardly themselves."""
    Database(server_url).execute("create database names encoding utf8 template template0")
    database = Database(server_url.replace("/postgres?", "/names?"))
    lake = Lake(tmp_path_factory.mktemp("names"))
    write_scaffold(lake.root)
    declared: dict[str, object] = {"columns": {"mode": "full_refresh"}}
    create_columns(database)
    for index, (table, key) in enumerate(TABLES.items()):
        create_table(database, table, key)
        declared[f"public.{table}"] = {
            "cursor": f"{key}_at",
            "lookback": "1h",
            "name": f"t_{index}",
        }
    lake.declare(yaml.safe_dump(declared, allow_unicode=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION_VARIABLE, database.url)
        first = lake.run()
        for table, key in TABLES.items():
            change = f"update {quote(table)} set note = 'new', {quote(key + '_at')} = now()"
            database.execute(f"{change} where {quote(key)} = 1")
        yield Loaded(
            (first, lake.run()),
            (
                *source_texts(database, "columns", NAMES),
                *lake_texts(lake, raw(lake, "shop__columns"), NAMES),
                *lake_texts(lake, staging("shop__columns"), NAMES),
            ),
            {
                table: source_texts(database, quote(table), [key, "note", f"{key}_at"])
                for table, key in TABLES.items()
            },
            {
                table: lake_texts(lake, staging(f"shop__t_{index}"), [key, "note", f"{key}_at"])
                for index, (table, key) in enumerate(TABLES.items())
            },
        )


def create_columns(database: Database) -> None:
    columns = ", ".join(f"{quote(name)} text" for name in NAMES)
    values = ", ".join(f"'value {index}'" for index in range(len(NAMES)))
    database.execute(f"create table columns ({columns})", f"insert into columns values ({values})")


def create_table(database: Database, table: str, key: str) -> None:
    """Every other key is composite, which takes another way through dbt."""
    composite = ", n" if list(TABLES).index(table) % 2 else ""
    database.execute(
        f"create table {quote(table)} ({quote(key)} int, n int, note text,"
        f" {quote(key + '_at')} timestamptz default now(), primary key ({quote(key)}{composite}))",
        f"insert into {quote(table)} values (1, 1, 'old'), (2, 1, 'same')",
    )


def test_tables_with_awkward_names_load_stage_and_pass_their_tests(loaded: Loaded) -> None:
    for report in loaded.reports:
        assert [str(table.error) for table in report.failures] == []
        assert report.build is not None
        assert [node.name for node in report.build.failures] == []


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_column_keeps_its_name_and_its_values(loaded: Loaded, name: str) -> None:
    index = NAMES.index(name)
    source, in_raw, staged = (row[index] for row in loaded.columns)

    assert source == f"value {index}"
    assert in_raw == source
    assert staged == source


@pytest.mark.parametrize("table", TABLES, ids=ascii)
def test_a_table_its_key_and_its_cursor_can_have_any_name(loaded: Loaded, table: str) -> None:
    assert [row[:2] for row in loaded.source[table]] == [("1", "new"), ("2", "same")]
    assert loaded.staged[table] == loaded.source[table]


def test_only_the_changed_row_of_an_awkwardly_named_table_is_written_again(loaded: Loaded) -> None:
    written = [table.rows_written for table in loaded.reports[1].tables]

    assert written == [0] + [1] * len(TABLES)


@pytest.mark.parametrize(
    ("name", "lake_name"),
    [
        ("Order Lines", "order_lines"),
        ("größe", "größe"),
        ("50% off!", "50_off"),
        ("x" * 63, "x" * 63),
    ],
)
def test_a_lake_name_consists_of_the_letters_and_digits_of_the_table_name(
    database: Database, lake: Lake, name: str, lake_name: str
) -> None:
    database.execute(f'create table "{name}" (id int)', f'insert into "{name}" values (1)')

    report = lake.declare(yaml.safe_dump({name: {"mode": "full_refresh"}})).load()

    assert only(report).lake_name == f"shop__{lake_name}"
    assert lake.raw(f"shop__{lake_name}", "id") == [(1,)]


@pytest.mark.parametrize("name", ['a"b', '"', " ", "a\rb"], ids=ascii)
def test_a_column_that_dbt_cannot_quote_is_refused_before_anything_is_written(
    database: Database, lake: Lake, name: str
) -> None:
    database.execute(f"create table t (id int, {quote(name)} int)", "insert into t values (1, 2)")

    refused = lake.declare("t: {mode: full_refresh}").load()

    assert "which dbt can't quote" in failure(refused)
    assert not (lake.root / "data" / "raw").exists()
    lake.declare(yaml.safe_dump({"t": {"mode": "full_refresh", "columns": {"exclude": [name]}}}))
    assert only(lake.load()).rows_written == 1
    assert lake.raw("shop__t", "id") == [(1,)]


@pytest.mark.parametrize("name", ["_dlt_load_id", "_Load_Position", "_STAGED_BATCH"])
def test_a_column_with_a_name_that_the_lake_reserves_is_refused(
    database: Database, lake: Lake, name: str
) -> None:
    database.execute(f'create table t (id int, "{name}" int)', "insert into t values (1, 2)")

    report = lake.declare("t: {mode: full_refresh}").load()

    assert f"has a column `{name}`, a name reserved by Lakefeed" in failure(report)
    assert not (lake.root / "data" / "raw").exists()


def test_columns_that_differ_only_in_case_are_refused(database: Database, lake: Lake) -> None:
    database.execute('create table t (id int, "Id" int)', "insert into t values (1, 2)")

    report = lake.declare("t: {mode: full_refresh}").load()

    assert "`id` and `Id`, which are the same name to DuckDB" in failure(report)
    assert not (lake.root / "data" / "raw").exists()


def test_a_table_with_1500_columns_is_loaded_and_staged(database: Database, lake: Lake) -> None:
    columns = ", ".join(f"c{number} int default {number}" for number in range(1500))
    database.execute(f"create table wide ({columns})", "insert into wide default values")

    report = lake.declare("wide: {mode: full_refresh}").run()

    assert report.exit_code == 0, report
    assert lake.query(
        "select * exclude (_dlt_load_id, _staged_batch) from staging.stg_shop__wide"
    ) == [tuple(range(1500))]
    assert only(lake.load()).status == "unchanged"


def test_columns_without_any_value_are_staged_with_their_types(
    database: Database, lake: Lake
) -> None:
    types = {"a": "int", "b": "numeric(9,2)", "c": "timestamptz", "d": "jsonb", "e": "uuid"}
    listed = ", ".join(f"{name} {type_}" for name, type_ in types.items())
    database.execute(f"create table t (id int primary key, {listed})")
    database.execute("insert into t (id) values (1), (2)")

    lake.declare("t: {mode: full_refresh}").run()

    assert lake.query(
        "select * exclude (_dlt_load_id, _staged_batch) from staging.stg_shop__t order by id"
    ) == [
        (1, None, None, None, None, None),
        (2, None, None, None, None, None),
    ]
    described = lake.query("describe select a, b, c, d, e from staging.stg_shop__t")
    assert [row[1] for row in described] == [
        "INTEGER", "DECIMAL(9,2)", "TIMESTAMP WITH TIME ZONE", "JSON", "UUID"
    ]  # fmt: skip


@pytest.mark.parametrize("mode", ["{mode: full_refresh}", "{cursor: Changed At}"])
def test_an_empty_table_with_awkward_names_is_staged_with_its_types(
    database: Database, lake: Lake, mode: str
) -> None:
    database.execute(
        'create table t ("{{ id }}" int primary key, "it\'s" numeric(4,1),'
        ' "Changed At" timestamptz)'
    )

    report = lake.declare(f"t: {mode}").run()

    assert report.exit_code == 0, report
    assert lake.files("shop__t") == []
    assert lake.query("select * from staging.stg_shop__t") == []
    described = lake.query("describe staging.stg_shop__t")
    assert [row[:2] for row in described][:3] == [
        ("{{ id }}", "INTEGER"),
        ("it's", "DECIMAL(4,1)"),
        ("Changed At", "TIMESTAMP WITH TIME ZONE"),
    ]


def test_the_dlt_command_finds_a_pipeline_with_awkward_names(
    database: Database, lake: Lake
) -> None:
    database.execute(
        """create table t (id int primary key, "it's" int, " at " timestamptz default now())""",
        "insert into t values (1, 2)",
    )
    lake.declare("t: {cursor: ' at '}").load()

    ours = ("SCHEMA__", "DLT_", "PROVIDERS__", "RUNTIME__")
    shell = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    command = [str(Path(sys.executable).with_name("dlt")), "pipeline", "shop__t", "info"]
    info = subprocess.run(
        command, cwd=lake.root, env=shell, capture_output=True, text=True, check=False
    )

    assert info.returncode == 0, info.stderr
