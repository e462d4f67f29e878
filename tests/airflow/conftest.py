"""Real Airflow: a home with a migrated database, and the `airflow` command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from lakefeed.demo.compose import Service, read_services
from lakefeed.demo.local_stack import LocalStack, free_port
from lakefeed.demo.processes import processes
from lakefeed.demo.stack import bring_up
from tests.airflow.api import Api
from tests.conftest import Lake, copy_shop_project, new_database

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
REPOSITORY = Path(__file__).resolve().parents[2]
STACK = [sys.executable, "-m", "lakefeed.demo.stack"]


@dataclass(frozen=True)
class AirflowOf:
    """Airflow with a home of its own, looking at the DAG of one project."""

    lake: Lake
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.lake.root / "airflow" / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        }

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`airflow …` as a subprocess, in another folder."""
        return subprocess.run(
            [AIRFLOW, *arguments],
            cwd=self.home,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """One run of the whole DAG in one process."""
        return self.command("dags", "test", "de_batch_pipeline", **environment)


@pytest.fixture(scope="session", autouse=True)
def own_airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keeps the import of Airflow in this process from writing to the user's home."""
    home = tmp_path_factory.mktemp("imported-airflow")
    os.environ.setdefault("AIRFLOW_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def migrated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AIRFLOW_HOME with a migrated SQLite database, to be copied. All workers share it."""
    own = tmp_path_factory.getbasetemp()
    home = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "migrated-airflow"
    home.mkdir(exist_ok=True)
    with FileLock(home / "lock"):
        if not (home / "done").exists():
            AirflowOf(Lake(home), home).command("db", "migrate").check_returncode()
            (home / "done").touch()
    return home


@pytest.fixture
def airflow(lake: Lake, migrated_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AirflowOf:
    """Airflow for this test's project."""
    return airflow_of(lake, migrated_home, tmp_path_factory)


def airflow_of(
    lake: Lake, migrated_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> AirflowOf:
    """A copy of the migrated home for one project."""
    home = tmp_path_factory.mktemp("home")
    shutil.copy(migrated_home / "airflow.db", home)
    return AirflowOf(lake, home)


@contextmanager
def live_services(
    lake: Lake, server_url: str, home: Path, services: Sequence[Service] | None = None
) -> Iterator[Api]:
    """The services of a compose file, by default the project's own, on a new metadata database."""
    stack = LocalStack(lake.root, home, free_port(), {"postgres": new_database(server_url).url})
    with processes(lake.root, home / "logs") as started:
        bring_up(services or read_services(lake.root), stack, started, on_start=lambda _: None)
        api = Api(stack.url, home)
        api.log_in()
        yield api


@pytest.fixture
def shop(tmp_path: Path) -> Lake:
    """The repository as far as the stack reads it."""
    return shop_of(tmp_path)


def shop_of(folder: Path) -> Lake:
    """The repository, in this folder, as far as the stack reads it."""
    root = copy_shop_project(folder / "shop")
    shutil.copytree(REPOSITORY / "airflow", root / "airflow")
    for name in ("docker-compose.yml", "docker-compose.override.yml"):
        shutil.copy(REPOSITORY / name, root / name)
    return Lake(root)


@contextmanager
def running(shop: Lake, port: int) -> Iterator[subprocess.Popen[str]]:
    """The stack, which is killed with all its processes if a test doesn't stop it."""
    process = subprocess.Popen(
        [*STACK, "--port", str(port)],
        cwd=shop.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def said(process: subprocess.Popen[str]) -> str:
    """Its output until it is up."""
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith("ready after "):
            break
    return "".join(lines)
