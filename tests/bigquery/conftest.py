"""BigQuery as bqemulator has it, and Google's object store as fake-gcs-server has it."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lakefeed.orchestration.project.scaffold import write_scaffold
from lakefeed.transformation.targets.bigquery import BigQuery, open_client, rows_of
from tests.conftest import BUCKET, Lake
from tests.store.emulators import fake_gcs, free_port, running

LOCATION = "EU"


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both emulators run, and the clients' variables are set; the file has each statement."""
    if find_spec("bqemulator") is None or find_spec("dbt.adapters.bigquery") is None:
        pytest.skip("dbt-bigquery and bqemulator aren't installed: make test-clouds")
    folder = tmp_path_factory.mktemp("bigquery")
    with (
        fake_gcs(tmp_path_factory.mktemp("gcs")) as variables,
        environment(variables),
        bigquery(folder) as found,
        environment(found),
    ):
        yield folder / "statements"


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    yield
    os.environ.clear()
    os.environ.update(before)


@contextmanager
def bigquery(folder: Path) -> Iterator[dict[str, str]]:
    """Runs the emulator, and yields the variable for its clients."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tests.bigquery.emulator",
        str(port),
        str(folder / "statements"),
    ]
    repository = str(Path(__file__).parents[2])
    with (
        environment({"PYTHONPATH": f"{repository}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}),
        running(command, port, folder),
    ):
        yield {"BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{port}"}


@pytest.fixture
def warehouse(emulated: Path) -> str:
    """What sources.yaml declares as the warehouse: a project of its own, with no dataset."""
    return f"{{type: bigquery, project: lake-{uuid.uuid4().hex[:12]}, location: {LOCATION}}}"


@pytest.fixture
def lake(warehouse: str, tmp_path: Path) -> Lake:
    """A project on BigQuery, with its raw layer where load jobs read it."""
    root = tmp_path / "on_bigquery"
    root.mkdir()
    write_scaffold(root)
    return Lake(root, warehouse=warehouse, raw_url=f"gs://{BUCKET}/{uuid.uuid4().hex[:12]}/raw")


@pytest.fixture
def query(lake: Lake) -> Callable[[str], list[tuple[Any, ...]]]:
    """Runs statements in the project's BigQuery."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        declared = lake.project.declaration.warehouse
        return rows_of(open_client(BigQuery(declared.project or "", LOCATION)), sql)

    return rows
