"""A project works in any folder, behind symbolic links, as a copy, and in any locale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from lakefeed.declaration.project import open_project
from lakefeed.demo.server import embedded_postgres
from lakefeed.errors import DeclarationError, StorageFailed
from lakefeed.orchestration.build.rebuild import rebuild
from lakefeed.orchestration.build.rollback import roll_back
from lakefeed.orchestration.checks.check import check
from lakefeed.transformation.generate.dbt_packages import link_dbt_package
from tests.conftest import Database, Lake, copy_of, new_lake, only

pytestmark = pytest.mark.builds

ODD = "what? 100% #1 [2] *{{x}}* 'a' \"b\" c\\d ::e=f; ${HOME} $(g) ~é名\nz"
ROWS = "select id, word from staging.stg_shop__a order by id"


@pytest.fixture
def table(database: Database) -> Database:
    database.execute(
        "create table a (id int primary key, word text, at timestamptz default now())",
        "insert into a values (1, 'one')",
    )
    return database


def declare(lake: Lake, more: str = "") -> Lake:
    lake.declare("a: {cursor: at, history: true}")
    with (lake.root / "sources.yaml").open("a", encoding="utf-8") as declaration:
        declaration.write(more)
    return lake


def change(database: Database, id: int, word: str) -> None:
    database.execute(
        f"insert into a values ({id}, '{word}') on conflict (id) do update"
        f" set word = '{word}', at = clock_timestamp()"
    )


def test_a_project_works_in_any_folder_with_its_raw_layer_in_another(
    table: Database, tmp_path: Path
) -> None:
    lake = new_lake(tmp_path / ODD)
    quoted = ODD.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    declare(lake, f'raw: {{url: "data/{quoted}"}}\n')

    first = lake.run()
    change(table, 1, "uno")
    change(table, 2, "two")
    second = lake.run()
    again = rebuild(lake.project)

    assert (first.exit_code, second.exit_code, again.exit_code) == (0, 0, 0), (first, second)
    assert lake.query(ROWS) == [(1, "uno"), (2, "two")]
    assert lake.query("select id, word from history.hst_shop__a order by id, valid_from") == [
        (1, "one"), (1, "uno"), (2, "two"),
    ]  # fmt: skip
    assert lake.load().tables[0].status == "unchanged"
    assert [path.name for path in tmp_path.iterdir()] == [ODD]
    assert roll_back(lake.project).returned_to


def test_a_folder_with_a_pattern_as_its_name_reads_nothing_from_other_folders(
    table: Database, tmp_path: Path
) -> None:
    neighbours = [declare(new_lake(tmp_path / name)) for name in ("plain1", "plain[1]", "plain?")]
    for id, lake in enumerate(neighbours, start=2):
        change(table, id, "more")
        assert only(lake.load()).rows_written == id

    assert [len(lake.raw("shop__a")) for lake in neighbours] == [2, 3, 4]


@pytest.mark.parametrize(
    ("url", "folder"),
    [("file://{root}/my%20raw%3F", "my raw?"), ("file://localhost{root}/a%2520b", "a%20b")],
)
def test_a_file_url_names_a_folder_literally(
    table: Database, lake: Lake, url: str, folder: str
) -> None:
    declare(lake, f'raw: {{url: "{url.format(root=lake.root)}"}}\n')

    lake.load()

    assert sorted(path.name for path in (lake.root / folder).iterdir()) == [
        "_lakefeed_id", "shop__a",
    ]  # fmt: skip
    assert lake.project.seen_from_dbt(lake.project.declaration.raw.url) == f"{lake.root}/{folder}"


def test_the_target_of_a_link_is_replaced_and_the_link_stays(
    table: Database, tmp_path: Path
) -> None:
    lake = declare(new_lake(tmp_path / "project"))
    (tmp_path / "disk").mkdir()
    shutil.rmtree(lake.root / "data")
    (lake.root / "data").symlink_to(tmp_path / "disk")
    link, target = lake.root / "data/warehouse.duckdb", tmp_path / "elsewhere" / "sales.duckdb"
    target.parent.mkdir()
    link.symlink_to(target)

    lake.run()
    change(table, 1, "uno")
    lake.run()

    assert link.readlink() == target
    assert lake.query(ROWS) == [(1, "uno")]
    with duckdb.connect(str(target), read_only=True) as session:
        assert session.execute(ROWS).fetchall() == [(1, "uno")]
    # Run by hand, dbt names the database as DuckDB does: after the file.
    assert f"path: {target}" in (lake.root / "dbt/profiles.yml").read_text()
    roll_back(lake.project)
    assert link.readlink() == target
    assert lake.query(ROWS) == [(1, "one")]


def test_dbt_behind_a_link_finds_the_raw_layer(table: Database, lake: Lake, tmp_path: Path) -> None:
    declare(lake)
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    shutil.move(lake.root / "dbt", tmp_path / "elsewhere/deep/dbt")
    (lake.root / "dbt").symlink_to(tmp_path / "elsewhere/deep/dbt")

    seen = lake.project.seen_from_dbt("data/raw")

    assert ((lake.root / "dbt").resolve() / seen).resolve() == (lake.root / "data/raw").resolve()


@pytest.mark.parametrize("name", ["data", "data/raw", "data/warehouse.duckdb"])
def test_a_broken_link_is_refused_before_anything_is_read_or_written(
    table: Database, lake: Lake, name: str
) -> None:
    declare(lake)
    link = lake.root / name
    if link.is_dir():
        shutil.rmtree(link)
    link.symlink_to("/not/mounted/here")
    before = sorted(lake.root.rglob("*"))

    with pytest.raises(StorageFailed) as raised:
        lake.run()

    assert str(raised.value).startswith(f"{link} -> /not/mounted/here: no such file or folder")
    assert sorted(lake.root.rglob("*")) == before
    if name != "data/warehouse.duckdb":
        assert str(link) in lake.command("status").stderr
        assert any(str(link) in str(error) for error in check(lake.project).errors)


def test_a_copy_of_a_project_is_independent_whether_links_were_followed_or_not(
    table: Database, lake: Lake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    declare(lake).run()
    plain, followed = (tmp_path_factory.mktemp(name) for name in ("plain", "followed"))
    copy_of(lake, plain)
    shutil.copytree(lake.root, followed, symlinks=False, dirs_exist_ok=True)
    shutil.rmtree(lake.root)
    change(table, 2, "two")

    for root in (plain, followed):
        copy = Lake(root)
        assert copy.load().tables[0].rows_written == 1
        assert copy.command("check").returncode == 0
    assert Lake(followed).run().exit_code == 0
    assert Lake(followed).query(ROWS) == [(1, "one"), (2, "two")]


def test_copied_macros_are_accepted_while_they_are_unchanged(lake: Lake) -> None:
    declare(lake)
    package = lake.root / "dbt/dbt_packages/lakefeed"
    link_dbt_package(lake.project)
    ours = package.readlink()
    package.unlink()
    shutil.copytree(ours, package)

    link_dbt_package(lake.project)
    was_left = not package.is_symlink()
    (package / "macros/staging.sql").write_text("old")
    link_dbt_package(lake.project)

    assert was_left
    assert package.readlink() == ours


def test_a_link_to_macros_that_this_user_may_not_look_at_is_replaced(lake: Lake) -> None:
    declare(lake)
    package = lake.root / "dbt/dbt_packages/lakefeed"
    link_dbt_package(lake.project)
    ours = package.readlink()
    package.unlink()
    # The system refuses to look at so long a name, to root as well.
    package.symlink_to("/root/" + "x" * 300)

    link_dbt_package(lake.project)

    assert package.readlink() == ours


@pytest.mark.by_day(1)
@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"HOME": "/not/there", "TMPDIR": "/not/there"},
    ],
    ids=str,
)
def test_a_load_works_in_any_locale_and_without_a_home_folder(
    table: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    lake = declare(new_lake(tmp_path / "größe"))

    ended = lake.process("load", **environment)

    assert ended.returncode == 0, ended.stderr
    assert "bug in Lakefeed" not in ended.stderr
    assert "1 row in" in ended.stdout
    assert lake.raw("shop__a", "id, word") == [(1, "one")]


def test_a_command_works_from_any_folder_of_the_project(table: Database, lake: Lake) -> None:
    declare(lake).load()
    inside = Lake(lake.root / "dbt" / "models")

    status, wrong = inside.command("status", "--json"), inside.command("explain", "b")

    assert '"name": "shop.a"' in status.stdout
    assert wrong.returncode == 2
    assert "b: no such table" in wrong.stderr
    assert f"in the project {lake.root}" in wrong.stderr


def test_a_project_given_by_path_loads_from_a_removed_working_directory(
    table: Database, lake: Lake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    declare(lake)
    gone = tmp_path_factory.mktemp("gone")
    script = (
        "import os, runpy, sys; os.rmdir(os.getcwd()); sys.argv = ['lakefeed', *sys.argv[1:]];"
        " runpy.run_module('lakefeed.cli.main', run_name='__main__')"
    )

    def lakefeed(*arguments: str) -> subprocess.CompletedProcess[str]:
        gone.mkdir(exist_ok=True)
        command = [sys.executable, "-c", script, *arguments]
        return subprocess.run(command, cwd=gone, capture_output=True, text=True, check=False)

    nowhere, named = lakefeed("load"), lakefeed("load", "--project", str(lake.root))

    assert nowhere.returncode == 2
    assert "the current folder no longer exists" in nowhere.stderr
    assert named.returncode == 0, named.stderr
    assert lake.raw("shop__a", "id") == [(1,)]


def test_the_embedded_server_starts_in_any_folder(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / ODD) as url:
        assert Database(url).rows("select 1") == [(1,)]


def test_a_folder_with_an_undecodable_name_is_refused_by_name(lake: Lake, tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    shutil.copytree(declare(lake).root, root, ignore=shutil.ignore_patterns("caf*"))

    with pytest.raises(DeclarationError, match=r"isn't valid UTF-8: .*/caf\\xe9"):
        open_project(root)
