"""Airflow's REST API, with waiting."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DAG = "/api/v2/dags/de_batch_pipeline"
ENDED = ("success", "failed")


@dataclass
class Api:
    """The API of the Airflow with this home, logged in as admin."""

    url: str
    home: Path
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

    @property
    def password(self) -> str:
        file = self.home / "simple_auth_manager_passwords.json.generated"
        return str(json.loads(file.read_text())["admin"])

    def log_in(self) -> bool:
        body = {"username": "admin", "password": self.password}
        self.token = self.call("POST", "/auth/token", body)["access_token"]
        return True

    def runs(self, kind: str) -> list[Any]:
        """The runs of this kind."""
        runs = self.call("GET", f"{DAG}/dagRuns")["dag_runs"]
        return [run for run in runs if run["run_type"] == kind]

    def has_ended(self, kind: str) -> bool:
        """Whether there are runs of this kind, and all of them have ended."""
        states = {run["state"] for run in self.runs(kind)}
        return bool(states) and states <= set(ENDED)

    def task_states(self, kind: str) -> dict[str, str]:
        """The states of the tasks of the newest run of this kind."""
        return self.tasks(str(self.runs(kind)[-1]["dag_run_id"]))

    def trigger(self, **conf: Any) -> str:
        """The id of a new manual run."""
        body = {"logical_date": None, "conf": conf}
        return str(self.call("POST", f"{DAG}/dagRuns", body)["dag_run_id"])

    def ended(self, run: str, seconds: float = 180) -> str:
        """How the run ended, once it has."""

        def state() -> str | None:
            found = str(self.call("GET", f"{DAG}/dagRuns/{run}")["state"])
            return found if found in ENDED else None

        return str(eventually(state, seconds))

    def tasks(self, run: str) -> dict[str, str]:
        """The state of each task of the run."""
        found = self.call("GET", f"{DAG}/dagRuns/{run}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def hosts(self, kind: str) -> set[str]:
        """Where the tasks of the newest run of this kind ran."""
        run = self.runs(kind)[-1]["dag_run_id"]
        found = self.call("GET", f"{DAG}/dagRuns/{run}/taskInstances")["task_instances"]
        return {str(task["hostname"]) for task in found if task["hostname"]}

    def task(self, run: str, task: str) -> Any:
        """What Airflow knows of a task of the run."""
        return self.call("GET", f"{DAG}/dagRuns/{run}/taskInstances/{task}")


def eventually(question: Callable[[], Any], seconds: float = 180) -> Any:
    """The first true answer; a service that isn't up yet may fail to answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if answer := question():
                return answer
        except (urllib.error.URLError, OSError, ValueError, KeyError):
            pass
        time.sleep(1)
    raise AssertionError("it didn't come about in time")
