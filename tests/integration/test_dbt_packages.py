"""Lakefeed's macros are a dbt package that is declared, whatever else a project declares."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version

import pytest

from lakefeed.transformation.generate.dbt_packages import link_dbt_package
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, git, new_lake
from tests.forks import forked, plain_dbt

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


def test_a_project_that_declares_no_packages_declares_ours_from_its_next_command_on(
    copied: Lake,
) -> None:
    (copied.root / "dbt/packages.yml").unlink()
    shutil.rmtree(copied.root / "dbt/dbt_packages")
    shutil.rmtree(copied.root / "dbt/.lakefeed")

    assert copied.command("check").returncode == 0

    assert OURS in (copied.root / "dbt/packages.yml").read_text()
    assert "Completed successfully" in dbt(copied, "build")


def test_sync_names_the_file_that_declares_it(copied: Lake) -> None:
    (copied.root / "dbt/packages.yml").unlink()

    assert "dbt/packages.yml" in copied.command("sync").stdout
    assert "dbt/packages.yml" not in copied.command("sync").stdout


def test_git_is_offered_the_declaration_and_no_link(copied: Lake) -> None:
    git(copied.root, "init")
    git(copied.root, "add", "dbt")

    listing = ["git", "ls-files", "dbt"]
    staged = subprocess.run(listing, cwd=copied.root, capture_output=True, text=True, check=True)

    assert "dbt/packages.yml" in staged.stdout
    assert "dbt_packages" not in staged.stdout
    assert ".lakefeed" not in staged.stdout


def test_dbt_deps_installs_it_again_without_a_network(copied: Lake) -> None:
    dbt(copied, "clean", "--no-clean-project-files-only")
    shutil.rmtree(copied.root / "dbt/dbt_packages", ignore_errors=True)

    dbt(copied, "deps")

    assert (copied.root / "dbt/dbt_packages/lakefeed/dbt_project.yml").exists()
    assert "Completed successfully" in dbt(copied, "build")
    assert copied.command("build").returncode == 0


def test_it_stands_beside_a_package_of_the_user(copied: Lake) -> None:
    users_package(copied, "packages.yml")
    (copied.root / "dbt/packages.yml").write_text(f"{OURS}  - local: own\n")

    dbt(copied, "deps")

    assert "Completed successfully" in dbt(copied, "build")
    assert copied.command("build").returncode == 0


@pytest.mark.parametrize("declaring", ["packages.yml", "dependencies.yml"])
@pytest.mark.skipif(DBT_COUNTS_PACKAGES, reason="dbt-core 1.12 counts packages")
def test_a_project_that_declares_others_alone_goes_on_with_dbt_1_11(
    copied: Lake, declaring: str
) -> None:
    (copied.root / "dbt/packages.yml").unlink()
    users_package(copied, declaring)

    assert copied.command("check").returncode == 0
    assert copied.command("build").returncode == 0


@pytest.mark.parametrize("declaring", ["packages.yml", "dependencies.yml"])
@counted
def test_check_and_run_say_which_line_a_project_that_declares_others_needs(
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
def test_check_says_that_a_lock_of_before_is_to_be_renewed(copied: Lake) -> None:
    users_package(copied, "packages.yml")
    dbt(copied, "deps")
    link_dbt_package(copied.project)
    (copied.root / "dbt/packages.yml").write_text(f"{OURS}  - local: own\n")

    said = copied.command("check").stderr

    assert "dbt/package-lock.yml" in said
    assert "run in dbt/: dbt deps" in " ".join(said.split())
    dbt(copied, "deps")
    assert copied.command("check").returncode == 0


def test_a_revision_of_before_is_compared_with_the_packages_of_now(copied: Lake) -> None:
    declared = copied.root / "dbt/packages.yml"
    text = declared.read_text()
    declared.unlink()
    git(copied.root, "init")
    git(copied.root, "add", ".")
    git(copied.root, "commit", "-m", "before")
    declared.write_text(text)

    assert copied.command("diff", "HEAD").returncode == 0
    assert copied.command("build", "--changed-since", "HEAD").returncode == 0


def test_copies_in_place_of_the_links_do_as_well(copied: Lake) -> None:
    for link in ("dbt/.lakefeed/dbt_package", "dbt/dbt_packages/lakefeed"):
        target = (copied.root / link).resolve()
        (copied.root / link).unlink()
        shutil.copytree(target, copied.root / link)

    assert "Completed successfully" in dbt(copied, "build")
    assert copied.command("build").returncode == 0
    assert not (copied.root / "dbt/dbt_packages/lakefeed").is_symlink()
