"""Reads the services of the project's compose files as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from lakefeed.errors import DeclarationError

# The files that `docker compose up` reads by default.
UP = ("docker-compose.yml", "docker-compose.override.yml")

COMPLETED = "service_completed_successfully"
HEALTHY = "service_healthy"


@dataclass(frozen=True)
class Service:
    """A service: its command, its environment and its health check.

    `needs` are the services that it depends on, with the condition of each.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    probe: tuple[str, ...]
    needs: Mapping[str, str]
    ports: tuple[str, ...]


def read_services(root: Path, files: Sequence[str] = UP) -> list[Service]:
    """The services that compose starts with these files, each after those that it depends on.

    Raises:
        DeclarationError: none of the files exists.
    """
    described = read_compose(root, files)["services"]
    services = {name: _service(name, found) for name, found in described.items()}
    order = TopologicalSorter({name: list(service.needs) for name, service in services.items()})
    return [services[name] for name in order.static_order()]


def read_compose(root: Path, files: Sequence[str] = UP) -> dict[str, Any]:
    """Merges those of the files that exist. Variables aren't interpolated.

    Raises:
        DeclarationError: none of them exists.
    """
    found = [_read(root / name) for name in files if (root / name).exists()]
    if not found:
        raise DeclarationError(
            f"no {files[0]} in {root}",
            do="change to a project folder, such as a clone of Lakefeed",
        )
    described = reduce(_merge, found)
    for name, service in described["services"].items():
        if extends := service.pop("extends", None):
            extended = _read(root / extends["file"])["services"][extends["service"]]
            described["services"][name] = _merge(extended, service)
    return described


def _read(file: Path) -> dict[str, Any]:
    described: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return described


def _merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Merges like compose, except that lists are replaced, which is right only for commands."""
    both = {
        name: _merge(base[name], value)
        for name, value in override.items()
        if isinstance(value, dict) and isinstance(base.get(name), dict)
    }
    return {**base, **override, **both}


def _service(name: str, found: Mapping[str, Any]) -> Service:
    kind, *probe = found.get("healthcheck", {}).get("test", ("NONE",))
    return Service(
        name=name,
        command=tuple(_plain(part) for part in found.get("command", ())),
        environment={
            variable: _plain(value) for variable, value in found.get("environment", {}).items()
        },
        probe=(*(("sh", "-c") if kind == "CMD-SHELL" else ()), *(_plain(part) for part in probe)),
        needs={needed: how["condition"] for needed, how in found.get("depends_on", {}).items()},
        ports=tuple(found.get("ports", ())),
    )


def _plain(text: str) -> str:
    """Replaces `$$`, which is how compose escapes a dollar sign."""
    return text.replace("$$", "$")
