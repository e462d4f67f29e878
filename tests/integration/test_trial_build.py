"""The impact of a change: reported by `lakefeed diff`, built by `build --changed-since`."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from lakefeed.errors import BuildFailed, DeclarationError
from lakefeed.orchestration.impact.diff import NodeChange, diff
from lakefeed.orchestration.impact.git_revision import at_revision
from lakefeed.orchestration.impact.trial_build import build_changed_since
from lakefeed.orchestration.project.scaffold import write_scaffold
from lakefeed.render.build import render_changed
from lakefeed.transformation.generate.generated_files import write_generated
from tests.conftest import (
    CATALOGUE_VARIABLE,
    CONNECTION_VARIABLE,
    DUCKLAKE,
    Database,
    Lake,
    copy_catalogue,
    git,
    new_database,
    only,
)
from tests.integration.test_publication import write
from tests.integration.test_rebuild import published

pytestmark = [pytest.mark.builds, pytest.mark.at_night, pytest.mark.on_ducklake(at_night=True)]

DECLARED = "a: {cursor: at, tests: {rows: {min: 1}}}\nb: {cursor: at}"
MODELS = {
    "models/marts/of_a.sql": "select id, word from {{ ref('stg_shop__a') }}",
    "models/marts/of_b.sql": "select id, word from {{ ref('stg_shop__b') }}",
    "models/marts/of_both.sql": "select a.id from {{ ref('of_a') }} as a, {{ ref('of_b') }} as b",
    "tests/words_of_a.sql": "select 1 from {{ ref('of_a') }} where length(word) > 5",
}
OTHER_WORDS = {
    "models/marts/of_a.sql": "select id, word || '!' as word from {{ ref('stg_shop__a') }}"
}
PASSWORD = "hunter2"


@pytest.fixture(scope="module")
def first(engine: str, source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A published project, committed in a folder of a repository that had no project before."""
    for table in "ab":
        source.execute(
            f"create table {table} (id int primary key, word text, at timestamptz default now())",
            f"insert into {table} values (1, 'one')",
        )
    repository = tmp_path_factory.mktemp("repository")
    git(repository, "init", "--initial-branch", "main")
    git(repository, "commit", "--allow-empty", "--message", "Begin")
    git(repository, "tag", "empty")
    lake = Lake(repository / "warehouse", DUCKLAKE if engine == "ducklake" else "")
    lake.root.mkdir()
    write_scaffold(lake.root)
    write(lake.declare(DECLARED), MODELS)
    ran = lake.command("run", **{CONNECTION_VARIABLE: source.url})
    assert ran.returncode == 0, ran
    git(repository, "add", "--all")
    git(repository, "commit", "--message", "A project")
    return lake


@pytest.fixture
def lake(first: Lake, tmp_path: Path) -> Lake:
    """A clone of that, with its data."""
    shutil.copytree(first.root.parent, tmp_path / "clone", symlinks=True)
    clone = replace(first, root=tmp_path / "clone" / first.root.name)
    if clone.warehouse:
        copy_catalogue(clone)
    return clone


def rows(file: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(file), read_only=True) as session:
        return session.execute(query).fetchall()


def test_changed_models_and_descendants_are_built_in_a_copy_and_nothing_is_published(
    lake: Lake,
) -> None:
    write(lake, OTHER_WORDS)
    write(lake, {"tests/words_of_a.sql": "select * from {{ ref('of_a') }} where word = 'one!'"})
    before = published(lake)

    report = build_changed_since(lake.project, "main")

    assert (report.changed, report.below, report.lacking) == (("of_a",), ("of_both",), ())
    assert report.build is not None
    assert {node.name for node in report.build.nodes} == {"of_a", "of_both", "words_of_a"}
    assert [node.name for node in report.build.failures] == ["words_of_a"]
    assert report.exit_code == 1
    assert rows(report.path, "select word from marts.of_a") == [("one!",)]
    assert published(lake) == before
    told = render_changed(report)
    assert f"nothing was published; the result is in a copy of the warehouse: {report.path}" in told
    assert "  failed: words_of_a: " in told


def test_missing_upstream_models_are_built_and_empty_tables_are_not_tested(
    server_url: str, lake: Lake
) -> None:
    write(lake, OTHER_WORDS)
    if lake.warehouse:
        os.environ[CATALOGUE_VARIABLE] = new_database(server_url).url
    else:
        lake.project.warehouse.unlink()
    shutil.rmtree(lake.root / "data/raw/shop__a")

    report = build_changed_since(lake.project, "main")

    assert not report.is_copy
    assert (report.changed, report.below) == (("of_a",), ("of_both",))
    assert report.lacking == ("of_b", "stg_shop__a", "stg_shop__b")
    assert [table.shown for table in report.unloaded] == ["shop.a"]
    assert report.build is not None and report.exit_code == 0
    assert {node.name for node in report.build.nodes if node.is_test} == {"words_of_a"}
    assert rows(report.path, "select count(*) from marts.of_b") == [(1,)]


