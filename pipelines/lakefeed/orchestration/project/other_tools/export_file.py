"""Reads another tool's file and recognises whose it is."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.errors import DeclarationError
from lakefeed.orchestration.project.other_tools.airbyte import is_airbyte, read_airbyte
from lakefeed.orchestration.project.other_tools.carried import Imported
from lakefeed.orchestration.project.other_tools.dlt_toml import is_dlt, read_dlt
from lakefeed.orchestration.project.other_tools.meltano import is_meltano, read_meltano, tap_of
from lakefeed.orchestration.project.other_tools.sling import is_sling, read_sling

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_FORMATS = (
    "a Sling replication, a Meltano project with tap-postgres, an Airbyte connection (JSON), or "
    "dlt's config.toml with [sources.sql_database]"
)


@dataclass(frozen=True)
class Export:
    """A file of another tool. `imported` tells what it says about the tables of a database."""

    tool: str
    file: str
    imported: Callable[[Sequence[CatalogueTable]], Imported]


def read_export(path: Path) -> Export:
    """Reads the file, which may contain secrets: nothing of its values is in an error.

    Raises:
        DeclarationError: the file can't be read, or is none of a known tool.
    """
    data, name = _parsed(path), path.name
    if is_meltano(data):
        return Export("Meltano", name, partial(read_meltano, data, tap_of(data)))
    for tool, is_of, read in (
        ("Sling", is_sling, read_sling),
        ("Airbyte", is_airbyte, read_airbyte),
        ("dlt", is_dlt, read_dlt),
    ):
        if is_of(data):
            return Export(tool, name, partial(read, data))
    raise DeclarationError(
        f"{name} isn't a file of a tool that Lakefeed knows", do=f"pass {_FORMATS}"
    )


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        # Go's templates and tabs make JSON that YAML doesn't read.
        return json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise DeclarationError(f"can't read {path.name}: {error.strerror}") from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        line = getattr(error, "lineno", mark.line + 1 if mark else None)
        where = f"{path.name}:{line}" if line else path.name
        raise DeclarationError("not valid YAML, JSON or TOML", where=where) from None
