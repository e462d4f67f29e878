"""Lakefeed's dbt package is declared in every project, beside packages of the user's own."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version

import pytest

from lakefeed.transformation.generate.dbt_packages import link_dbt_package
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, git, new_lake
from tests.forks import forked, plain_dbt

pytestmark = pytest.mark.builds

OURS = "packages:\n  - local: .lakefeed/dbt_package\n"
DBT_COUNTS_PACKAGES = not version("dbt-core").startswith("1.11.")
counted = pytest.mark.skipif(not DBT_COUNTS_PACKAGES, reason="dbt-core 1.11 counts no packages")


@pytest.fixture(scope="module")
def shared(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A project that was synced once, with one table."""
    lake = new_lake(tmp_path_factory.mktemp("shared"))
    lake.declare("t: {mode: full_refresh}")
    source.execute("create table t (id int primary key)", "insert into t values (1)")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        assert lake.run().exit_code == 0
    return lake


def users_package(lake: Lake, declared: str) -> None:
    """A package of the user's own, installed and declared in this file as of before."""
    package = lake.root / "dbt" / "own"
    package.mkdir()
    (package / "dbt_project.yml").write_text("name: own\nversion: 1.0.0\nconfig-version: 2\n")
    (lake.root / "dbt/dbt_packages/own").symlink_to(package)
    (lake.root / "dbt" / declared).write_text("packages:\n  - local: own\n")


def dbt(lake: Lake, *arguments: str) -> str:
    """What plain dbt says in the project's dbt folder, where it succeeds."""
    ended = forked(plain_dbt, *arguments, folder=lake.root / "dbt")
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_the_next_command_declares_the_package_in_a_project_that_declares_none(
    copied: Lake,
) -> None:
    (copied.root / "dbt/packages.yml").unlink()
    shutil.rmtree(copied.root / "dbt/dbt_packages")
    shutil.rmtree(copied.root / "dbt/.lakefeed")

    assert copied.command("check").returncode == 0

    assert OURS in (copied.root / "dbt/packages.yml").read_text()
    assert "Completed successfully" in dbt(copied, "build")


def test_sync_reports_the_file_that_declares_the_package(copied: Lake) -> None:
    (copied.root / "dbt/packages.yml").unlink()

    assert "dbt/packages.yml" in copied.command("sync").stdout
    assert "dbt/packages.yml" not in copied.command("sync").stdout


def test_git_tracks_the_declaration_but_not_the_links(copied: Lake) -> None:
    git(copied.root, "init")
    git(copied.root, "add", "dbt")

    listing = ["git", "ls-files", "dbt"]
    staged = subprocess.run(listing, cwd=copied.root, capture_output=True, text=True, check=True)

    assert "dbt/packages.yml" in staged.stdout
    assert "dbt_packages" not in staged.stdout
    assert ".lakefeed" not in staged.stdout


def test_dbt_deps_reinstalls_the_package_without_a_network(copied: Lake) -> None:
    dbt(copied, "clean", "--no-clean-project-files-only")
    shutil.rmtree(copied.root / "dbt/dbt_packages", ignore_errors=True)

    dbt(copied, "deps")

    assert (copied.root / "dbt/dbt_packages/lakefeed/dbt_project.yml").exists()
    assert "Completed successfully" in dbt(copied, "build")
    assert copied.command("build").returncode == 0


def test_a_project_can_declare_packages_of_its_own(copied: Lake) -> None:
    users_package(copied, "packages.yml")
    (copied.root / "dbt/packages.yml").write_text(f"{OURS}  - local: own\n")

    dbt(copied, "deps")

    assert "Completed successfully" in dbt(copied, "build")
    assert copied.command("build").returncode == 0


@pytest.mark.by_day(1)
@pytest.mark.parametrize("declaring", ["packages.yml", "dependencies.yml"])
@pytest.mark.skipif(DBT_COUNTS_PACKAGES, reason="dbt-core 1.12 counts packages")
def test_dbt_1_11_builds_a_project_that_declares_only_other_packages(
    copied: Lake, declaring: str
) -> None:
    (copied.root / "dbt/packages.yml").unlink()
    users_package(copied, declaring)

    assert copied.command("check").returncode == 0
    assert copied.command("build").returncode == 0


@pytest.mark.parametrize("declaring", ["packages.yml", "dependencies.yml"])
@counted
def test_check_and_build_name_the_line_missing_in_a_project_that_declares_other_packages(
    copied: Lake, declaring: str
) -> None:
    (copied.root / "dbt/packages.yml").unlink()
    users_package(copied, declaring)

    for command in ("check", "build"):
        said = copied.command(command).stderr
        assert f"dbt/{declaring}" in said
        assert f"add `- local: .lakefeed/dbt_package` to dbt/{declaring}" in " ".join(said.split())
    with (copied.root / "dbt" / declaring).open("a") as file:
        file.write("  - local: .lakefeed/dbt_package\n")
    assert copied.command("check").returncode == 0
    assert copied.command("build").returncode == 0


@counted
def test_check_asks_for_dbt_deps_when_the_lock_file_is_outdated(copied: Lake) -> None:
    users_package(copied, "packages.yml")
    dbt(copied, "deps")
    link_dbt_package(copied.project)
    (copied.root / "dbt/packages.yml").write_text(f"{OURS}  - local: own\n")

    said = copied.command("check").stderr

    assert "dbt/package-lock.yml" in said
    assert "run `dbt deps` in dbt/" in " ".join(said.split())
    dbt(copied, "deps")
    assert copied.command("check").returncode == 0


def test_earlier_revisions_are_compared_using_the_current_packages(copied: Lake) -> None:
    declared = copied.root / "dbt/packages.yml"
    text = declared.read_text()
    declared.unlink()
    git(copied.root, "init")
    git(copied.root, "add", ".")
    git(copied.root, "commit", "-m", "before")
    declared.write_text(text)

    assert copied.command("diff", "HEAD").returncode == 0
    assert copied.command("build", "--changed-since", "HEAD").returncode == 0


def test_identical_copies_are_accepted_in_place_of_the_links(copied: Lake) -> None:
    for link in ("dbt/.lakefeed/dbt_package", "dbt/dbt_packages/lakefeed"):
        target = (copied.root / link).resolve()
        (copied.root / link).unlink()
        shutil.copytree(target, copied.root / link)

    assert "Completed successfully" in dbt(copied, "build")
    assert copied.command("build").returncode == 0
    assert not (copied.root / "dbt/dbt_packages/lakefeed").is_symlink()
