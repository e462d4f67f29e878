"""Builds apart from the published warehouse: in schemas of their own, in the same catalog.

as_of_20261123t201500_marts.fct_order   `rebuild --as-of`; stays until `prune`
changed_1f2e3d4c_marts.fct_order        `build --changed-since`; is dropped at its end

What isn't built stands there as a view of the published snapshot, so that nothing is copied. The
register lists all such schemas, so that a killed build's are found.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from lakefeed.declaration.project import Project
from lakefeed.errors import Refused
from lakefeed.sql import quote
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult, run_dbt
from lakefeed.transformation.manifest import read_models
from lakefeed.transformation.targets.spark import Session, Spark, quoted
from lakefeed.transformation.targets.spark_session import open_session
from lakefeed.transformation.warehouse.base.ledger import SCHEMA
from lakefeed.transformation.warehouse.duckdb_file.failing_rows import (
    MOST_ROWS,
    failing_rows_of,
    keep_failing_rows,
)
from lakefeed.transformation.warehouse.registered.register import ApartSchemas
from lakefeed.transformation.warehouse.registered.transitions import without_apart
from lakefeed.transformation.warehouse.spark.public_views import run_all, view_of_table, views_at
from lakefeed.transformation.warehouse.spark.register import change_register, clock, read_register
from lakefeed.transformation.warehouse.spark.relations import Stored, drops, names_of, namespaces


def schemas_as_of(moment: dt.datetime | None) -> str:
    """How the names of a build's schemas begin: of one as of a time, the same every time."""
    if moment is None:
        return f"changed_{uuid.uuid4().hex[:8]}_"
    second = moment.astimezone(dt.UTC).strftime("%Y%m%dt%H%M%S")
    return f"as_of_{second}{f'_{moment:%f}' if moment.microsecond else ''}_"


@dataclass(frozen=True)
class SparkApart:
    """Schemas whose names begin with the prefix of `spark`.

    Attributes:
        path: beside it are the failing rows of tests, in a DuckDB file.
        as_of: the time as of which it is built.
    """

    project: Project
    spark: Spark
    path: Path
    as_of: dt.datetime | None = None

    def fill(self) -> None:
        session = self._begun()
        current = read_register(session).current
        if current is None:
            return
        for schema in sorted({relation.schema for relation in current.relations}):
            session.rows(f"create namespace if not exists {quoted(self._place(schema))}")
        written = self._written_in_place()
        tables = [relation for relation in current.relations if relation.kind == "table"]
        run_all(session, [self._standing_for(table, written) for table in tables])
        for statement in views_at(
            current.relations, lambda one: (self._place(one.schema), one.name)
        ):
            session.rows(statement)

    def fill_without_rows(self) -> None:
        """Nothing: dbt documents the tables where they are."""

    def run_dbt(self, command: str, arguments: Sequence[str]) -> BuildResult:
        if command != "build":
            return run_dbt(self.project, command, arguments, replace(self.spark, prefix=""))
        self._begun()
        return run_dbt(self.project, command, arguments, self.spark)

    def keep_failing_rows(self, result: BuildResult, beside: Path | None = None) -> BuildResult:
        kept = failing_rows_of(beside or self.path)
        kept.parent.mkdir(parents=True, exist_ok=True)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        with duckdb.connect(str(self.path)) as file:
            for node in result.nodes:
                if node.has_failing_rows:
                    self._fetch(file, node)
        return keep_failing_rows(self.project, self.path, result, kept)

    def stay(self, target: Path) -> str:  # noqa: ARG002 - that of a file
        return f"the schemas {self.spark.prefix}* in {self.spark.shown}/{self.spark.catalog}"

    def leave(self) -> str:
        self.remove()
        return ""

    def remove(self) -> None:
        drop_apart(self._session, [self.spark.prefix])

    def _begun(self) -> Session:
        """The session, once the register knows of these schemas.

        Raises:
            Refused: others have made schemas of these names.
        """
        session, prefix = self._session, self.spark.prefix
        is_known = any(found.prefix == prefix for found in read_register(session).apart)
        others = [name for name in namespaces(session) if name.startswith(prefix)]
        if others and not is_known:
            raise Refused(
                f"the catalog has a schema {others[0]}, which Lakefeed didn't make",
                do="drop it, or choose another time",
            )
        if self.as_of is not None:
            # Of an earlier build as of the same time.
            drop_apart(session, [prefix])
        elif is_known:
            return session
        made = ApartSchemas(prefix, clock(session), self.as_of)
        change_register(session, lambda found: replace(found, apart=(*found.apart, made)))
        return session

    def _written_in_place(self) -> set[tuple[str, str]]:
        """What a build adds rows to even with `--full-refresh`, or would refuse as a view."""
        models = read_models(self.project, self.path.parent / "target")
        return {(m.schema, m.identifier) for m in models if m.is_snapshot or m.is_seed}

    def _standing_for(self, table: Stored, written: set[tuple[str, str]]) -> str:
        schema = self._place(table.schema)
        if table.schema == SCHEMA or (table.schema, table.name) in written:
            rows = f"select * from {table.pinned}"
            return f"create table {quoted(schema, table.name)} using iceberg as {rows}"
        return view_of_table(table, schema, table.name)

    def _fetch(self, file: duckdb.DuckDBPyConnection, node: NodeResult) -> None:
        schema, name = node.stored_in
        query = f"select * from {quoted(self._place(schema), name)} limit {MOST_ROWS}"
        rows = self._session.arrow(query)
        file.execute(f"create schema if not exists {quote(schema)}")
        file.register("failing", rows)
        file.execute(f"create table {quote(schema)}.{quote(name)} as from failing")
        file.unregister("failing")

    def _place(self, schema: str) -> str:
        return f"{self.spark.prefix}{schema}"

    @property
    def _session(self) -> Session:
        return open_session(self.spark.remote, self.spark.catalog)


def drop_apart(session: Session, prefixes: Iterable[str]) -> None:
    """Drops the schemas whose names begin so, and what is in them; the register forgets them."""
    gone = set(prefixes)
    for prefix in gone:
        _drop_schemas(session, prefix)
    if gone:
        change_register(session, lambda found: without_apart(found, gone))


def _drop_schemas(session: Session, prefix: str) -> None:
    for schema in sorted(name for name in namespaces(session) if name.startswith(prefix)):
        for kind in ("view", "table"):
            found = [Stored(schema, name, kind) for name in names_of(session, kind, schema)]
            run_all(session, drops(found))
        session.rows(f"drop namespace if exists {quoted(schema)}")
