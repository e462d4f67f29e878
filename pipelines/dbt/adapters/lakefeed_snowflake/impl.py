"""What Lakefeed's macros ask of Snowflake besides SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbt.adapters.base import BaseRelation, available
from dbt.adapters.contracts.relation import ComponentName, RelationType
from dbt.adapters.snowflake import SnowflakeAdapter
from dbt.adapters.snowflake.relation import SnowflakeRelation
from dbt_common.exceptions import DbtRuntimeError

from dbt.adapters.lakefeed_snowflake.connections import (
    SCRATCH,
    LakefeedSnowflakeConnectionManager,
)
from lakefeed.declaration.project import Project, open_project
from lakefeed.errors import LakefeedError
from lakefeed.transformation.dbt_adapter.announcement import announce
from lakefeed.transformation.dbt_adapter.snowflake.key_forms import snowflake_form
from lakefeed.transformation.dbt_adapter.snowflake.raw_rows import Stage, open_rows
from lakefeed.transformation.dbt_adapter.snowflake.staged_files import below_stage
from lakefeed.transformation.dbt_adapter.snowflake.types import snowflake_type
from lakefeed.transformation.targets.schemas import schema_standing_for, schemas_stood_for
from lakefeed.transformation.targets.snowflake import snowflake_of, stage_url
from lakefeed.transformation.targets.snowflake_names import (
    name_of,
    quoted,
    stored_name,
    text_literal,
)


@dataclass(frozen=True, eq=False, repr=False)
class LakefeedSnowflakeRelation(SnowflakeRelation):  # type: ignore[misc]
    """A relation that stands in its schema, or in the one that stands for that in a build apart."""

    def _render_iterator(self) -> Iterator[tuple[ComponentName | None, str | None]]:
        for part, text in super()._render_iterator():
            is_schema = text and part == ComponentName.Schema
            yield part, schema_standing_for(text) if is_schema else text


class LakefeedSnowflakeAdapter(SnowflakeAdapter):  # type: ignore[misc]
    """dbt-snowflake's adapter, which reads raw by a stage."""

    ConnectionManager = LakefeedSnowflakeConnectionManager
    Relation = LakefeedSnowflakeRelation

    def list_relations_without_caching(self, schema_relation: BaseRelation) -> list[BaseRelation]:
        """Tables and views of a schema, whatever schema stands for it."""
        place = schema_standing_for(str(schema_relation.schema).lower())
        within = f"table_schema = {text_literal(stored_name(place))}"
        listed = self.rows(
            f"select table_name, 'table' from information_schema.tables where {within} "
            "and table_type = 'BASE TABLE' union all "
            f"select table_name, 'view' from information_schema.views where {within}"
        )
        return [
            self.Relation.create(
                # As Snowflake has them, by which dbt finds them.
                database=str(schema_relation.database).upper(),
                schema=str(schema_relation.schema).upper(),
                identifier=name,
                type=RelationType.View if kind == "view" else RelationType.Table,
                quote_policy=self.Relation.get_default_quote_policy(),
            )
            for name, kind in listed
        ]

    def list_schemas(self, database: str) -> list[str]:  # noqa: ARG002 - there is one
        """The schemas of the database, by the names of those for which they stand."""
        found = self.rows("select schema_name from information_schema.schemata")
        return schemas_stood_for([name_of(name) for (name,) in found])

    @classmethod
    def get_adapter_run_info(cls, config: Any) -> Any:
        """What dbt-snowflake says of itself: dbt takes an adapter's name from its class."""
        return SnowflakeAdapter.get_adapter_run_info(config)

    @available.parse(lambda *_, **__: [])
    def rows(self, sql: str) -> list[list[Any]]:
        """The rows of a query as Python's values, which dbt would convert by their looks."""
        with self.connections.exception_handler(sql):
            return [list(row) for row in self._cursor(sql).fetchall()]

    @available.parse(lambda *_, **__: [])
    def tables_in(self, schema: str) -> list[str]:
        """The names of the tables in a schema; none if there is no such schema."""
        found = self.list_relations_without_caching(self.Relation.create(schema=schema))
        return [name_of(str(one.identifier)) for one in found if one.type == RelationType.Table]

    @available.parse(lambda *_, **__: "_lakefeed")
    def ledger_schema(self) -> str:
        """The schema of the ledger in this build."""
        return quoted(schema_standing_for("_lakefeed"))

    @available.parse(lambda *_, **__: {})
    def columns_of(self, relations: Sequence[str]) -> dict[str, dict[str, str]]:
        """Snowflake's types of the columns of these tables, by name; none for one not there.

        Args:
            relations: each as `schema.name`.
        """
        wanted = {self._stored(relation): relation for relation in relations}
        schemas = ", ".join(sorted({text_literal(schema) for schema, _ in wanted}))
        found: dict[str, dict[str, str]] = {}
        if not wanted:
            return found
        for schema, table, column, *typed in self.rows(
            "select c.table_schema, c.table_name, c.column_name, c.data_type, "
            "c.numeric_precision, c.numeric_scale, c.datetime_precision "
            "from information_schema.columns as c join information_schema.tables as t "
            "on t.table_schema = c.table_schema and t.table_name = c.table_name "
            f"and t.table_type = 'BASE TABLE' where c.table_schema in ({schemas}) "
            "order by c.ordinal_position"
        ):
            if relation := wanted.get((schema, table)):
                found.setdefault(relation, {})[name_of(column)] = _described(*typed)
        return found

    @available.parse(lambda *_, **__: None)
    def announce_loads(self, models: dict[str, Any], as_of: str | None) -> None:
        """Completes models by what Python reads in their commit logs (see announcement.py)."""
        project = self._project
        announce(models.values(), project.raw if project else None, as_of, copies=False)

    @available.parse(lambda *_, **__: {})
    def open_raw(
        self, view: str, loads: Sequence[dict[str, Any]], columns: dict[str, str]
    ) -> dict[str, str]:
        """Makes a temporary view of the rows in exactly the files of these loads (see raw_rows.py).

        Returns:
            for each column whose values may be lost in its declared type: the types in the files.
        """
        project = self._project
        if project is None:
            raise DbtRuntimeError("the dbt profile has no `project`; run: lakefeed sync")
        self.use_scratch()
        with self.connections.exception_handler(view):
            try:
                raw = (project.raw, self._stage(project))
                return open_rows(self._cursor, view, loads, columns, raw)
            except LakefeedError as error:
                raise DbtRuntimeError(str(error)) from error

    @available.parse(lambda *_, **__: None)
    def use_scratch(self) -> None:
        """Makes the schema of temporary tables and views the session's own again.

        Creating a schema makes that the session's.
        """
        self._cursor(f"use schema {quoted(schema_standing_for(SCRATCH))}")

    @available.parse(lambda *_, **__: None)
    def keep(self, view: str, sql: str) -> None:
        """Makes a temporary table of this query's rows as they are now."""
        with self.connections.exception_handler(sql):
            self._cursor(f"create or replace temporary table {quoted(view)} as {sql}")

    @available.parse(lambda *_, **__: None)
    def let_go(self, view: str) -> None:
        """Drops what `keep` made, which would last as long as the session."""
        with self.connections.exception_handler(view):
            self._cursor(f"drop table if exists {quoted(view)}")

    @available
    @classmethod
    def snowflake_quoted(cls, name: str) -> str:
        """A name as an SQL identifier."""
        return quoted(name)

    @available
    @classmethod
    def snowflake_type(cls, lake_type: str) -> str:
        """Snowflake's type for the values of a lake type."""
        try:
            return snowflake_type(lake_type)
        except LakefeedError as error:
            raise DbtRuntimeError(str(error)) from error

    @available
    @classmethod
    def snowflake_form(cls, form: str) -> str:
        """In Snowflake's SQL, how keys of a type are compared (see equality.py)."""
        return snowflake_form(form)

    def _cursor(self, sql: str) -> Any:
        """Runs one statement in this thread's session."""
        return self.connections.get_thread_connection().handle.cursor().execute(sql)

    def _stored(self, relation: str) -> tuple[str, str]:
        schema, _, name = relation.partition(".")
        return stored_name(schema_standing_for(schema.lower())), name.upper()

    def _stage(self, project: Project) -> Stage:
        snowflake = snowflake_of(project)
        url = stage_url(snowflake)
        path = below_stage(url, project.raw.url) if url else None
        if path is None:
            raise DbtRuntimeError(
                f"the stage {snowflake.stage} doesn't have raw, {project.raw.url}: see "
                "`lakefeed check --warehouse`"
            )
        return Stage(snowflake.stage, path)

    @property
    def _project(self) -> Project | None:
        folder = self.config.credentials.project
        return open_project(Path(folder)) if folder else None


def _described(kind: str, precision: Any, scale: Any, fraction: Any) -> str:
    """A type as `snowflake_type` spells it."""
    if kind == "NUMBER":
        return f"NUMBER({int(precision)},{int(scale)})"
    if kind.startswith("TIME"):
        return f"{kind}({int(fraction if fraction is not None else 9)})"
    return {"TEXT": "VARCHAR"}.get(kind, kind)
