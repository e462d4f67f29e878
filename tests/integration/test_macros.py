"""dbt's own unit tests of the macros that make staging, history and keys."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

PROJECT = Path(__file__).with_name("macros")


def test_the_macros_pass_the_unit_tests_that_dbt_runs(tmp_path: Path) -> None:
    project = Path(shutil.copytree(PROJECT, tmp_path / "macros"))
    package = Path(str(files("pipelines.transformation") / "dbt_package"))
    (project / "dbt_packages").mkdir()
    (project / "dbt_packages" / "lakefeed").symlink_to(package, target_is_directory=True)
    written = re.findall("- name: ", (PROJECT / "models/unit_tests.yml").read_text())

    ended = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "build"],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stdout
    assert f"{len(written)} unit tests" in ended.stdout
