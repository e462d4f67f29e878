"""`make airflow`: the stack without Docker, as a user starts and stops it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipelines.demo.compose import Service, read_services
from pipelines.demo.here import Here, free_port
from tests.airflow.api import DAG, Api, eventually
from tests.airflow.conftest import running, said
from tests.conftest import Lake

REPOSITORY = Path(__file__).resolve().parents[2]


def processes_below(folder: Path) -> list[str]:
    """The processes that work in this folder or name it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            told = [process.cwd(), *process.cmdline()]
            if any(str(folder) in text for text in told):
                found.append(" ".join(told))
    return found


def stopped(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, float]:
    """Its exit code, and how long stopping took."""
    asked = time.monotonic()
    process.send_signal(number)
    return process.wait(60), time.monotonic() - asked


@pytest.mark.faults
@pytest.mark.timeout(1200)
def test_make_airflow_starts_runs_the_dag_stops_and_goes_on_where_it_was(shop: Lake) -> None:
    port = free_port()
    api = Api(f"http://127.0.0.1:{port}", shop.root / ".airflow")
    with running(shop, port) as process:
        told = said(process)
        assert f"http://localhost:{port}" in told, told
        assert f"user admin, password {api.password}" in told
        api.log_in()
        eventually(lambda: api.has_ended("scheduled"))
        api.call("POST", f"{DAG}/dagRuns", {"logical_date": None})
        eventually(lambda: api.has_ended("manual"))
        assert set(api.task_states("manual").values()) == {"success"}
        # What it says to look with.
        for command in re.findall(r"^(?:look in)? +((?:lakefeed|dlt|python) .*)$", told, re.M):
            subprocess.run(["bash", "-c", command], cwd=shop.root, env=on_path(), check=True)
        code, seconds = stopped(process, signal.SIGINT)
        assert process.stdout is not None
        assert "all stopped" in process.stdout.read()
    assert (code, seconds < 30) == (0, True)
    assert processes_below(shop.root) == []

    # Within a run: its tasks end as well, and the next start finishes it.
    with running(shop, port) as process:
        said(process)
        api.log_in()
        assert len(api.runs("manual")) == 1
        api.call("POST", f"{DAG}/dagRuns", {"logical_date": None})
        eventually(lambda: "running" in api.task_states("manual").values())
        code, seconds = stopped(process, signal.SIGTERM)
    assert (code, seconds < 30) == (0, True)
    assert processes_below(shop.root) == []


def on_path() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.mark.faults
def test_a_service_that_ends_early_is_named_and_the_others_are_stopped(shop: Lake) -> None:
    (shop.root / "docker-compose.override.yml").write_text(
        (shop.root / "docker-compose.override.yml")
        .read_text()
        .replace("command: [python, -m, pipelines.demo.traffic]", "command: [python, -m, nothing]")
    )
    with running(shop, free_port()) as process:
        told, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "shop ended with code 1, and wrote last:" in told
    assert "No module named nothing" in told
    assert ".airflow/logs/shop.log" in told
    assert processes_below(shop.root) == []


def test_a_port_that_is_taken_is_named(shop: Lake) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(shop, port) as process:
            told, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert told == (
        f"error: something listens on port {port} already\n"
        "  stop it, or choose another port: make airflow PORT=8082\n"
    )
    assert not (shop.root / ".airflow").exists()


def test_a_lake_that_is_not_the_demos_is_not_taken(shop: Lake) -> None:
    (shop.root / "data").mkdir()
    (shop.root / "data" / "precious").touch()
    with running(shop, free_port()) as process:
        told, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "holds a lake that isn't the demo's" in told


@pytest.fixture
def here(tmp_path: Path) -> Here:
    databases = {
        "postgres": "postgresql://postgres:@/meta?host=/run/one",
        "shop-database": "postgresql://postgres:@/source?host=/run/two",
    }
    return Here(tmp_path / "my project", tmp_path / "home", 8099, databases, 8098, 8097)


def test_nothing_of_a_container_is_left_in_what_runs_here(here: Here) -> None:
    foreign = ("/project", "/secrets", "8080", "8974", "airflow-apiserver", "@postgres", "@shop")
    for service in read_services(REPOSITORY):
        if service.name in here.databases:
            continue
        declared = {k: here.environment(service)[k] for k in service.environment}
        told = json.dumps([declared, here.command(service), here.probe(service)])
        for folder in (here.secrets, here.home, here.project):
            told = told.replace(str(folder), "")
        assert [text for text in foreign if text in told] == []


def test_folders_ports_and_databases_have_their_meaning_here(here: Here, tmp_path: Path) -> None:
    service = Service(
        "one",
        ("airflow", "--port", "8080", "/secrets"),
        {
            "AIRFLOW_HOME": "/airflow",
            "AIRFLOW__CORE__DAGS_FOLDER": "/project/airflow/dags",
            "AIRFLOW__CORE__FERNET_KEY_CMD": "cat /project/key",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow@postgres:5432/airflow",
            "URL": "http://airflow-apiserver:8080/execution/",
        },
        ("python", "-c", "http://localhost:8974/health"),
        {},
        (),
    )

    assert here.command(service) == ["airflow", "--port", "8099", f"{tmp_path}/home/secrets"]
    assert here.probe(service)[-1] == "http://localhost:8098/health"
    assert {k: here.environment(service)[k] for k in service.environment} == {
        "AIRFLOW_HOME": f"{tmp_path}/home",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{tmp_path}/my project/airflow/dags",
        # Split as a shell would.
        "AIRFLOW__CORE__FERNET_KEY_CMD": f"cat '{tmp_path}/my project'/key",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://postgres:@/meta?host=/run/one",
        "URL": "http://127.0.0.1:8099/execution/",
    }


def test_what_this_shell_tells_airflow_does_not_count(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", "/elsewhere")
    scheduler = next(s for s in read_services(REPOSITORY) if s.name == "airflow-scheduler")

    environment = here.environment(scheduler)

    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW__CORE__PLUGINS_FOLDER" not in environment
