"""Makes a lake to be kept: what a version of Lakefeed wrote, for later ones to read.

    python -m tests.lakes.make 0.1

Run it with the version whose lake it is to be, and never again: a later one would write its own.

    tests/lakes/0.1        made with commit 94e2f6a, before anything had a format
    tests/lakes/0.1-last   made with commit 1c63028, the last whose package was called `pipelines`

    source.sql     the source, and the commands that were run in between
    sources.yaml   the declaration
    lake.tar.gz    the project as it was then, with raw, reports and the warehouse
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2

from lakefeed.demo.server import embedded_postgres
from tests.conftest import CONNECTION_VARIABLE, new_lake

LAKES = Path(__file__).parent
_COMMAND = "-- lakefeed "
_KEPT = (
    *("sources.yaml", "sources.lock.yaml", ".dlt/config.toml", "airflow", "Dockerfile"),
    *("docker-compose.yml", "docker-compose.celery.yml", ".github", "dbt", "data"),
)
# Files that tools recreate, and dlt's packages of finished loads.
_NOT_KEPT = re.compile("dbt/([.]lakefeed|target|logs|dbt_packages)|.*/(loaded/.+|trace[.]pickle)$")


def steps(source: str) -> Iterator[tuple[str, list[str]]]:
    """The SQL of a source bit by bit, each with the command that was run after it."""
    sql: list[str] = []
    for line in source.splitlines():
        if line.startswith(_COMMAND):
            yield "\n".join(sql), shlex.split(line.removeprefix(_COMMAND))
            sql = []
        else:
            sql.append(line)


def make(version: str) -> None:
    """Writes the archive of a version's lake, from what lies beside it."""
    with tempfile.TemporaryDirectory() as made, embedded_postgres(Path(made, "server")) as url:
        project = new_lake(Path(made, "project")).root
        declared = (LAKES / version / "sources.yaml").read_bytes()
        (project / "sources.yaml").write_bytes(declared)
        session = psycopg2.connect(url)
        session.autocommit = True
        for sql, command in steps((LAKES / version / "source.sql").read_text(encoding="utf-8")):
            if sql.strip():
                session.cursor().execute(sql)
            _lakefeed(project, url, command)
        session.close()
        _forget_where(project)
        with tarfile.open(LAKES / version / "lake.tar.gz", "w:gz") as archive:
            for name in _KEPT:
                archive.add(project / name, name, filter=_anonymous)


def _lakefeed(project: Path, url: str, command: list[str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "lakefeed.cli.main", *command],
        cwd=project,
        env={**os.environ, CONNECTION_VARIABLE: url},
        check=True,
    )


def _forget_where(project: Path) -> None:
    """dlt's state says in which folder it began; that of this machine is nobody's business."""
    for state in (project / "data/.dlt/pipelines").glob("*/state.json"):
        state.write_text(state.read_text().replace(str(project), "/project"))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return None if _NOT_KEPT.match(member.name) else member


if __name__ == "__main__":
    make(sys.argv[1])
