"""The other ways of reading PostgreSQL, each as its own documentation starts it."""

from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path

import yaml

from benchmarks.contender import Contender, Copy, Job, files_of
from benchmarks.place import Place
from benchmarks.process import Command
from benchmarks.source import psql
from benchmarks.tables import Table

_SCRIPTS = Path(__file__).parent / "contenders"
# Nothing is sent anywhere, and nothing is written outside the folder of the run.
_ALONE = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "DISABLE_TELEMETRY": "true",
    "INGESTR_DISABLE_TELEMETRY": "true",
    "SLING_DISABLE_TELEMETRY": "true",
}
_URL = "BENCH_URL"


def _command(job: Job, *arguments: str | Path, **environment: str) -> Command:
    alone = {"HOME": str(job.folder), _URL: job.source.url, **_ALONE, **environment}
    return Command(arguments, job.folder, alone)


def _limit(job: Job) -> Command:
    copies = [f"copy {table.name} to stdout (format binary)" for table in job.tables]
    client = psql(job.source, *copies)
    # The shell drops the rows, so that they don't become the output that is kept.
    return _command(job, "sh", "-c", 'exec "$@" > /dev/null', "sh", *client)


def _duckdb(job: Job) -> Command:
    python = job.place.program("loaders", "python")
    names = (table.name for table in job.tables)
    return _command(job, python, _SCRIPTS / "duckdb_scanner.py", job.source.url, job.folder, *names)


def _dlt(job: Job, backend: str) -> Command:
    python = job.place.program("loaders", "python")
    names = (table.name for table in job.tables)
    script = _SCRIPTS / "dlt_backend.py"
    # SQLAlchemy 2.1 takes another driver where none is named.
    url = job.source.url.replace("postgresql:", "postgresql+psycopg2:")
    return _command(job, python, script, backend, url, job.folder, *names)


def _rivet(job: Job) -> Command:
    """The configuration that `rivet init` proposes, less its hash of each row.

    It proposes a scale of 18 for numeric without one, says that this is to be reviewed, and fails
    where a value has more: so such columns become text.
    """
    rivet, config = job.place.program("loaders", "rivet"), job.folder / "rivet.yaml"
    names = [table.name for table in job.tables]
    wanted: list[str | Path] = ["--schema", "public", "--include", *names, "--output", config]
    environment = {_URL: job.source.url, "HOME": str(job.folder)}
    subprocess.run(
        [rivet, "init", "--source-env", _URL, *wanted],
        env=environment,
        check=True,
        capture_output=True,
    )
    proposed = yaml.safe_load(config.read_text(encoding="utf-8"))
    for export in proposed["exports"]:
        export.pop("meta_columns", None)
        columns = export.get("columns") or {}
        export["columns"] = {
            name: "string" if kind == "decimal(38,18)" else kind for name, kind in columns.items()
        }
    config.write_text(yaml.safe_dump(proposed, sort_keys=False), encoding="utf-8")
    parallel = ["--parallel-exports"] if len(names) > 1 else []
    return _command(job, rivet, "run", "-c", config, *parallel)


def rivet_cdc(job: Job, slot: str) -> Command:
    """Rivet's capture of changes: up to the end of the log as it is, then it exits."""
    (table,) = job.tables
    export = {
        "name": table.name,
        "table": table.name,
        "mode": "cdc",
        "format": "parquet",
        "cdc": {"slot": slot, "checkpoint": str(job.folder / "checkpoint"), "until_current": True},
        "destination": {"type": "local", "path": str(job.folder / "output")},
    }
    config = job.folder / "rivet.yaml"
    source = {"type": "postgres", "url_env": _URL}
    config.write_text(yaml.safe_dump({"source": source, "exports": [export]}), encoding="utf-8")
    return _command(job, job.place.program("loaders", "rivet"), "run", "-c", config)


def _sling_program(place: Place) -> Path:
    """The program itself: the wheel's own start of it asks the network first."""
    return next((place.root / "venvs" / "sling").rglob("bin/sling-linux-amd64"), Path("sling"))


def _sling(job: Job) -> Command:
    replication = {
        "source": _URL,
        "target": "LOCAL",
        "defaults": {"mode": "full-refresh"},
        "streams": {
            f"public.{table.name}": {"object": f"file://{job.folder}/{table.name}.parquet"}
            for table in job.tables
        },
    }
    config = job.folder / "replication.yaml"
    config.write_text(yaml.safe_dump(replication, sort_keys=False), encoding="utf-8")
    # Its default way of writing Parquet downloads a program first.
    return _command(
        job, _sling_program(job.place), "run", "-r", config, SLING_DUCKDB_COMPUTE="false"
    )


def _ingestr(job: Job) -> Command:
    """One process a table, which is all it offers; to DuckDB, since it writes no Parquet."""
    ingestr = job.place.program("ingestr", "ingestr")
    one = (
        f'"$0" ingest --yes --progress log --source-uri "${_URL}" --source-table "public.$table" '
        '--dest-uri "duckdb:///$PWD/copy.duckdb" --dest-table "main.$table"'
    )
    names = (table.name for table in job.tables)
    loop = f'for table in "$@"; do {one} || exit 1; done'
    return _command(job, "sh", "-c", loop, ingestr, *names)


def _in_file(job: Job, table: Table) -> Copy:
    return files_of(job.folder, f"{table.name}.parquet")


def _in_folder(job: Job, table: Table, below: str) -> Copy:
    return files_of(job.folder / below / table.name)


def _in_duckdb(job: Job, table: Table) -> Copy:
    return Copy(f"copies.main.{table.name}", job.folder / "copy.duckdb")


def _told(place: Place, program: Path, *arguments: str) -> str:
    environment = {"HOME": str(place.root), **_ALONE}
    ended = subprocess.run(
        [program, *arguments], env=environment, check=True, capture_output=True, text=True
    )
    found = re.search(r"\d+\.\d+[\d.]*", ended.stdout + ended.stderr)
    return found.group() if found else "?"


def package_version(place: Place, environment: str, name: str) -> str:
    """The version of a package in one of the contenders' environments."""
    python = place.program(environment, "python")
    script = "from importlib.metadata import version; import sys; print(version(sys.argv[1]))"
    return _told(place, python, "-c", script, name)


def _psql_version(place: Place) -> str:
    from lakefeed.demo.server import postgres_program

    return _told(place, Path(postgres_program("psql")), "--version")


LIMIT = Contender("COPY binary to /dev/null", _limit, None, _psql_version)
DUCKDB = Contender(
    "DuckDB scanner",
    _duckdb,
    _in_file,
    partial(package_version, environment="loaders", name="duckdb"),
)
RIVET = Contender(
    "Rivet",
    _rivet,
    partial(_in_folder, below="output"),
    partial(package_version, environment="loaders", name="rivet-cli"),
    "without row hashes",
)
SLING = Contender(
    "Sling",
    _sling,
    _in_file,
    partial(package_version, environment="sling", name="sling-linux-amd64"),
)
INGESTR = Contender(
    "ingestr",
    _ingestr,
    _in_duckdb,
    partial(package_version, environment="ingestr", name="ingestr"),
    "to DuckDB",
    120,
)


def dlt_backend(backend: str) -> Contender:
    """dlt with one of its own backends."""
    return Contender(
        f"dlt {backend}",
        partial(_dlt, backend=backend),
        partial(_in_folder, below="lake/raw"),
        partial(package_version, environment="loaders", name="dlt"),
    )


PYARROW = dlt_backend("pyarrow")
SQLALCHEMY = dlt_backend("sqlalchemy")
CONNECTORX = dlt_backend("connectorx")
