"""Git ignores the secret that `lakefeed init` writes, whatever it ignored before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lakefeed.errors import Refused
from lakefeed.orchestration.project.gitignore import ignore
from lakefeed.orchestration.project.init import init_project
from tests.conftest import Database, git

WRITTEN = (".env", "data/raw/x.parquet", ".dlt/secrets.toml", "dbt/target/manifest.json")


@pytest.fixture
def shop(database: Database) -> str:
    database.execute("create table t (id int primary key)", "insert into t values (1)")
    return database.url


def tracked_by_git(root: Path) -> set[str]:
    """What a commit of everything would hold."""
    for name in WRITTEN:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    git(root, "add", "--all")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True
    )
    return set(listed.stdout.split())


@pytest.mark.parametrize(
    "mine",
    [
        "node_modules/\n",
        "*.log",
        "# .env\n",
        ".env\n!.env\n",
        "/data/*\n!/data/raw\n",
        ".env*\n*.toml\ntarget/\ndata/\n",
        "",
    ],
)
def test_an_existing_gitignore_is_kept_and_completed(shop: str, tmp_path: Path, mine: str) -> None:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text(mine)

    report = init_project(tmp_path, shop, "acme", ("public",))

    assert (tmp_path / ".gitignore").read_text().startswith(mine)
    assert not tracked_by_git(tmp_path) & set(WRITTEN)
    assert ("/.env" in report.ignored) == (not mine.startswith(".env*"))
    assert ".gitignore" in report.kept


def test_a_pattern_of_a_parent_gitignore_is_not_repeated(shop: str, tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text(".env\ndata/\n")
    project = tmp_path / "lake"
    project.mkdir()
    (project / ".gitignore").write_text("x\n")

    report = init_project(project, shop, "acme", ("public",))

    assert "/.env" not in report.ignored
    assert "/data/*" not in report.ignored
    assert not {f"lake/{name}" for name in WRITTEN} & tracked_by_git(tmp_path)


def test_a_negated_pattern_of_a_parent_gitignore_is_overruled(shop: str, tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("!.env\n!*.toml\n")
    project = tmp_path / "lake"
    project.mkdir()

    init_project(project, shop, "acme", ("public",))

    assert not tracked_by_git(project) & set(WRITTEN)


def test_no_secret_is_written_to_a_file_that_git_tracks(shop: str, tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / ".env").write_text("A=1\n")
    git(tmp_path, "add", ".env")

    with pytest.raises(Refused, match=r"git tracks .*\.env"):
        init_project(tmp_path, shop, "acme", ("public",))

    assert (tmp_path / ".env").read_text() == "A=1\n"
    assert not (tmp_path / "sources.yaml").exists()


def test_no_secret_is_written_if_git_would_add_it_anyway(shop: str, tmp_path: Path) -> None:
    """Git doesn't follow a link in the place of an ignore file."""
    git(tmp_path, "init")
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / ".gitignore").symlink_to("elsewhere")

    with pytest.raises(Refused, match="git doesn't ignore"):
        init_project(tmp_path, shop, "acme", ("public",))

    assert not (tmp_path / ".env").exists()


@pytest.mark.parametrize(
    ("mine", "added"),
    [
        ("", ["/.env", "/data/*", "!/data/.gitkeep"]),
        (".env\n", ["/data/*", "!/data/.gitkeep"]),
        ("*.env\ndata/\n", []),
        ("/data/*\n.env\n!.env\n", ["/.env"]),
    ],
)
def test_without_a_repository_only_the_gitignore_counts(
    tmp_path: Path, mine: str, added: list[str]
) -> None:
    (tmp_path / ".gitignore").write_text(mine)

    assert ignore(tmp_path, ["/.env", "/data/*", "!/data/.gitkeep"], ".env") == added
    assert ignore(tmp_path, ["/.env", "/data/*", "!/data/.gitkeep"], ".env") == []
