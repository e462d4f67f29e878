"""A stack that compose starts from a project's folder, as its user handles it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.airflow.api import Api, eventually

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
URL = "http://127.0.0.1:8081"

# Read rows from the warehouse as any reader does, with DuckDB alone.
FROM_FILE = """
import duckdb, json, sys
with duckdb.connect("data/warehouse.duckdb", read_only=True) as warehouse:
    warehouse.execute("set enable_progress_bar = false")
    json.dump(warehouse.sql(sys.stdin.read()).fetchall(), sys.stdout, default=str)
"""
# Extensions come from their wheels, since `install` would ask the internet for them.
FROM_LAKE = """
import botocore.session, duckdb, json, os, sys
from lakefeed.loading.object_store.duckdb_access import extension_file
key = botocore.session.get_session().get_credentials()
with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as warehouse:
    for name in ("httpfs", "postgres_scanner", "ducklake"):
        warehouse.execute(f"load $${extension_file(name)}$$")
    warehouse.execute(
        f"create secret (type s3, key_id $${key.access_key}$$, secret $${key.secret_key}$$,"
        " endpoint $$store:8333$$, use_ssl false, url_style $$path$$)"
    )
    catalogue = os.environ["LAKE_CATALOG_URL"]
    warehouse.execute(f"attach $$ducklake:postgres:{catalogue}$$ as lake (read_only)")
    warehouse.execute("use lake.public; set enable_progress_bar = false")
    json.dump(warehouse.sql(sys.stdin.read()).fetchall(), sys.stdout, default=str)
"""


def why_no_engine() -> str | None:
    """Why nothing can be started here; None where an engine answers."""
    if shutil.which("docker") is None:
        return "there is no docker"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return f"`{' '.join(command)}` fails"
    return None


def checked(*command: str, told: str = "", folder: Path | None = None) -> str:
    """What a command says that must succeed."""
    ended = subprocess.run(
        command, cwd=folder, input=told, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


@dataclass
class Stack:
    """The containers of one project, which has a name that no other project of the machine has.

    Args:
        reader: the program that reads rows of the warehouse, in the scheduler's container.
    """

    folder: Path
    name: str
    reader: str = FROM_FILE
    api: Api = field(default_factory=lambda: Api(URL, Path()))

    def type(self, commands: tuple[str, ...], told: str = "") -> list[str]:
        """What each command says that a user types in the folder, one after the other."""
        return [self._shell(command, told) for command in commands]

    def compose(self, *arguments: str, told: str = "") -> str:
        return self.type((" ".join(("docker compose", *arguments)),), told)[0]

    def _shell(self, command: str, told: str) -> str:
        ended = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=os.environ
            | {"COMPOSE_PROJECT_NAME": self.name, "PATH": f"{BIN}:{os.environ['PATH']}"},
            input=told,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout[-20000:]}{ended.stderr[-20000:]}"
        return ended.stdout

    def log_in(self, said: str) -> None:
        """Logs in with the password that the log says.

        Args:
            said: the line of the log.
        """
        (password,) = re.findall(r"Password for user 'admin': (\S+)", said)
        body = {"username": "admin", "password": password}
        self.api.token = self.api.call("POST", "/auth/token", body)["access_token"]

    def containers(self) -> set[str]:
        """The ids of those that run."""
        return set(self.compose("ps", "--quiet").split())

    def states(self) -> dict[str, str]:
        """Of each service that runs, whether it is healthy; of one that doesn't, how it ended."""
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        services = [json.loads(line) for line in lines]
        return {s["Name"]: s["Health"] or f"ended with {s['ExitCode']}" for s in services}

    def is_well(self) -> bool:
        """Whether all services are healthy, or have ended as they should."""
        states = self.states()
        return bool(states) and set(states.values()) <= {"healthy", "ended with 0"}

    def query(self, sql: str) -> list[Any]:
        """Rows of the warehouse, read beside whoever builds it."""
        told = self.compose(
            "exec", "-T", "airflow-scheduler", f"python -c '{self.reader}'", told=sql
        )
        return [tuple(row) for row in json.loads(told)]

    def passwords(self) -> list[str]:
        """All passwords of the stack."""
        read = "sh -c 'for file in /secrets/*-password; do cat $file; echo; done'"
        return self.compose("exec", "-T", "airflow-scheduler", read).split()

    def host_of(self, run: str, task: str) -> str:
        """The container that the task runs in, once it does."""

        def host() -> str | None:
            found = self.api.task(run, task)
            return str(found["hostname"]) if found["state"] == "running" else None

        return str(eventually(host))

    def log(self, lines: int = 60) -> str:
        """The last lines of each service, and of each task that failed, as JSON."""
        failed = "sh -c 'grep --recursive --no-filename exc_type /airflow/logs || true'"
        try:
            tasks = self.compose("exec", "-T", "airflow-scheduler", failed)
        except AssertionError:
            tasks = ""
        return self.compose("logs", "--tail", str(lines)) + tasks
