"""The only runner of dbt: in this process, quietly, with its result as plain data."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.disk import storage_error
from lakefeed.duckdb_paths import writable_database
from lakefeed.errors import BuildFailed
from lakefeed.interruption import raise_if_interrupted
from lakefeed.transformation.generate.data_tests import declared_at
from lakefeed.transformation.generate.generated_files import link_dbt_package

_TESTS = ("test", "unit_test")
# What dbt keeps of a project that it has parsed.
_PARSED = Path("target", "partial_parse.msgpack")
_QUIET = ["--log-level", "none", "--log-level-file", "info", "--no-send-anonymous-usage-stats"]


@dataclass(frozen=True)
class NodeResult:
    """One model or test: its name, how it ended, and dbt's message.

    `selectors` select the model itself, or what a test reads. `model` is the model that a test
    belongs to: the one it is declared at, else the last that it reads. `where` is the line of
    sources.yaml that declares a test. `stored_in` is the schema and the table in which a test
    stores the rows that fail it, and `rows_in` the file where that is kept.
    """

    name: str
    kind: str
    status: str
    message: str = ""
    seconds: float = 0.0
    selectors: tuple[str, ...] = ()
    model: str = ""
    where: str = ""
    stored_in: tuple[str, ...] = ()
    rows_in: str = ""

    @property
    def is_test(self) -> bool:
        return self.kind in _TESTS

    @property
    def failed(self) -> bool:
        return self.status in ("error", "fail", "runtime error")

    @property
    def has_failing_rows(self) -> bool:
        return bool(self.stored_in) and self.status in ("fail", "warn")

    @property
    def told(self) -> str:
        """What dbt says of it, the line that asked for it, and how to see the rows."""
        place = f" ({self.where})" if self.where else ""
        rows = (
            f"; in {self.rows_in}: select * from {'.'.join(self.stored_in)}" if self.rows_in else ""
        )
        return f"{self.message or self.status}{place}{rows}"


@dataclass(frozen=True)
class BuildResult:
    """What a build ran, in the order in which it ended."""

    nodes: tuple[NodeResult, ...]
    seconds: float

    @property
    def failures(self) -> list[NodeResult]:
        return [node for node in self.nodes if node.failed]

    @property
    def warnings(self) -> list[NodeResult]:
        return [node for node in self.nodes if node.status == "warn"]

    def as_json(self) -> list[dict[str, Any]]:
        """Its nodes as JSON types."""
        return [asdict(node) for node in self.nodes]

    def count(self, kind: str) -> int:
        """How many models were built, or tests passed."""
        return sum(
            1 for node in self.nodes if node.kind == kind and node.status in ("success", "pass")
        )


def run_dbt(
    project: Project, command: str, arguments: Sequence[str], warehouse: Path
) -> BuildResult:
    """Runs one dbt command in the project's dbt folder, on this warehouse file.

    Side effects: whatever the command does; changes the working directory for its duration.

    Raises:
        BuildFailed: dbt could not start: a model that can't be parsed, a missing project.
    """
    return _as_result(project, _invoke(project, [command, *arguments], warehouse))


def select_nodes(project: Project, arguments: Sequence[str], scratch: Path) -> tuple[str, ...]:
    """The unique ids of what these selectors mean, as `dbt ls` finds them.

    Side effects: writes dbt's manifest; changes the working directory for its duration. `scratch`
    stands for the warehouse, which is not read.

    Raises:
        BuildFailed: dbt could not start.
    """
    listing = ["ls", "--quiet", "--output", "json", "--output-keys", "unique_id", *arguments]
    found = _invoke(project, listing, scratch) or ()
    return tuple(json.loads(line)["unique_id"] for line in found)


def writing_into(project: Project, folder: Path) -> list[str]:
    """What has dbt write into this folder instead of `dbt/target`.

    Side effect: the folder begins with what dbt keeps of the project, of which it parses again
    what has changed. It would parse all of it otherwise.
    """
    lend_parsed(project, folder)
    return ["--target-path", str(folder)]


def lend_parsed(project: Project, folder: Path) -> None:
    """Puts what dbt keeps of a project into another folder, where it keeps none yet."""
    kept, lent = project.dbt / _PARSED, folder / _PARSED.name
    if kept.exists() and not lent.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, lent)


def refuse_without_dbt(project: Project) -> None:
    """Where there is no dbt project, dbt's own word for it would be of little help.

    Raises:
        BuildFailed: saying where it was looked for.
    """
    if not (project.dbt / "dbt_project.yml").exists():
        raise BuildFailed(
            f"there is no dbt project in {project.dbt}",
            do="copy dbt/ from version control, or start a project with: lakefeed init",
        )


def _invoke(project: Project, command: Sequence[str], warehouse: Path) -> Any:
    refuse_without_dbt(project)
    link_dbt_package(project)
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with (
        _quiet_environment(command[0]),
        _working_in(project.dbt),
        writable_database(warehouse) as file,
        _opening(file),
    ):
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        try:
            outcome = dbtRunner().invoke([*_QUIET, *command])
        finally:
            # dbt-duckdb keeps the file open, and locked, for as long as the process lives. Whoever
            # opens a path that is still open gets that file, were another there by now.
            if DuckDBConnectionManager._ENV is not None:
                DuckDBConnectionManager._ENV.close()
            DuckDBConnectionManager.close_all_connections()
    # dbt makes an outcome even of Ctrl-C.
    raise_if_interrupted()
    if outcome.exception is not None:
        if refused := storage_error(outcome.exception):
            raise refused
        raise BuildFailed(
            f"dbt {command[0]} could not start: {_plain(outcome.exception)}",
            where=str(project.dbt.relative_to(project.root)),
            do="mend the model or test that it names; staging models come from: lakefeed sync",
        )
    return outcome.result


def _as_result(project: Project, result: Any) -> BuildResult:
    nodes = getattr(result, "results", None) or []
    return BuildResult(
        tuple(
            NodeResult(
                node.node.name,
                str(node.node.resource_type),
                str(node.status),
                " ".join(str(node.message or "").split()),
                float(node.execution_time),
                _selectors_of(node.node),
                _model_of(node.node),
                declared_at(project, node.node.meta) if _is_test(node.node) else "",
                _stored_in(node),
            )
            for node in nodes
        ),
        float(getattr(result, "elapsed_time", 0.0) or 0.0),
    )


def _selectors_of(node: Any) -> tuple[str, ...]:
    """A unique id is `model.<project>.<name>`; a source needs its kind said."""
    read = node.depends_on.nodes if _is_test(node) else [node.unique_id]
    ids = [part.split(".", 2) for part in read]
    return tuple(f"source:{name}" if kind == "source" else name for kind, _, name in ids)


def _model_of(node: Any) -> str:
    if not _is_test(node):
        return str(node.name)
    attached = getattr(node, "attached_node", None)
    read = [one for one in [attached, *reversed(node.depends_on.nodes)] if one]
    return read[0].split(".")[2] if read else ""


def _stored_in(result: Any) -> tuple[str, ...]:
    """A test whose query fails stores nothing."""
    node, ran = result.node, str(result.status) in ("pass", "fail", "warn")
    stores = ran and getattr(node.config, "store_failures", None)
    return (str(node.schema), str(node.alias)) if stores else ()


def _is_test(node: Any) -> bool:
    return str(node.resource_type) in _TESTS


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """As `contextlib.chdir`, also from a folder that was removed, which nobody can go back to."""
    try:
        before = Path.cwd()
    except FileNotFoundError:
        before = folder
    os.chdir(folder)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            os.chdir(before)


@contextmanager
def _opening(warehouse: Path) -> Iterator[None]:
    """dbt-duckdb opens this file, wherever the profile points.

    The profile itself can't say so. dbt parses every model again when the path in it is another
    than last time, be it by an environment variable or a target, so that each `dbt build` by hand
    between two runs would cost two whole parses; and a profile may be a user's own.
    """
    from dbt.adapters.duckdb.environments import Environment

    as_it_is = Environment.__dict__["initialize_db"]

    def open_warehouse(environment: Any, credentials: Any, plugins: Any = None) -> Any:
        elsewhere = copy(credentials)
        elsewhere.path = str(warehouse)
        return as_it_is.__func__(environment, elsewhere, plugins)

    Environment.initialize_db = classmethod(open_warehouse)
    try:
        yield
    finally:
        Environment.initialize_db = as_it_is


@contextmanager
def _quiet_environment(command: str) -> Iterator[None]:
    """dbt's telemetry is off whatever the user's profile says; the environment is put back.

    dbt writes the process's command line into its logs and results. What is said in ours, such as
    the key of a row that is erased, is none of theirs.
    """
    before = os.environ.get("DBT_SEND_ANONYMOUS_USAGE_STATS")
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    ours, sys.argv = sys.argv, ["dbt", command]
    try:
        yield
    finally:
        sys.argv = ours
        if before is None:
            del os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"]
        else:
            os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = before


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())
