"""The package was called `pipelines` in 0.1: what its lakes and projects still name is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakefeed.transformation.generate.generated_files import write_generated
from tests.conftest import Database, Lake
from tests.lakes.archive import archived, source_of


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The last lake of 0.1, with dlt's working folder, where the user has a package `pipelines`."""
    lake = archived("0.1-last", tmp_path_factory.mktemp("shared"))
    own = lake.root / "pipelines" / "loading"
    own.mkdir(parents=True)
    (own.parent / "__init__.py").write_text("")
    (own / "__init__.py").write_text("WHOSE = 'mine'\n")
    return lake


@pytest.fixture(scope="module")
def source(shared: Lake, server_url: str) -> Database:
    return source_of(shared, server_url)


def dlt(lake: Lake, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Plain `dlt` in the project's folder."""
    return subprocess.run(
        [Path(sys.executable).with_name("dlt"), *arguments],
        cwd=lake.root,
        env={**os.environ, "PYTHONPATH": str(lake.root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_plain_dlt_reads_a_schema_that_names_the_old_module(copied: Lake) -> None:
    schema = copied.root / "data/.dlt/pipelines/shop__orders/schemas/shop_orders.schema.json"
    assert '"names": "pipelines.loading.naming"' in schema.read_text()

    told = dlt(copied, "--non-interactive", "pipeline", "shop__orders", "info")

    assert told.returncode == 0, told
    assert "shop_orders" in told.stdout


def test_a_load_continues_from_a_schema_that_names_the_old_module(
    copied: Lake, source: Database
) -> None:
    source.execute("update orders set word = 'after', at = now() where id = 9")

    loaded = copied.process("load", "--select", "shop.orders", PYTHONPATH=str(copied.root))

    assert loaded.returncode == 0, loaded
    assert ("after",) in copied.raw("shop__orders", "word")
    assert dlt(copied, "--non-interactive", "pipeline", "shop__orders", "info").returncode == 0


@pytest.mark.parametrize("first", ["lakefeed.loading.naming", "pipelines.loading"])
def test_a_package_called_pipelines_of_the_users_own_still_imports(
    copied: Lake, first: str
) -> None:
    code = (
        f"import {first}, lakefeed.loading.naming, pipelines.loading\n"
        "print(pipelines.__file__, pipelines.loading.WHOSE)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=copied.root, capture_output=True, text=True, check=True
    )

    assert ended.stdout == f"{copied.root / 'pipelines/__init__.py'} mine\n"


def test_check_reports_the_lines_to_change_in_a_project_of_0_1(copied: Lake) -> None:
    told = copied.command("check")

    assert told.returncode == 2
    assert (
        "error: airflow/dags/lakefeed.py:6: `pipelines.dag` was renamed to `lakefeed.dag` in "
        "Lakefeed 0.2\n  change the line to: from lakefeed.dag import build_dag\n"
    ) in told.stderr
    assert "airflow/dags/lakefeed.py: this file shadows the package `lakefeed`" in told.stderr
    assert (
        "docker-compose.yml:61: `pipelines.orchestration.secrets` was renamed to "
        "`lakefeed.orchestration.project.secrets` in Lakefeed 0.2\n"
        "  change the line to: command: [python, -m, lakefeed.orchestration.project.secrets, "
        "/secrets, airflow, redis]\n"
    ) in told.stderr


def test_a_project_of_0_1_passes_the_check_after_those_changes(copied: Lake) -> None:
    dags = copied.root / "airflow/dags"
    (dags / "lakefeed.py").rename(dags / "de_batch_pipeline.py")
    for file in (dags / "de_batch_pipeline.py", copied.root / "docker-compose.yml"):
        text = file.read_text().replace("pipelines.dag", "lakefeed.dag")
        renamed = "lakefeed.orchestration.project.secrets"
        file.write_text(text.replace("pipelines.orchestration.secrets", renamed))
    write_generated(copied.project)

    told = copied.command("check")

    assert told.returncode == 0, told
