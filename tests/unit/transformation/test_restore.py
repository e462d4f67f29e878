"""Restoring a model to its published version: rows, definition and recorded loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from lakefeed.errors import BuildFailed
from lakefeed.transformation.manifest import Model
from lakefeed.transformation.warehouse.duckdb_file.restore import restore_models

PUBLISHED = """
create schema marts;
create table marts.t (id int primary key, "a word" varchar not null);
create index words on marts.t ("a word");
insert into marts.t values (1, 'one');
create view marts.v as select id from warehouse.marts.t;
create schema _lakefeed;
create table _lakefeed.staged_loads (
    model varchar, load_id varchar, snapshot_at varchar, batch bigint
);
insert into _lakefeed.staged_loads values ('t', '1.1', 'x', 1), ('other', '1.1', 'x', 1);
"""
REBUILT = """
drop view marts.v;
create table marts.v as select 7 as id;
drop table marts.t;
create view marts.t as select 2 as id;
create table marts.never as select 1 as id;
insert into _lakefeed.staged_loads values ('t', '1.2', 'x', 2), ('other', '1.2', 'x', 2);
"""


def model(name: str) -> Model:
    return Model(
        name=name,
        is_staging=False,
        description="",
        reads_models=(),
        reads_tables=(),
        schema="marts",
        identifier=name,
    )


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A published file, and a candidate in which its models were built differently."""
    published, candidate = tmp_path / "warehouse.duckdb", tmp_path / "candidate/warehouse.duckdb"
    candidate.parent.mkdir()
    for file, sql in ((published, PUBLISHED), (candidate, PUBLISHED + REBUILT)):
        with duckdb.connect(str(file)) as session:
            session.execute(sql)
    return candidate, published


def test_restores_a_model_to_its_published_version(files: tuple[Path, Path]) -> None:
    candidate, published = files

    restore_models(candidate, published, [model("t"), model("v"), model("never")])

    with duckdb.connect(str(candidate)) as session:
        assert session.sql("from marts.t").fetchall() == [(1, "one")]
        assert session.sql("from marts.v").fetchall() == [(1,)]
        there = "select table_name, table_type from information_schema.tables order by all"
        assert session.sql(f"{there} limit 3").fetchall() == [
            ("staged_loads", "BASE TABLE"), ("t", "BASE TABLE"), ("v", "VIEW"),
        ]  # fmt: skip
        with pytest.raises(duckdb.ConstraintException):
            session.execute("insert into marts.t values (1, 'again')")
        assert session.sql("select index_name from duckdb_indexes()").fetchall() == [("words",)]
        staged = "select model, load_id from _lakefeed.staged_loads order by all"
        assert session.sql(staged).fetchall() == [("other", "1.1"), ("other", "1.2"), ("t", "1.1")]


def test_reports_a_published_file_that_another_program_has_open(files: tuple[Path, Path]) -> None:
    candidate, published = files
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(published)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert writer.stdout is not None
    writer.stdout.readline()

    with pytest.raises(BuildFailed, match="the warehouse can't be opened"):
        restore_models(candidate, published, [model("t")])

    writer.communicate(b"\n")


def test_drops_a_model_that_was_never_published(files: tuple[Path, Path]) -> None:
    candidate, published = files
    published.unlink()

    restore_models(candidate, published, [model("t"), model("never")])

    with duckdb.connect(str(candidate)) as session:
        names = session.sql("select table_name from information_schema.tables").fetchall()
        assert sorted(names) == [("staged_loads",), ("v",)]
        staged = session.sql("select distinct model from _lakefeed.staged_loads").fetchall()
        assert staged == [("other",)]
