"""DuckDB reads names of files as patterns: whatever a folder is called, it is that folder alone."""

from __future__ import annotations

import string
from pathlib import Path

import duckdb
import jinja2
import pytest

from lakefeed.duckdb_paths import as_pattern, writable_database
from lakefeed.sql import file_literal, literal

MACROS = Path("pipelines/lakefeed/transformation/dbt_package/macros/commit_log.sql")
NAMES = (
    *(f"a{sign}b" for sign in string.punctuation.replace("/", "") + " \n\té😀"),
    *("plain[1]", "[!a]", "[a-z]", "[]", "[[]]", "**", "a\\[b", "\\*", "a\\b[1]", "{x,y}", "${x}"),
    *("~", "-", "::", "a=1", "file:", "'; select 1; --", "%s", "{{ x }}"),
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each name, and some that its pattern would mean, with a file that says which."""
    root = tmp_path_factory.mktemp("folders")
    for name in (*NAMES, "axb", "plain1", "a", "x", "aab", "a\\xb"):
        folder = root / name
        folder.mkdir(exist_ok=True)
        duckdb.execute(
            f"copy (select {literal(name)} as name) to {literal(f'{folder}/one.parquet')}"
        )
    return root


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_file_is_read_from_its_own_folder_alone(folders: Path, name: str) -> None:
    file = str(folders / name / "one.parquet")

    read = duckdb.sql(
        f"select name, filename from read_parquet([{file_literal(file)}], filename = true, "
        "hive_partitioning = false)"
    ).fetchall()

    assert read == [(name, file)]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_macro_says_the_same(name: str) -> None:
    folder = f"/raw/{name}"
    macros = jinja2.Environment(extensions=["jinja2.ext.do"]).from_string(MACROS.read_text())
    said: list[str] = []

    macros.make_module({"return": said.append}).as_pattern(folder)  # type: ignore[attr-defined]

    # What follows the first `return` wouldn't be run by dbt.
    assert said[0] == as_pattern(folder)


def test_a_database_below_a_question_mark_is_written_whole_and_its_log_with_it(
    tmp_path: Path,
) -> None:
    """DuckDB would put the log into another folder, which isn't there."""
    file = tmp_path / "what?" / "warehouse.duckdb"
    file.parent.mkdir()
    for row in (1, 2):
        with writable_database(file) as path, duckdb.connect(str(path)) as session:
            session.execute("create table if not exists t (i int)")
            session.execute("insert into t values (?)", [row])

    with duckdb.connect(str(file), read_only=True) as session:
        assert session.execute("select current_database(), count(*) from t").fetchall() == [
            ("warehouse", 2)
        ]
    assert [path.name for path in file.parent.iterdir()] == ["warehouse.duckdb"]


def test_what_fails_there_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "what?" / "a.duckdb"
    file.parent.mkdir()
    with writable_database(file) as path:
        duckdb.connect(str(path)).close()
    before = file.read_bytes()

    with pytest.raises(RuntimeError), writable_database(file) as path:
        duckdb.connect(str(path)).execute("create table t (i int)")
        raise RuntimeError

    assert file.read_bytes() == before
