"""Replaces the containers' folders, ports and databases by local ones."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lakefeed.demo.compose import Service

_LOOPBACK = "127.0.0.1"
_FOREIGN = re.compile(
    r"""
    \w+ @ (?P<database> [\w-]+ ) : \d+ / \w+
    | (?<! [\w/.-] ) / (?P<folder> project | airflow | secrets ) (?! [\w-] )
    | \b (?P<other> airflow-apiserver | 8080 | 8974 ) \b
    """,
    re.VERBOSE,
)


def free_port() -> int:
    """A port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on this port."""
    with socket.socket() as probe:
        # Like servers do, so that earlier connections in TIME_WAIT don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class LocalStack:
    """Where the services run that compose would run in containers.

    `databases` are URLs by service; these services aren't started.
    """

    project: Path
    home: Path
    port: int
    databases: Mapping[str, str]
    health_port: int = field(default_factory=free_port)
    log_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://{_LOOPBACK}:{self.port}"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    def command(self, service: Service) -> list[str]:
        """The service's command."""
        return [self._translated(part) for part in service.command]

    def probe(self, service: Service) -> list[str]:
        """The command whose exit code says whether the service is healthy."""
        return [self._translated(part) for part in service.probe]

    def environment(self, service: Service) -> dict[str, str]:
        """The service's environment: its own variables and the shell's, except Airflow settings."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW__")}
        declared = {
            # Airflow splits the values of `…_CMD` like a shell.
            name: self._translated(value, quote=name.endswith("_CMD"))
            for name, value in service.environment.items()
        }
        return {
            **inherited,
            # Makes `airflow` and `python` those of this environment.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            **declared,
            # Containers listen on all addresses, on ports of their own.
            "AIRFLOW__API__HOST": _LOOPBACK,
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": _LOOPBACK,
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.health_port),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.log_port),
        }

    def _translated(self, text: str, *, quote: bool = False) -> str:
        meanings = {
            "airflow-apiserver": _LOOPBACK,
            "8080": str(self.port),
            "8974": str(self.health_port),
            **{name: url.partition("://")[2] for name, url in self.databases.items()},
        }
        folders = {"project": self.project, "airflow": self.home, "secrets": self.secrets}

        def translate(found: re.Match[str]) -> str:
            if found["folder"]:
                path = str(folders[found["folder"]])
                return shlex.quote(path) if quote else path
            return meanings[found["database"] or found["other"]]

        return _FOREIGN.sub(translate, text)