def test_only_the_change_makes_a_difference(
    source: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION_VARIABLE, source.url)
    source.execute("insert into a values (2, 'later')")
    only(lake.load("shop.a"))
    lake.declare(DECLARED.replace("cursor: at,", "cursor: at, columns: {exclude: [word]},"))
    write(lake, {"models/marts/of_a.sql": "select id from {{ ref('stg_shop__a') }}"})
    (lake.root / "dbt/tests/words_of_a.sql").unlink()
    with pytest.raises(BuildFailed, match=r"out of date with sources\.yaml"):
        build_changed_since(lake.project, "main")
    write_generated(lake.project)

    report = build_changed_since(lake.project, "main")

    assert report.exit_code == 0
    assert (report.changed, report.below) == (("of_a",), ("of_both", "stg_shop__a"))
    columns = "columns(name -> name in ('id', 'word'))"
    assert rows(report.path, f"select {columns} from staging.stg_shop__a") == [(1,)]


def test_a_diff_covers_yaml_models_tests_and_exposures(lake: Lake) -> None:
    exposure = (
        "exposures:\n  - name: weekly\n    type: dashboard\n    owner: {name: us}\n"
        "    depends_on: [ref('of_both')]\n"
    )
    write(lake, {"models/marts/exposures.yml": exposure})
    git(lake.root, "add", "--all")
    git(lake.root, "commit", "--message", "Who looks at it")
    lake.declare(DECLARED.replace("rows: {min: 1}", "columns: {word: {not_null: true}}"))
    write(lake, OTHER_WORDS)
    (lake.root / "dbt/tests/words_of_a.sql").unlink()
    before = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*")}

    report = diff(lake.project, "HEAD")

    assert {path: path.stat().st_mtime_ns for path in lake.root.rglob("*")} == before
    (table,) = report.tables
    assert (table.name, table.how) == ("shop.a", "changed")
    assert table.models == ("of_a", "of_both", "stg_shop__a")
    assert [change.setting for change in table.settings] == ["tests.columns.word", "tests.rows"]
    assert report.stale == ("dbt/models/staging/shop/_shop__models.yml",)
    assert report.models == (
        NodeChange("of_a", "changed", "dbt/models/marts/of_a.sql"),
        NodeChange("of_both", "below", "dbt/models/marts/of_both.sql"),
    )
    assert [(test.name, test.how) for test in report.tests] == [
        ("shop__a__word__not_null", "added"),
        ("shop__a__rows", "removed"),
        ("words_of_a", "removed"),
    ]
    assert report.tests[0].where == "sources.yaml:6"
    assert report.exposures == (NodeChange("weekly", "below", "dbt/models/marts/exposures.yml"),)


def test_a_diff_shows_what_variables_stand_for_at_both_revisions(lake: Lake) -> None:
    (lake.root / ".env").write_text("LOOKBACK=2h\n")
    lake.declare("a: {cursor: at, lookback: '${LOOKBACK}'}\nb: {cursor: at}")
    git(lake.root, "add", "--all")
    git(lake.root, "commit", "--message", "A lookback")
    lake.declare(
        "a: {cursor: at, lookback: '${LOOKBACK:-1h}'}\nb: {cursor: at, lookback: '${LOOKBACK}'}"
    )

    (b,) = diff(lake.project, "HEAD").tables

    (lookback,) = b.settings
    assert (b.name, lookback.before, lookback.now, lookback.where) == (
        *("shop.b", "0s", "2h", "sources.yaml:7"),
    )


def test_a_project_missing_at_the_revision_is_entirely_new(lake: Lake) -> None:
    report = diff(lake.project, "empty")
    built = build_changed_since(lake.project, "empty")

    assert report.is_first
    assert {(table.name, table.how) for table in report.tables} == {
        ("shop.a", "added"),
        ("shop.b", "added"),
    }
    assert {model.how for model in report.models} == {"added"}
    assert len(built.changed) == 5
    assert built.exit_code == 0


def test_without_changes_nothing_is_built(lake: Lake) -> None:
    report = build_changed_since(lake.project, "main")

    assert report.build is None
    assert render_changed(report).startswith("no dbt models or tests changed since main (")


@pytest.mark.parametrize("name", ["nonsense", "--all", "main:dbt"])
def test_reports_an_unknown_revision(lake: Lake, name: str) -> None:
    message = f"git doesn't know the revision `{name}`"
    with pytest.raises(DeclarationError, match=message), at_revision(lake.project, name):
        pass


def test_reports_a_folder_outside_git(lake: Lake) -> None:
    shutil.rmtree(lake.root.parent / ".git")

    with pytest.raises(DeclarationError, match="git failed in"):
        diff(lake.project, "main")


def test_reports_an_invalid_declaration_at_the_revision_without_its_secret(lake: Lake) -> None:
    good = (lake.root / "sources.yaml").read_text()
    bad = good.replace("${LAKEFEED_TEST_URL}", f"postgresql://me:{PASSWORD}@host/db")
    (lake.root / "sources.yaml").write_text(bad)
    git(lake.root, "commit", "--all", "--message", "A mistake")
    (lake.root / "sources.yaml").write_text(good)

    ended = lake.command("diff", "HEAD")

    assert ended.returncode == 2
    assert (
        "this version of Lakefeed can't read sources.yaml at HEAD:\nsources.yaml:4:" in ended.stderr
    )
    assert PASSWORD not in ended.stdout + ended.stderr


def test_reports_a_model_that_cannot_be_parsed_at_the_revision(lake: Lake) -> None:
    write(lake, {"models/marts/of_a.sql": "select {% if %}"})
    git(lake.root, "commit", "--all", "--message", "A mistake")
    write(lake, OTHER_WORDS)

    with pytest.raises(BuildFailed, match=r"dbt at HEAD: dbt parse could not start: .*of_a"):
        diff(lake.project, "HEAD")
