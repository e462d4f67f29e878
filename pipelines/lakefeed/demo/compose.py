"""The services that the project's compose files describe, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from lakefeed.errors import DeclarationError

# What `docker compose up` reads where it isn't told otherwise.
UP = ("docker-compose.yml", "docker-compose.override.yml")

COMPLETED = "service_completed_successfully"
HEALTHY = "service_healthy"


@dataclass(frozen=True)
class Service:
    """One service: what it runs, with which variables, and what tells that it is well.

    `needs` are the services that it waits for, with what it waits for them to be.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    probe: tuple[str, ...]
    needs: Mapping[str, str]
    ports: tuple[str, ...]


def read_services(root: Path, files: Sequence[str] = UP) -> list[Service]:
    """What compose starts with these files, each service after those that it needs.

    Raises:
        DeclarationError: there is none of them in this folder.
    """
    described = read_compose(root, files)["services"]
    services = {name: _service(name, found) for name, found in described.items()}
    order = TopologicalSorter({name: list(one.needs) for name, one in services.items()})
    return [services[name] for name in order.static_order()]


def read_compose(root: Path, files: Sequence[str] = UP) -> dict[str, Any]:
    """Those of the files that are there, merged into one; variables stay as they are written.

    Raises:
        DeclarationError: none is there.
    """
    found = [_read(root / name) for name in files if (root / name).exists()]
    if not found:
        raise DeclarationError(
            f"there is no {files[0]} in {root}",
            do="go to a project's folder, such as a clone of Lakefeed",
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


def _merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """As compose merges two descriptions, as long as no list is in both that isn't a command."""
    both = {
        name: _merge(one[name], value)
        for name, value in other.items()
        if isinstance(value, dict) and isinstance(one.get(name), dict)
    }
    return {**one, **other, **both}


def _service(name: str, found: Mapping[str, Any]) -> Service:
    kind, *probe = found.get("healthcheck", {}).get("test", ("NONE",))
    return Service(
        name,
        tuple(_plain(part) for part in found.get("command", ())),
        {variable: _plain(value) for variable, value in found.get("environment", {}).items()},
        (*(("sh", "-c") if kind == "CMD-SHELL" else ()), *(_plain(part) for part in probe)),
        {needed: how["condition"] for needed, how in found.get("depends_on", {}).items()},
        tuple(found.get("ports", ())),
    )


def _plain(text: str) -> str:
    """Where compose isn't to fill in a variable, a dollar is written twice."""
    return text.replace("$$", "$")
