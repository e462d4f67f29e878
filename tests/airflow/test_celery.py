"""docker-compose.celery.yml: its broker and a worker as plain processes, and a run on them."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lakefeed.demo.compose import Service, read_services
from lakefeed.demo.local_stack import free_port
from tests.airflow.api import DAG, Api, eventually
from tests.airflow.conftest import live_services
from tests.conftest import Database, Lake

FILES = ("docker-compose.yml", "docker-compose.celery.yml")

pytestmark = [
    pytest.mark.faults,
    pytest.mark.at_night,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server"),
]


def at_port(broker: Service, port: int, folder: Path) -> Service:
    """The broker, with a local port and folder."""
    settings = f"appendonly yes\nport {port}\nbind 127.0.0.1\ndir {folder}"
    command = [part.replace("appendonly yes", settings) for part in broker.command]
    probe = [part.replace("redis-cli", f"redis-cli -p {port}") for part in broker.probe]
    return replace(broker, command=tuple(command), probe=tuple(probe))


@pytest.fixture
def api(
    database: Database,
    lake: Lake,
    server_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Api]:
    database.execute("create table t (id int primary key)", "insert into t values (1), (2)")
    declared = (lake.declare("t: {mode: full_refresh}").root / "sources.yaml").read_text()
    (lake.root / "sources.yaml").write_text(f"airflow: {{schedule: null}}\n{declared}")
    home, port = tmp_path_factory.mktemp("home"), free_port()
    # The worker's health check refers to it by its container's name.
    monkeypatch.setenv("HOSTNAME", socket.gethostname())
    services = [
        at_port(one, port, home) if one.name == "redis" else with_broker_at(one, port)
        for one in read_services(lake.root, FILES)
    ]
    with live_services(lake, server_url, home, services) as api:
        yield api


def with_broker_at(service: Service, port: int) -> Service:
    environment = {
        name: value.replace("@redis:6379", f"@127.0.0.1:{port}")
        for name, value in service.environment.items()
    }
    return replace(service, environment=environment)


def test_a_worker_runs_the_tasks_of_a_run(lake: Lake, api: Api) -> None:
    api.call("POST", f"{DAG}/dagRuns", {"logical_date": None})
    eventually(lambda: api.has_ended("manual"))

    assert set(api.task_states("manual").values()) == {"success"}
    assert lake.query("select count(*) from staging.stg_shop__t") == [(2,)]
    # The worker logs the end of a task a moment after the task has reported it.
    worked, tasks = api.home / "logs" / "airflow-worker.log", len(api.task_states("manual"))
    assert eventually(lambda: worked.read_text().count("succeeded in") == tasks)
