"""Runs dbt in this process, without output, and returns its results as plain data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.disk import storage_error
from lakefeed.duckdb_paths import writable_database
from lakefeed.errors import BuildFailed, LakefeedError
from lakefeed.interruption import raise_if_interrupted
from lakefeed.transformation.dbt_adapter.patches import manifest_written_once, speed_up_dbt
from lakefeed.transformation.dbt_adapter.surroundings import (
    checking,
    opening,
    opening_lake,
    prepared_environment,
    working_in,
)
from lakefeed.transformation.generate.data_tests import declared_at
from lakefeed.transformation.generate.dbt_packages import provide_dbt_package
from lakefeed.transformation.targets.bigquery import BigQuery
from lakefeed.transformation.targets.ducklake import Lake
from lakefeed.transformation.targets.schemas import schemas_begin_with
from lakefeed.transformation.targets.snowflake import Snowflake
from lakefeed.transformation.targets.spark import Spark

# Where dbt builds: a file, a lake, or a server.
Target = Path | Lake | Spark | Snowflake | BigQuery

_TESTS = ("test", "unit_test")
# dbt's cache of the parsed project (https://docs.getdbt.com/reference/parsing#partial-parsing).
_PARSE_CACHE = Path("target", "partial_parse.msgpack")
_QUIET = ["--log-level", "none", "--log-level-file", "info", "--no-send-anonymous-usage-stats"]


@dataclass(frozen=True)
class NodeResult:
    """The result of one model or test.

    `selectors` select the model itself, or the nodes that a test reads. `model` is the model that
    a test belongs to: the one it is declared on, else the last it reads. `where` is the `file:line`
    of its declaration. A test stores its failing rows in the schema and table `stored_in`, in the
    file `rows_in`.
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
        """dbt's message, where the test is declared, and how to see its failing rows."""
        place = f" ({self.where})" if self.where else ""
        rows = (
            f"; see its rows in {self.rows_in}: select * from {'.'.join(self.stored_in)}"
            if self.rows_in
            else ""
        )
        return f"{self.message or self.status}{place}{rows}"


@dataclass(frozen=True)
class BuildResult:
    """The results of a build's nodes, in the order in which they finished."""

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
        """The number of nodes of this kind that succeeded."""
        return sum(
            1 for node in self.nodes if node.kind == kind and node.status in ("success", "pass")
        )


def run_dbt(
    project: Project,
    command: str,
    arguments: Sequence[str],
    warehouse: Target | None = None,
    *,
    check: Callable[[], None] | None = None,
) -> BuildResult:
    """Runs one dbt command in the project's dbt folder, on this warehouse file or lake.

    Args:
        warehouse: None for a command that opens none.
        check: made before each model and test, on DuckDB; one that raises fails them.

    Side effects: whatever the command does; changes the working directory for its duration.

    Raises:
        BuildFailed: dbt could not start, for example because a model can't be parsed.
    """
    with checking(check):
        return _as_result(project, _invoke(project, [command, *arguments], warehouse))


def select_nodes(project: Project, arguments: Sequence[str]) -> tuple[str, ...]:
    """The unique ids of the nodes that these arguments select, as `dbt ls` lists them.

    Side effects: writes dbt's manifest; changes the working directory for its duration.

    Raises:
        BuildFailed: dbt could not start.
    """
    listing = ["ls", "--quiet", "--output", "json", "--output-keys", "unique_id", *arguments]
    found = _invoke(project, listing) or ()
    return tuple(json.loads(line)["unique_id"] for line in found)


def writing_into(project: Project, folder: Path) -> list[str]:
    """Arguments that make dbt write into this folder; copies dbt's parse cache there, for speed."""
    copy_parse_cache(project, folder)
    return ["--target-path", str(folder)]


def copy_parse_cache(project: Project, folder: Path) -> None:
    """Copies dbt's parse cache of a project into another folder, unless it already has one."""
    cache, copied = project.dbt / _PARSE_CACHE, folder / _PARSE_CACHE.name
    if cache.exists() and not copied.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cache, copied)


