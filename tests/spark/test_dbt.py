"""Plain `dbt build` on Spark: the same rows as on DuckDB, whatever was loaded."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from lakefeed.demo.shop import create_shop, generate_shop
from lakefeed.demo.shop_events import live_a_day
from lakefeed.transformation.generate.dbt_packages import provide_dbt_package
from lakefeed.transformation.generate.generated_files import write_generated
from lakefeed.transformation.targets.spark_session import open_session
from tests.conftest import Database, Lake, ObjectStore, copy_shop_project
from tests.integration.test_macros import PROJECT

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]

SCHEMAS = ("staging", "history", "marts")
EVERY_TYPE = (
    "create table t (id numeric primary key, word text, price numeric(10, 2), whole int, u uuid,"
    " day date, clock time, at timestamptz, local timestamp, bytes bytea, x real,"
    " y float8, ok bool, fleeting text default 'old')",
    "insert into t select i, 'w' || i, i + 0.25, i, gen_random_uuid(), '1200-02-29', '12:34:56.5',"
    " '1500-01-01 00:00:00.000001+00', '9999-12-31 23:59:59.999999', '\\x00ff', 'NaN', '-Infinity',"
    " i = 2 from generate_series(1, 4) as i",
    "insert into t (id) values (5.50)",
    "update t set at = '2026-01-01 00:00:00+00' where id = 5.50",
    "create table whole (a int, b text)",
    "insert into whole values (1, 'x'), (1, 'x')",
)
LATER = (
    "update t set word = 'it''s \\ new', at = '2026-01-02 00:00:00+00' where id = 1",
    "delete from t where id = 2",
    "update t set id = 5.5, clock = '24:00:00', at = '2026-01-03 00:00:00+00' where id = 5.50",
    "insert into t (id, price, at) values (7, 7.125, '2026-01-02 00:00:00+00')",
    "insert into whole values (2, 'y')",
)
DECLARED = "t: {cursor: at, history: true, deletes: remove}\nwhole: {mode: full_refresh}"


def dbt(root: Path, *arguments: str) -> str:
    """What plain dbt says that fails; nothing if it succeeds."""
    command = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", *arguments]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return ended.stdout + ended.stderr if ended.returncode else ""


def build(lake: Lake) -> str:
    write_generated(lake.project)
    provide_dbt_package(lake.project)
    return dbt(lake.root / "dbt", "build")


def on_duckdb(lake: Lake) -> Lake:
    """A project that builds the same raw on DuckDB, each time it is called."""
    root = lake.root.with_name("on_duckdb")
    if not root.exists():
        ignored = shutil.ignore_patterns("target", "logs", "data", ".lakefeed")
        shutil.copytree(lake.root, root, ignore=ignored)
        (root / "data").mkdir()
    for name in ("sources.yaml", "sources.lock.yaml"):
        shutil.copy(lake.root / name, root / name)
    declaration = root / "sources.yaml"
    declared = yaml.safe_load(declaration.read_text())
    declared["warehouse"] = {"path": "data/warehouse.duckdb"}
    declaration.write_text(yaml.safe_dump(declared, sort_keys=False))
    other = replace(lake, root=root, warehouse="")
    assert build(other) == ""
    return other


def differences(lake: Lake, catalog: str) -> dict[str, Any]:
    """By relation, the rows that only DuckDB has, and those that only Spark has."""
    found = {}
    path = on_duckdb(lake).root / "data/warehouse.duckdb"
    session = open_session(lake.project.declaration.warehouse.remote or "", catalog)
    with duckdb.connect(str(path), read_only=True) as file:
        file.execute("set timezone = 'UTC'")
        tables = file.execute(
            "select table_schema, table_name, list([column_name, data_type])"
            f" from information_schema.columns where table_schema in {SCHEMAS}"
            " and column_name <> '_staged_batch' group by all"
        ).fetchall()
        for schema, table, columns in tables:
            # Spark has times of the day as DuckDB's texts.
            on_duckdb_sql, on_spark_sql = (
                ", ".join(
                    f"cast({mark}{name}{mark} as varchar)"
                    if kind == "TIME" and mark == '"'
                    else f"{mark}{name}{mark}"
                    for name, kind in columns
                )
                for mark in '"`'
            )
            read = f"from {schema}.{table}"
            ours = counted(file.execute(f"select {on_duckdb_sql} {read}").to_arrow_table())
            theirs = counted(session.arrow(f"select {on_spark_sql} {read}"))
            if ours != theirs:
                found[f"{schema}.{table}"] = (ours - theirs, theirs - ours)
    assert tables
    return found


def counted(table: Any) -> Counter[str]:
    """The rows by their texts: no NaN equals another."""
    columns = [column.to_pylist() for column in table.columns]
    rows = (tuple(map(as_text, row)) for row in zip(*columns, strict=True))
    return Counter(map(str, rows))


def as_text(value: Any) -> str:
    plain = value.normalize() if hasattr(value, "normalize") else value
    return str(plain)


@pytest.mark.at_night
def test_the_macros_pass_their_dbt_unit_tests(warehouse: str, tmp_path: Path) -> None:
    project = Path(shutil.copytree(PROJECT, tmp_path / "macros"))
    package = Path(str(files("lakefeed.transformation") / "dbt_package"))
    (project / "dbt_packages").mkdir()
    (project / "dbt_packages" / "lakefeed").symlink_to(package, target_is_directory=True)
    output = {**yaml.safe_load(warehouse), "type": "lakefeed_spark", "schema": "main", "threads": 1}
    profile = {"macros": {"target": "spark", "outputs": {"spark": output}}}
    (project / "profiles.yml").write_text(yaml.safe_dump(profile))

    assert dbt(project, "build") == ""


def test_every_type_is_the_same_as_on_duckdb_and_so_is_what_changes_later(
    lake: Lake, database: Database, catalog: str
) -> None:
    database.execute(*EVERY_TYPE)
    assert lake.declare(DECLARED).load().exit_code == 0
    assert build(lake) == ""
    assert differences(lake, catalog) == {}

    # The new places of a decimal and a wider integer need a fitted table before the merge.
    database.execute(
        "alter table t alter price type numeric(12, 4), alter whole type bigint, drop fleeting",
        *LATER,
    )
    assert lake.load().exit_code == 0
    assert build(lake) == ""
    assert differences(lake, catalog) == {}


@pytest.mark.at_night
def test_a_build_that_was_killed_before_it_recorded_its_loads_is_repeated_without_a_trace(
    lake: Lake, database: Database, spark: Callable[[str], Any]
) -> None:
    database.execute(*EVERY_TYPE)
    assert lake.declare(DECLARED).load().exit_code == 0
    assert build(lake) == ""

    def rows() -> dict[str, Counter[str]]:
        tables = ("staging.stg_shop__t", "staging.stg_shop__whole", "history.hst_shop__t")
        found = {table: spark(f"select * except (_staged_batch) from {table}") for table in tables}
        # As texts: no NaN equals another.
        return {table: Counter(map(str, listed)) for table, listed in found.items()}

    before = rows()
    spark("delete from _lakefeed.staged_loads where true")
    assert build(lake) == ""

    assert rows() == before


@pytest.mark.at_night
def test_what_spark_would_read_wrongly_or_not_at_all_stops_the_model(
    lake: Lake, database: Database, store: ObjectStore
) -> None:
    database.execute(
        "create table ends (id int primary key, until date, at timestamptz)",
        "insert into ends values (1, 'infinity', now())",
        "create table emptied (id int primary key, at timestamptz)",
        "insert into emptied select i, now() from generate_series(1, 3) as i",
    )
    assert lake.declare("ends: {cursor: at}\nemptied: {cursor: at}").load().exit_code == 0
    with duckdb.connect() as session:
        from lakefeed.loading.object_store.duckdb_access import give_access

        give_access(session, lake.project.raw)
        (file,) = lake.files("shop__emptied")
        session.execute(f"create table rows as from 's3://{file}' limit 1")
        session.execute(f"copy rows to 's3://{file}' (format parquet)")

    said = build(lake)

    assert "column until holds infinity" in said
    assert "isn't whole (rows in its manifest: 3, rows read: 1)" in said


@pytest.mark.at_night
def test_the_demos_marts_are_the_same_as_on_duckdb(
    lake: Lake,
    database: Database,
    catalog: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.rmtree(lake.root)
    copy_shop_project(lake.root)
    monkeypatch.setenv("SHOP_DATABASE_URL", database.url)
    with closing(database.connect()) as session:
        create_shop(session, generate_shop(0.02, 7))
    declaration = lake.root / "sources.yaml"
    declared = yaml.safe_load(declaration.read_text())
    declared |= {"warehouse": yaml.safe_load(lake.warehouse), "raw": {"url": lake.raw_url}}
    declaration.write_text(yaml.safe_dump(declared, sort_keys=False))
    assert lake.load().exit_code == 0
    assert build(lake) == ""
    assert differences(lake, catalog) == {}

    with closing(database.connect()) as session:
        live_a_day(session, 3)
    assert lake.load().exit_code == 0
    assert build(lake) == ""
    assert differences(lake, catalog) == {}
