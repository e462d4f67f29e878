"""References to the package by its old name: until 0.2, `lakefeed` was called `pipelines`.

Looks only for modules that `lakefeed init` or the documentation of 0.1 put into projects, since a
project may have a package called `pipelines` of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from lakefeed.errors import DeclarationError, LakefeedError

_RENAMED = {
    "pipelines.cli.main": "lakefeed.cli.main",
    "pipelines.dag": "lakefeed.dag",
    "pipelines.declaration.reference": "lakefeed.declaration.reference",
    "pipelines.demo": "lakefeed.demo",
    "pipelines.orchestration.secrets": "lakefeed.orchestration.project.secrets",
}
_NAMED = re.compile(rf"(?<![\w./-])({'|'.join(map(re.escape, _RENAMED))})(?!\w)")
_PLACES = (
    "airflow/dags/**/*.py",
    "*compose*.y*ml",
    "*Dockerfile*",
    ".github/workflows/*.y*ml",
    ".gitlab-ci.yml",
    "Makefile",
)
_DAG_FILE, _NEW_DAG_FILE = "airflow/dags/lakefeed.py", "airflow/dags/de_batch_pipeline.py"


def renamed_modules(root: Path) -> Iterator[LakefeedError]:
    """One error for each line that uses an old module name, with the line to write instead."""
    for path in sorted(set(chain.from_iterable(map(root.glob, _PLACES)))):
        if path.is_file():
            yield from _in_file(path, path.relative_to(root).as_posix())
    if (root / _DAG_FILE).is_file():
        yield DeclarationError(
            "this file shadows the package `lakefeed` when it is run directly",
            where=_DAG_FILE,
            do=f"rename it: mv {_DAG_FILE} {_NEW_DAG_FILE}",
        )


def _in_file(path: Path, shown: str) -> Iterator[LakefeedError]:
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        if found := _NAMED.search(line):
            instead = _NAMED.sub(lambda named: _RENAMED[named[1]], line).strip()
            yield DeclarationError(
                f"`{found[1]}` was renamed to `{_RENAMED[found[1]]}` in Lakefeed 0.2",
                where=f"{shown}:{number}",
                do=f"change the line to: {instead}",
            )
