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
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lakefeed.demo.compose import Service, read_services
from lakefeed.demo.local_stack import LocalStack, free_port
from tests.airflow.api import DAG, Api, eventually
from tests.airflow.conftest import running, said, shop_of
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


@dataclass(frozen=True)
class Stack:
    """The stack of a shop, which the tests start and stop, and what it said at its first start."""

    shop: Lake
    port: int
    process: subprocess.Popen[str]
    told: str
    api: Api


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The first start. The tests run in their order, and each goes on from the one before."""
    shop, port = shop_of(tmp_path_factory.mktemp("stack")), free_port()
    with running(shop, port) as process:
        api = Api(f"http://127.0.0.1:{port}", shop.root / ".airflow")
        stack = Stack(shop, port, process, said(process), api)
        api.log_in()
        yield stack


@pytest.mark.faults
def test_make_airflow_prints_the_url_and_loads_on_schedule(stack: Stack) -> None:
    assert f"http://localhost:{stack.port}" in stack.told, stack.told
    assert f"user admin, password {stack.api.password}" in stack.told
    eventually(lambda: stack.api.has_ended("scheduled"))


@pytest.mark.faults
def test_a_triggered_run_succeeds(stack: Stack) -> None:
    stack.api.call("POST", f"{DAG}/dagRuns", {"logical_date": None})
    eventually(lambda: stack.api.has_ended("manual"))

    assert set(stack.api.task_states("manual").values()) == {"success"}


@pytest.mark.faults
def test_the_printed_commands_work(stack: Stack) -> None:
    commands = re.findall(r"^(?:look in)? +((?:lakefeed|dlt|python) .*)$", stack.told, re.M)

    assert commands
    for command in commands:
        subprocess.run(["bash", "-c", command], cwd=stack.shop.root, env=on_path(), check=True)


@pytest.mark.faults
def test_control_c_stops_all_services(stack: Stack) -> None:
    code, seconds = stopped(stack.process, signal.SIGINT)

    assert stack.process.stdout is not None
    assert "stopped; loaded data is kept" in stack.process.stdout.read()
    assert (code, seconds < 30) == (0, True)
    assert processes_below(stack.shop.root) == []


@pytest.mark.at_night
@pytest.mark.faults
def test_the_next_start_continues_and_a_stop_also_ends_running_tasks(
    stack: Stack,
) -> None:
    with running(stack.shop, stack.port) as process:
        said(process)
        stack.api.log_in()
        assert len(stack.api.runs("manual")) == 1
        stack.api.call("POST", f"{DAG}/dagRuns", {"logical_date": None})
        eventually(lambda: "running" in stack.api.task_states("manual").values())
        code, seconds = stopped(process, signal.SIGTERM)

    assert (code, seconds < 30) == (0, True)
    assert processes_below(stack.shop.root) == []


def on_path() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.mark.faults
def test_a_service_that_exits_early_is_named_and_the_others_are_stopped(shop: Lake) -> None:
    (shop.root / "docker-compose.override.yml").write_text(
        (shop.root / "docker-compose.override.yml")
        .read_text()
        .replace("command: [python, -m, lakefeed.demo.traffic]", "command: [python, -m, nothing]")
    )
    with running(shop, free_port()) as process:
        told, _ = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "shop exited with code 1; its last output:" in told
    assert "No module named nothing" in told
    assert ".airflow/logs/shop.log" in told
    assert processes_below(shop.root) == []


def test_a_port_in_use_is_refused(shop: Lake) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(shop, port) as process:
            told, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert told == (
        f"error: port {port} is already in use\n"
        "  stop what uses it, or choose another port: make airflow PORT=8082\n"
    )
    assert not (shop.root / ".airflow").exists()


def test_a_lake_that_is_not_the_demos_is_refused(shop: Lake) -> None:
    (shop.root / "data").mkdir()
    (shop.root / "data" / "precious").touch()
    with running(shop, free_port()) as process:
        told, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "contains a lake that isn't the demo's" in told


@pytest.fixture
def local(tmp_path: Path) -> LocalStack:
    databases = {
        "postgres": "postgresql://postgres:@/meta?host=/run/one",
        "shop-database": "postgresql://postgres:@/source?host=/run/two",
    }
    return LocalStack(
        project=tmp_path / "my project",
        home=tmp_path / "home",
        port=8099,
        databases=databases,
        health_port=8098,
        log_port=8097,
    )


def test_no_container_path_or_host_remains(local: LocalStack) -> None:
    foreign = ("/project", "/secrets", "8080", "8974", "airflow-apiserver", "@postgres", "@shop")
    for service in read_services(REPOSITORY):
        if service.name in local.databases:
            continue
        declared = {k: local.environment(service)[k] for k in service.environment}
        told = json.dumps([declared, local.command(service), local.probe(service)])
        for folder in (local.secrets, local.home, local.project):
            told = told.replace(str(folder), "")
        assert [text for text in foreign if text in told] == []


def test_folders_ports_and_databases_are_replaced_by_local_ones(
    local: LocalStack, tmp_path: Path
) -> None:
    service = Service(
        name="one",
        command=("airflow", "--port", "8080", "/secrets"),
        environment={
            "AIRFLOW_HOME": "/airflow",
            "AIRFLOW__CORE__DAGS_FOLDER": "/project/airflow/dags",
            "AIRFLOW__CORE__FERNET_KEY_CMD": "cat /project/key",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow@postgres:5432/airflow",
            "URL": "http://airflow-apiserver:8080/execution/",
        },
        probe=("python", "-c", "http://localhost:8974/health"),
        needs={},
        ports=(),
    )

    assert local.command(service) == ["airflow", "--port", "8099", f"{tmp_path}/home/secrets"]
    assert local.probe(service)[-1] == "http://localhost:8098/health"
    assert {k: local.environment(service)[k] for k in service.environment} == {
        "AIRFLOW_HOME": f"{tmp_path}/home",
        "AIRFLOW__CORE__DAGS_FOLDER": f"{tmp_path}/my project/airflow/dags",
        # Split as by a shell.
        "AIRFLOW__CORE__FERNET_KEY_CMD": f"cat '{tmp_path}/my project'/key",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://postgres:@/meta?host=/run/one",
        "URL": "http://127.0.0.1:8099/execution/",
    }


def test_airflow_settings_of_the_shell_are_ignored(
    local: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    monkeypatch.setenv("AIRFLOW__CORE__PLUGINS_FOLDER", "/elsewhere")
    scheduler = next(s for s in read_services(REPOSITORY) if s.name == "airflow-scheduler")

    environment = local.environment(scheduler)

    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW__CORE__PLUGINS_FOLDER" not in environment