def refuse_without_dbt(project: Project) -> None:
    """Raises BuildFailed if there is no dbt project, with a clearer message than dbt's own."""
    if not (project.dbt / "dbt_project.yml").exists():
        raise BuildFailed(
            f"there is no dbt project in {project.dbt}",
            do="copy dbt/ from version control, or start a project with: lakefeed init",
        )


def _invoke(project: Project, command: Sequence[str], warehouse: Target | None = None) -> Any:
    refuse_without_dbt(project)
    provide_dbt_package(project)
    with (
        prepared_environment(command[0], project.declared.document.variables),
        working_in(project.dbt),
        _opening(warehouse),
    ):
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner

        speed_up_dbt()
        writes_again = command[0] == "build"
        try:
            with manifest_written_once() if writes_again else nullcontext():
                outcome = dbtRunner().invoke([*_QUIET, *command])
        finally:
            # Otherwise dbt-duckdb keeps the file open and locked until the process ends, and DuckDB
            # returns the open file to whoever opens its path, even if another file is there by now
            # (https://github.com/duckdb/dbt-duckdb/issues/616).
            if DuckDBConnectionManager._ENV is not None:
                DuckDBConnectionManager._ENV.close()
            DuckDBConnectionManager.close_all_connections()
    # dbt reports even Ctrl-C as a regular result.
    raise_if_interrupted()
    if isinstance(outcome.exception, KeyboardInterrupt):
        raise outcome.exception
    if outcome.exception is not None:
        if refused := _ours(outcome.exception) or storage_error(outcome.exception):
            raise refused
        raise BuildFailed(
            f"dbt {command[0]} could not start: {_plain(outcome.exception)}",
            where=str(project.dbt.relative_to(project.root)),
            do="fix the model or test named above; to regenerate staging models: lakefeed sync",
        )
    return outcome.result


def _ours(error: BaseException | None) -> LakefeedError | None:
    """The error of ours that dbt has wrapped in its own, if it is one."""
    while error is not None and not isinstance(error, LakefeedError):
        error = error.__cause__ or error.__context__
    return error


@contextmanager
def _opening(warehouse: Target | None) -> Iterator[None]:
    """Makes dbt open this file, which is created if needed, or this lake.

    A server is opened as the profile says; of it, only the names of schemas may differ.
    """
    if warehouse is None:
        yield
        return
    if isinstance(warehouse, Spark | Snowflake | BigQuery):
        with schemas_begin_with(warehouse.prefix):
            yield
        return
    if isinstance(warehouse, Lake):
        with opening_lake(warehouse):
            yield
        return
    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with writable_database(warehouse) as file, opening(file):
        yield


def _as_result(project: Project, result: Any) -> BuildResult:
    nodes = getattr(result, "results", None) or []
    return BuildResult(
        tuple(
            NodeResult(
                name=node.node.name,
                kind=str(node.node.resource_type),
                status=str(node.status),
                message=" ".join(str(node.message or "").split()),
                seconds=float(node.execution_time),
                selectors=_selectors_of(node.node),
                model=_model_of(node.node),
                where=declared_at(project, node.node.meta) if _is_test(node.node) else "",
                stored_in=_stored_in(node),
            )
            for node in nodes
        ),
        float(getattr(result, "elapsed_time", 0.0) or 0.0),
    )


def _selectors_of(node: Any) -> tuple[str, ...]:
    # A unique id is `model.<project>.<name>`; a selector of a source needs the prefix `source:`.
    read = node.depends_on.nodes if _is_test(node) else [node.unique_id]
    ids = [part.split(".", 2) for part in read]
    return tuple(f"source:{name}" if kind == "source" else name for kind, _, name in ids)


def _model_of(node: Any) -> str:
    if not _is_test(node):
        return str(node.name)
    attached = getattr(node, "attached_node", None)
    read = [unique_id for unique_id in [attached, *reversed(node.depends_on.nodes)] if unique_id]
    return read[0].split(".")[2] if read else ""


def _stored_in(result: Any) -> tuple[str, ...]:
    node = result.node
    # A test whose query fails stores nothing.
    ran = str(result.status) in ("pass", "fail", "warn")
    stores = ran and getattr(node.config, "store_failures", None)
    return (str(node.schema), str(node.alias)) if stores else ()


def _is_test(node: Any) -> bool:
    return str(node.resource_type) in _TESTS


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())
