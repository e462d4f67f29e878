"""Generated files are rendered only if they may have changed, and no change goes unnoticed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lakefeed.declaration.project import Project, open_project
from lakefeed.transformation.generate import wanted_files
from lakefeed.transformation.generate.generated_files import stale_files, write_generated

_DECLARED = """\
version: 1
sources:
  shop:
    connection: ${URL}
    tables:
      orders: {mode: full_refresh, history: true}
      notes: {mode: full_refresh}
"""
_CATALOGUE = """\
version: 1
sources:
  shop:
    public.notes: {kind: table, columns: {id: integer, note: text}}
    public.orders:
      kind: table
      primary_key: [id]
      columns: {id: integer not null, amount: "numeric(15,2)"}
"""
_SQL = Path("dbt/models/staging/shop/stg_shop__orders.sql")
_MODELS = "dbt/models/staging/shop/_shop__models.yml"
_SOURCES = "dbt/models/staging/shop/_shop__sources.yml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose generated files are up to date."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sources.yaml").write_text(_DECLARED)
    (folder / "sources.lock.yaml").write_text(_CATALOGUE)
    write_generated(open_project(folder))
    return folder


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[Project]:
    """The projects whose files were rendered since."""
    found: list[Project] = []
    render = wanted_files.generated_files

    def recorded(project: Project) -> dict[str, str]:
        found.append(project)
        return render(project)

    monkeypatch.setattr(wanted_files, "generated_files", recorded)
    return found


def stale(root: Path) -> list[str]:
    return stale_files(open_project(root)).names


def replaced(path: Path, before: str, now: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, now))


def test_an_unchanged_project_is_not_rendered_again(root: Path, rendered: list[Project]) -> None:
    assert stale(root) == []
    assert write_generated(open_project(root)).names == []
    assert rendered == []


def edit_of_the_same_size_and_time(root: Path) -> list[str]:
    found = (root / _SQL).stat()
    replaced(root / _SQL, "unique_key=['id']", "unique_key=['di']")
    os.utime(root / _SQL, ns=(found.st_atime_ns, found.st_mtime_ns))
    return [str(_SQL)]


def removed_file(root: Path) -> list[str]:
    (root / _SQL).unlink()
    return [str(_SQL)]


def generated_file_that_no_table_has(root: Path) -> list[str]:
    gone = _SQL.with_name("stg_shop__gone.sql")
    (root / gone).write_text((root / _SQL).read_text())
    return [str(gone)]


def changed_declaration(root: Path) -> list[str]:
    tests = "tests: {columns: {note: {not_null: true}}}"
    replaced(root / "sources.yaml", "notes: {", f"notes: {{{tests}, ")
    return [_MODELS]


def changed_column(root: Path) -> list[str]:
    replaced(root / "sources.lock.yaml", "numeric(15,2)", "numeric(18,4)")
    return ["dbt/models/history/shop/_shop__history.yml", _MODELS, _SOURCES]


def moved_raw_files(root: Path) -> list[str]:
    replaced(root / "sources.yaml", "version: 1", "version: 1\nraw: {url: s3://lake/raw}")
    return [_SOURCES, "dbt/profiles.yml"]


def dbt_folder_elsewhere(root: Path) -> list[str]:
    elsewhere = root.parent / "far" / "away" / "dbt"
    elsewhere.parent.mkdir(parents=True)
    (root / "dbt").rename(elsewhere)
    (root / "dbt").symlink_to(elsewhere)
    return [_SOURCES, "dbt/profiles.yml"]


@pytest.mark.parametrize(
    "change",
    [
        edit_of_the_same_size_and_time,
        removed_file,
        generated_file_that_no_table_has,
        changed_declaration,
        changed_column,
        moved_raw_files,
        dbt_folder_elsewhere,
    ],
)
def test_every_kind_of_change_is_noticed_and_written(
    change: Callable[[Path], list[str]], root: Path
) -> None:
    expected = sorted(change(root))

    assert stale(root) == expected
    assert write_generated(open_project(root)).names == expected
    assert stale(root) == []
    (root / "data" / "generated.json").unlink()
    assert stale(root) == []


def test_a_hand_written_model_is_left_alone(root: Path) -> None:
    (root / _SQL).write_text("select 1\n")

    assert write_generated(open_project(root)).names == []
    assert (root / _SQL).read_text() == "select 1\n"


def test_another_version_renders_the_files_anew(
    root: Path, rendered: list[Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wanted_files, "__version__", "99.0.0")

    write_generated(open_project(root))

    assert len(rendered) == 1


@pytest.mark.parametrize("damaged", ["", "{", "[]", "{}", '{"inputs": 1, "files": 2}'])
def test_what_was_remembered_may_be_damaged(
    damaged: str, root: Path, rendered: list[Project]
) -> None:
    (root / "data" / "generated.json").write_text(damaged)

    assert stale(root) == []
    assert len(rendered) == 1


@pytest.mark.parametrize("name", ["orders", "notes"])
def test_the_files_of_a_table_stay_if_it_is_paused_in_place_of_its_settings(
    root: Path, name: str
) -> None:
    declared = root / "sources.yaml"
    lines = declared.read_text().splitlines()
    paused = [
        f"      {name}: {{enabled: false}}" if f" {name}:" in line else line for line in lines
    ]

    declared.write_text("\n".join(paused))

    assert not stale_files(open_project(root))


def test_a_query_that_is_paused_in_place_of_its_settings_keeps_its_model(root: Path) -> None:
    declared, catalogue = root / "sources.yaml", root / "sources.lock.yaml"
    notes = "notes: {mode: full_refresh}"
    declared.write_text(_DECLARED.replace(notes, "notes: {mode: full_refresh, query: select 1}"))
    catalogue.write_text(_CATALOGUE.replace("notes: {kind: table", "notes: {kind: query"))
    write_generated(open_project(root))

    declared.write_text(_DECLARED.replace(notes, "notes: {enabled: false}"))

    assert not stale_files(open_project(root))
