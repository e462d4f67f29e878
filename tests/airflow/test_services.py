"""The services of docker-compose.yml as plain processes, driven through REST as a user would."""

from __future__ import annotations

import json
import re
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.airflow.conftest import AIRFLOW, AirflowOf
from tests.conftest import Database, Lake

REPOSITORY = Path(__file__).resolve().parents[2]
SERVICES = ("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor")

TABLES = "a: {cursor: at}\nwhole: {mode: full_refresh}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def compose_services() -> dict[str, Any]:
    return dict(yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"])


def compose_environment(replaced: dict[str, str]) -> dict[str, str]:
    """The services' environment as compose would fill it in, with its hosts and folders moved."""
    made: dict[str, str] = {"AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(bytes(32)).decode()}
    environment = {}
    for name, value in compose_services()["airflow-scheduler"]["environment"].items():
        filled = re.sub(
            r"\$\{(\w+)(:[^}]*)?\}",
            lambda found: made.setdefault(found[1], secrets.token_hex(64)),
            value,
        )
        for old, new in replaced.items():
            filled = filled.replace(old, new)
        environment[name] = filled
    return environment


@dataclass
class Api:
    """Airflow's REST API, logged in as the admin."""

    url: str
    environment: dict[str, str] = field(repr=False)
    token: str = field(default="", repr=False)

    def call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def log_in(self) -> bool:
        file = (
            Path(self.environment["AIRFLOW_HOME"]) / "simple_auth_manager_passwords.json.generated"
        )
        password = json.loads(file.read_text())["admin"]
        body = {"username": "admin", "password": password}
        self.token = self.call("POST", "/auth/token", body)["access_token"]
        return True

    def health(self) -> dict[str, str]:
        """How the services are that have no port of their own."""
        told = self.call("GET", "/api/v2/monitor/health")
        return {name: told[name]["status"] for name in ("scheduler", "dag_processor")}

    def run(self, kind: str) -> str | None:
        """The state of the newest run of this kind."""
        runs = self.call("GET", "/api/v2/dags/de_batch_pipeline/dagRuns")["dag_runs"]
        return next((run["state"] for run in runs if run["run_type"] == kind), None)

    def task_states(self, kind: str) -> dict[str, str]:
        runs = self.call("GET", "/api/v2/dags/de_batch_pipeline/dagRuns")["dag_runs"]
        run = next(run["dag_run_id"] for run in runs if run["run_type"] == kind)
        path = f"/api/v2/dags/de_batch_pipeline/dagRuns/{run}/taskInstances"
        return {t["task_id"]: t["state"] for t in self.call("GET", path)["task_instances"]}


def eventually(question: Callable[[], Any], seconds: float = 180) -> Any:
    """The first answer that is true; what isn't there yet may fail to answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if answer := question():
                return answer
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            pass
        time.sleep(1)
    raise AssertionError("it didn't come about in time")


@contextmanager
def started(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out, cwd=log.parent)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def api(airflow: AirflowOf, database: Database, lake: Lake, server_url: str) -> Iterator[Api]:
    """The three services on a metadata database of their own; the source holds two tables."""
    name = "meta_" + secrets.token_hex(6)
    Database(server_url).execute(f"create database {name}")
    socket_folder = server_url.partition("host=")[2]
    port = free_port()
    environment = airflow.environment | compose_environment(
        {
            "airflow:": "postgres:",
            "@postgres:5432/airflow": f"@/{name}?host={socket_folder}",
            "http://airflow-apiserver:8080": f"http://127.0.0.1:{port}",
            "/project/airflow/dags": str(lake.root / "airflow/dags"),
        },
    )
    environment |= {
        "AIRFLOW_HOME": str(airflow.home),
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__API__WORKERS": "1",
    }
    subprocess.run([AIRFLOW, "db", "migrate"], env=environment, check=True, capture_output=True)
    with ExitStack() as stack:
        for service in SERVICES:
            command = [AIRFLOW, *compose_services()[service]["command"][1:]]
            command = [str(port) if part == "8080" else part for part in command]
            stack.enter_context(started(command, environment, airflow.home / f"{service}.log"))
        yield Api(f"http://127.0.0.1:{port}", environment)


@pytest.mark.faults
def test_the_services_of_the_compose_file_schedule_trigger_and_backfill_the_dag(
    database: Database, lake: Lake, api: Api
) -> None:
    for table in ("a", "whole"):
        database.execute(
            f"create table {table} (id int primary key, at timestamptz)",
            f"insert into {table} values (1, '2026-01-01 12:00Z'), (2, '2026-01-05 12:00Z')",
        )
    declared = (lake.declare(TABLES).root / "sources.yaml").read_text()
    (lake.root / "sources.yaml").write_text(f"airflow: {{schedule: '0 0 * * *'}}\n{declared}")
    dag = "/api/v2/dags/de_batch_pipeline"
    ended = ("success", "failed")

    eventually(api.log_in)
    eventually(lambda: api.call("GET", dag))
    eventually(lambda: set(api.health().values()) == {"healthy"})

    _, _, *probe = compose_services()["airflow-dag-processor"]["healthcheck"]["test"]
    subprocess.run([AIRFLOW, *probe], env=api.environment, check=True, capture_output=True)

    # The last interval that is over is due at once.
    api.call("PATCH", dag, {"is_paused": False})
    eventually(lambda: api.run("scheduled") in ended)
    assert set(api.task_states("scheduled").values()) == {"success"}

    database.execute("insert into a values (3, '2026-01-06 12:00Z')")
    api.call("POST", f"{dag}/dagRuns", {"logical_date": None})
    eventually(lambda: api.run("manual") in ended)
    assert set(api.task_states("manual").values()) == {"success"}
    assert lake.query("select id from staging.stg_shop__a order by id") == [(1,), (2,), (3,)]

    # A change below the checkpoint: only a backfill sees it.
    database.execute("insert into a values (4, '2026-01-01 12:00Z')")
    day = "2026-01-01T00:00:00Z"
    body = {"dag_id": "de_batch_pipeline", "from_date": day, "to_date": day}
    api.call("POST", "/api/v2/backfills", body)
    eventually(lambda: api.run("backfill") in ended)
    states = api.task_states("backfill")
    assert states.pop("shop__whole") == "skipped"
    assert set(states.values()) == {"success"}
    assert lake.query("select count(*) from staging.stg_shop__a") == [(4,)]
