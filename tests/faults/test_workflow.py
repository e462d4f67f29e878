"""The workflow that `init` writes: its commands, in their order, on a change of a real project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakefeed.orchestration.project.init import init_project
from tests.conftest import Database, Lake, git

BIN = Path(sys.executable).parent
WORKFLOW = ".github/workflows/lakefeed.yml"

pytestmark = pytest.mark.faults


@pytest.fixture
def lake(database: Database, tmp_path: Path) -> Lake:
    """A project made by `init`, loaded and published, on a branch beside `main`."""
    database.execute(
        "create table orders (id int primary key, total int, updated_at timestamptz default now())",
        "insert into orders values (1, 10), (2, 20)",
    )
    init_project(tmp_path, database.url, "shop", ("public",))
    lake = Lake(tmp_path)
    (lake.root / "dbt/models/marts/revenue.sql").write_text(
        "select sum(total) as total\nfrom {{ ref('stg_shop__orders') }}\n"
    )
    assert lake.command("run").returncode == 0
    git(lake.root, "init", "--initial-branch", "main")
    git(lake.root, "add", "--all")
    git(lake.root, "commit", "--message", "Begin")
    git(lake.root, "checkout", "-b", "change")
    return lake


def steps(lake: Lake) -> dict[str, dict[str, Any]]:
    """The steps that run a command of ours, by their names; to install is the machine's part."""
    workflow = yaml.safe_load((lake.root / WORKFLOW).read_text())
    found = workflow["jobs"]["change"]["steps"]
    return {s["name"]: s for s in found if "run" in s and not s["run"].startswith("pip install")}


def run_steps(lake: Lake) -> dict[str, subprocess.CompletedProcess[str]]:
    """Each step as GitHub runs it, up to the first that fails, and those that run anyway."""
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "BASE": "main",
        "GITHUB_STEP_SUMMARY": str(lake.root / "data/summary.md"),
    }
    ended: dict[str, subprocess.CompletedProcess[str]] = {}
    for name, step in steps(lake).items():
        if all(one.returncode == 0 for one in ended.values()) or "!cancelled()" in str(
            step.get("if")
        ):
            ended[name] = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=lake.root, env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
    return ended


def test_the_file_is_a_valid_github_workflow(lake: Lake) -> None:
    checked = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW],
        cwd=lake.root, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stdout


def test_a_good_change_passes_with_a_summary_of_what_it_affects(lake: Lake) -> None:
    declared = (lake.root / "sources.yaml").read_text()
    (lake.root / "sources.yaml").write_text(declared.replace("lookback: 30m", "lookback: 1h"))
    (lake.root / "dbt/models/marts/revenue.sql").write_text(
        "select 2 * sum(total) as total\nfrom {{ ref('stg_shop__orders') }}\n"
    )
    git(lake.root, "commit", "--all", "--message", "A change")

    ended = run_steps(lake)

    assert {name: one.returncode for name, one in ended.items()} == dict.fromkeys(steps(lake), 0)
    summary = (lake.root / "data/summary.md").read_text()
    assert "- changed `shop.orders` (sources.yaml:" in summary
    assert "  - `lookback` `30m` → `1h` (sources.yaml:" in summary
    assert "- changed `revenue` (dbt/models/marts/revenue.sql)" in summary
    *_, built = ended.values()
    assert "changed since main" in built.stdout
    assert "dbt built 1 model and passed 0 tests" in built.stdout
    assert lake.query("select total from marts.revenue") == [(30,)]


def test_a_change_that_was_not_synced_fails_but_is_summarized(lake: Lake) -> None:
    declared = (lake.root / "sources.yaml").read_text()
    changed = declared.replace("{cursor: updated_at}", "{cursor: updated_at, deletes: mark}")
    (lake.root / "sources.yaml").write_text(changed)
    git(lake.root, "commit", "--all", "--message", "A change")

    checked, told = run_steps(lake).values()

    assert changed != declared
    assert (checked.returncode, told.returncode) == (2, 0)
    assert "generated files are out of date with sources.yaml" in checked.stderr
    assert "`deletes` `ignore` → `mark`" in (lake.root / "data/summary.md").read_text()


def test_a_broken_data_test_fails_the_change(lake: Lake) -> None:
    (lake.root / "dbt/tests").mkdir()
    (lake.root / "dbt/tests/no_losses.sql").write_text(
        "select total\nfrom {{ ref('revenue') }}\nwhere total > 20\n"
    )
    git(lake.root, "add", "--all")
    git(lake.root, "commit", "--message", "A change")

    *before, built = run_steps(lake).values()

    assert [one.returncode for one in before] == [0, 0, 0]
    assert built.returncode == 1
    assert "  failed: no_losses: " in built.stdout
