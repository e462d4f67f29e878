"""Builds apart from the published warehouse: in schemas of their own, in the same place.

as_of_20261123t201500_marts.fct_order   `rebuild --as-of`; stays until `prune`
changed_1f2e3d4c_marts.fct_order        `build --changed-since`; is dropped at its end

What isn't built stands there as a clone of what is published. The register lists all such schemas,
so that a killed build's are found.
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
from lakefeed.transformation.warehouse.clones.engine import Engine
from lakefeed.transformation.warehouse.clones.reading import view_of_version
from lakefeed.transformation.warehouse.clones.register import change_register, read_register
from lakefeed.transformation.warehouse.duckdb_file.failing_rows import (
    MOST_ROWS,
    failing_rows_of,
    keep_failing_rows,
)
from lakefeed.transformation.warehouse.registered.register import ApartSchemas
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side
from lakefeed.transformation.warehouse.registered.transitions import without_apart


def prefix_as_of(moment: dt.datetime | None) -> str:
    """How the names of a build's schemas begin: of one as of a time, the same every time."""
    if moment is None:
        return f"changed_{uuid.uuid4().hex[:8]}_"
    second = moment.astimezone(dt.UTC).strftime("%Y%m%dt%H%M%S")
    return f"as_of_{second}{f'_{moment:%f}' if moment.microsecond else ''}_"


@dataclass(frozen=True)
class CloneApart:
    """Schemas whose names begin with a prefix.

    Attributes:
        path: beside it are the failing rows of tests, in a DuckDB file.
        as_of: the time as of which it is built.
    """

    project: Project
    engine: Engine
    prefix: str
    path: Path
    as_of: dt.datetime | None = None

    def fill(self) -> None:
        self._begin()
        current = read_register(self.engine).current
        if current is None:
            return
        engine, relations = self.engine, {(r.schema, r.name): r for r in current.relations}
        for schema in sorted({relation.schema for relation in current.relations}):
            engine.create_schema(self._place(schema))
        tables = [one for one in current.relations if one.kind == "table"]
        side_by_side(
            lambda one: engine.clone(one.place, (self._place(one.schema), one.name)), tables
        )
        for one in current.relations:
            if one.kind == "view":
                place = engine.quoted(self._place(one.schema), one.name)
                query = view_of_version(engine, relations, one)
                engine.rows(f"create or replace view {place} as {query}")

    def fill_without_rows(self) -> None:
        """Nothing: dbt documents the tables where they are."""

    def run_dbt(self, command: str, arguments: Sequence[str]) -> BuildResult:
        if command != "build":
            return run_dbt(self.project, command, arguments, self.engine.target(""))
        self._begin()
        return run_dbt(self.project, command, arguments, self.engine.target(self.prefix))

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
        return f"the schemas {self.prefix}* in {self.engine.place}"

    def leave(self) -> str:
        self.remove()
        return ""

    def remove(self) -> None:
        drop_apart(self.engine, [self.prefix])

    def _begin(self) -> None:
        """Tells the register of these schemas.

        Raises:
            Refused: others have made schemas of these names.
        """
        engine, prefix = self.engine, self.prefix
        is_known = any(found.prefix == prefix for found in read_register(engine).apart)
        others = sorted(name for name in engine.schemas() if name.startswith(prefix))
        if others and not is_known:
            raise Refused(
                f"{engine.place} has a schema {others[0]}, which Lakefeed didn't make",
                do="drop it, or choose another time",
            )
        if self.as_of is not None:
            # Of an earlier build as of the same time.
            drop_apart(engine, [prefix])
        elif is_known:
            return
        made = ApartSchemas(prefix, engine.clock(), self.as_of)
        change_register(engine, lambda found: replace(found, apart=(*found.apart, made)))

    def _fetch(self, file: duckdb.DuckDBPyConnection, node: NodeResult) -> None:
        schema, name = node.stored_in
        place = self.engine.quoted(self._place(schema), name)
        file.execute(f"create schema if not exists {quote(schema)}")
        file.register("failing", self.engine.arrow(f"select * from {place} limit {MOST_ROWS}"))
        file.execute(f"create table {quote(schema)}.{quote(name)} as from failing")
        file.unregister("failing")

    def _place(self, schema: str) -> str:
        return f"{self.prefix}{schema}"


def drop_apart(engine: Engine, prefixes: Iterable[str]) -> None:
    """Drops the schemas whose names begin so, and what is in them; the register forgets them."""
    gone = set(prefixes)
    for name in sorted(engine.schemas() if gone else ()):
        if name.startswith(tuple(gone)):
            engine.drop_schema(name)
    if gone:
        change_register(engine, lambda found: without_apart(found, gone))
