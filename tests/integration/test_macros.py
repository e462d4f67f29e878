"""dbt unit tests of the macros for staging, history and keys."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from tests.forks import forked, plain_dbt

pytestmark = pytest.mark.builds

PROJECT = Path(__file__).with_name("macros")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project of macros, with the package where dbt looks for it."""
    return copied_project(tmp_path)


def copied_project(folder: Path) -> Path:
    """The same, in this folder."""
    copied = Path(shutil.copytree(PROJECT, folder / "macros"))
    package = Path(str(files("lakefeed.transformation") / "dbt_package"))
    (copied / "dbt_packages").mkdir()
    (copied / "dbt_packages" / "lakefeed").symlink_to(package, target_is_directory=True)
    return copied


def dbt(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return forked(plain_dbt, *arguments, folder=project)


def test_the_macros_pass_their_dbt_unit_tests(project: Path) -> None:
    written = re.findall("- name: ", (PROJECT / "models/unit_tests.yml").read_text())

    ended = dbt(project, "build")

    assert ended.returncode == 0, ended.stdout
    assert f"{len(written)} unit tests" in ended.stdout


VERSIONS = {
    "seamless": [("1900-01-01", "2026-01-01", False), ("2026-01-01", None, False)],
    "deleted_and_back": [("1900-01-01", "2026-01-01", True), ("2026-02-01", None, False)],
    "gap": [("1900-01-01", "2026-01-01", False), ("2026-02-01", None, False)],
    "overlap": [("1900-01-01", "2026-03-01", False), ("2026-02-01", None, False)],
    "overlap_of_a_deleted_one": [("1900-01-01", "2026-03-01", True), ("2026-02-01", None, False)],
    "two_that_hold_now": [("1900-01-01", None, False), ("2026-02-01", None, False)],
    "ended_without_a_reason": [("1900-01-01", "2026-03-01", False)],
    "no_beginning": [("2026-01-01", None, False)],
    "no_time_at_all": [("1900-01-01", "1900-01-01", True)],
}


def test_finds_gaps_and_overlaps(project: Path) -> None:
    models = []
    for name, versions in VERSIONS.items():
        rows = ", ".join(
            f"(1, date '{start}', try_cast('{end}' as date), {end is None}, {gone})"
            for start, end, gone in versions
        )
        names = "id, valid_from, valid_to, is_current, _was_deleted"
        (project / f"models/{name}.sql").write_text(f"select * from (values {rows}) as t ({names})")
        tests = [{"lakefeed.no_gaps_no_overlaps": {"name": name, "arguments": {"key": ["id"]}}}]
        models.append({"name": name, "data_tests": tests})
    (project / "models/versions.yml").write_text(json.dumps({"version": 2, "models": models}))

    ended = dbt(project, "build", "--select", *VERSIONS)

    failed = set(re.findall(r"FAIL \d+ (\w+)", ended.stdout))
    assert failed == VERSIONS.keys() - {"seamless", "deleted_and_back"}, ended.stdout
