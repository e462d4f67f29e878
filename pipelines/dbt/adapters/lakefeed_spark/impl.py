"""What Lakefeed's macros ask of Spark besides SQL, and what dbt-spark doesn't know of Iceberg."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any

import agate
from dbt.adapters.base import BaseRelation, available
from dbt.adapters.contracts.relation import ComponentName, RelationType
from dbt.adapters.spark import SparkAdapter
from dbt.adapters.spark.relation import SparkRelation
from dbt_common.exceptions import DbtRuntimeError

from dbt.adapters.lakefeed_spark.connections import LakefeedSparkConnectionManager
from lakefeed.declaration.project import open_project
from lakefeed.transformation.dbt_adapter.announcement import announce
from lakefeed.transformation.dbt_adapter.spark.raw_rows import open_rows
from lakefeed.transformation.dbt_adapter.spark.types import spark_form, spark_type
from lakefeed.transformation.targets.schemas import schema_standing_for, schemas_stood_for
from lakefeed.transformation.targets.spark import Session, quoted, text_literal, types_of
from lakefeed.transformation.targets.spark_views import beside_table, model_of

# How the tags of published snapshots begin.
_TAG = "lakefeed_"
_DECIMAL = re.compile(r"decimal\(\d+,(\d+)\)")
# Schema of the catalog and name of each model whose view stands beside a table of its name.
_beside_tables: set[tuple[str, str]] = set()


@dataclass(frozen=True, eq=False, repr=False)
class LakefeedSparkRelation(SparkRelation):  # type: ignore[misc]
    """A relation that stands in its schema, or in the one that stands for that in a build apart.

    A view stands beside a published table of its name.
    """

    def _render_iterator(self) -> Iterator[tuple[ComponentName | None, str | None]]:
        for part, text in super()._render_iterator():
            if text and part == ComponentName.Schema:
                yield part, schema_standing_for(text)
            elif text and part == ComponentName.Identifier and self._is_beside_a_table:
                yield part, self.quoted(beside_table(str(self.identifier)))
            else:
                yield part, text

    @property
    def _is_beside_a_table(self) -> bool:
        # What `ref` gives has no type.
        return self.type != RelationType.Table and _place(self) in _beside_tables


class LakefeedSparkAdapter(SparkAdapter):  # type: ignore[misc]
    """dbt-spark's adapter whose tables are Iceberg's."""

    ConnectionManager = LakefeedSparkConnectionManager
    Relation = LakefeedSparkRelation

    def pre_model_hook(self, config: Any) -> Any:
        """Makes Iceberg the format of every table, and `merge` what a unique key means."""
        options = config.model.config
        options["file_format"] = "iceberg"
        if options.get("unique_key") and not options.get("incremental_strategy"):
            options["incremental_strategy"] = "merge"
        return super().pre_model_hook(config)

    def list_relations_without_caching(self, schema_relation: BaseRelation) -> list[BaseRelation]:
        """Tables and views of a schema, from two statements.

        dbt-spark describes each table by a statement of its own.
        """
        schema = schema_relation.schema
        place = schema_standing_for(schema)
        _beside_tables.difference_update([at for at in _beside_tables if at[0] == place])
        if (place,) not in self._session.rows("show namespaces"):
            return []
        listed = [
            (kind, {row[1] for row in self.rows(f"show {kind}s in {self.quote(place)}")})
            for kind in ("table", "view")
        ]
        views = {model_of(name) for name in listed[1][1]}
        _beside_tables.update((place, name) for name in views - listed[1][1])
        return [
            self.Relation.create(
                schema=schema,
                identifier=model_of(name),
                type=RelationType.View if kind == "view" else RelationType.Table,
                is_iceberg=kind == "table",
            )
            for kind, names in listed
            for name in sorted(names)
            if kind == "view" or model_of(name) not in views
        ]

    def list_schemas(self, database: str) -> list[str]:
        """The schemas of the catalog, by the names of those for which they stand."""
        return schemas_stood_for(super().list_schemas(database))

    @classmethod
    def convert_datetime_type(cls, agate_table: agate.Table, col_idx: int) -> str:  # noqa: ARG003
        """The type of a seed's times, which have no time zone."""
        return spark_type("timestamp")

    @classmethod
    def get_adapter_run_info(cls, config: Any) -> Any:
        """What dbt-spark says of itself: dbt takes an adapter's name from its class."""
        return SparkAdapter.get_adapter_run_info(config)

    def drop_relation(self, relation: BaseRelation) -> None:
        """Drops a relation, unless a published version shows it.

        Dropping a table removes its snapshots, tagged or not, to which public views are pinned.
        """
        if relation.type == RelationType.Table and self._is_published(relation):
            raise DbtRuntimeError(
                f"{relation} is a table in a published version: give the new model another name"
            )
        super().drop_relation(relation)
        if relation.type == RelationType.View:
            _beside_tables.discard(_place(relation))

    @available.parse(lambda *_, **__: None)
    def make_way_for_view(self, table: BaseRelation) -> None:
        """Drops a table that its model no longer is.

        One that a published version shows stays, and the model's view stands beside it.
        """
        if not self._is_published(table):
            self.drop_relation(table)
            return
        self.cache_dropped(table)
        _beside_tables.add(_place(table))

    @available.parse(lambda *_, **__: [])
    def rows(self, sql: str) -> list[list[Any]]:
        """The rows of a query as Python's values, which dbt would convert by their looks."""
        with self.connections.exception_handler(sql):
            return [list(row) for row in self._session.rows(sql)]

    @available.parse(lambda *_, **__: [])
    def tables_in(self, schema: str) -> list[str]:
        """The names of the tables in a schema; none if there is no such schema."""
        return [str(relation.identifier) for relation in self.list_relations("", schema)]

    @available.parse(lambda *_, **__: "_lakefeed")
    def ledger_schema(self) -> str:
        """The schema of the ledger in this build."""
        return self.quote(schema_standing_for("_lakefeed"))

    @available.parse(lambda *_, **__: {})
    def columns_of(self, relations: Sequence[str]) -> dict[str, dict[str, str]]:
        """Spark's types of the columns of these relations, by name; none for one that isn't there.

        Args:
            relations: each as `schema.name`.
        """
        found: dict[str, dict[str, str]] = {}
        for relation in relations:
            schema, _, name = relation.partition(".")
            known = self.get_relation("", schema, name)
            if known is None or known.type != RelationType.Table:
                continue
            found[relation] = types_of(self._session, f"select * from {known}")
        return found

    @available.parse(lambda *_, **__: None)
    def announce_loads(self, models: dict[str, Any], as_of: str | None) -> None:
        """Completes models by what Python reads in their commit logs (see announcement.py)."""
        announce(models.values(), self._raw, as_of, copies=False)

    @available.parse(lambda *_, **__: {})
    def open_raw(
        self, view: str, loads: Sequence[dict[str, Any]], columns: dict[str, str]
    ) -> dict[str, str]:
        """Makes a temporary view of the rows in exactly the files of these loads (see raw_rows.py).

        Returns:
            for each column whose values may be lost in its declared type: the types in the files.
        """
        with self.connections.exception_handler(view):
            return open_rows(self._session, view, loads, columns, self._raw)

    @available.parse(lambda *_, **__: None)
    def keep(self, view: str, sql: str) -> None:
        """Makes a temporary view of this query's rows as they are until a table of it is written.

        A view of the query alone would be evaluated, and planned, wherever a statement names it.
        """
        self.let_go(view)
        with self.connections.exception_handler(sql):
            self._session.run(f"cache table {quoted(view)} as {sql}")

    @available.parse(lambda *_, **__: None)
    def let_go(self, view: str) -> None:
        """Drops what `keep` made, which the server would have for longer than the session."""
        with self.connections.exception_handler(view):
            self._session.run(f"drop view if exists {quoted(view)}")

    @available.parse(lambda *_, **__: None)
    def open_seed(self, view: str, seed: agate.Table) -> None:
        """Makes a temporary view of a seed's rows, all values as text."""
        rows = json.dumps([[_as_text(value) for value in row] for row in seed.rows])
        columns = [f"cells[{at}] as {quoted(name)}" for at, name in enumerate(seed.column_names)]
        # One literal: many would take Spark's parser long.
        read = f"from_json({text_literal(rows)}, 'array<array<string>>', map('mode', 'FAILFAST'))"
        with self.connections.exception_handler(view):
            self._session.run(
                f"create or replace temporary view {quoted(view)} as "
                f"select {', '.join(columns)} from (select explode({read}) as cells)"
            )

    @available.parse(lambda *_, **__: None)
    def refuse_rounding(self, rows: str, table: str) -> None:
        """Fails if the decimals of these rows have more places than their columns in the table."""
        present = types_of(self._session, f"select * from {table}")
        for name, kind in types_of(self._session, f"select * from {rows}").items():
            found = present.get(name)
            if found is not None and _places(kind) > _places(found) >= 0:
                raise DbtRuntimeError(
                    f"a merge would round {name}: it is {found} in {table}, and {kind} in the "
                    "model's query; build the model with --full-refresh"
                )

    @available
    @classmethod
    def spark_type(cls, lake_type: str) -> str:
        """Spark's type for the values of a lake type."""
        return spark_type(lake_type)

    @available
    @classmethod
    def spark_form(cls, form: str) -> str:
        """In Spark's SQL, how keys of a type are compared (see equality.py)."""
        return spark_form(form)

    def _is_published(self, relation: BaseRelation) -> bool:
        if self.get_relation("", relation.schema, relation.identifier) is None:
            return False
        tags = self.rows(f"select name from {relation}.refs where type = 'TAG'")
        return any(name.startswith(_TAG) for (name,) in tags)

    @property
    def _session(self) -> Session:
        session: Session = self.connections.get_thread_connection().handle.handle.session
        return session

    @property
    def _raw(self) -> Any:
        folder = self.config.credentials.project
        return open_project(Path(folder)).raw if folder else None


def _place(relation: BaseRelation) -> tuple[str, str]:
    return schema_standing_for(str(relation.schema)), str(relation.identifier)


def _places(kind: str) -> float:
    """The decimal places of a type's values; -1 for a type that has none."""
    if kind in ("float", "double"):
        return inf
    found = _DECIMAL.fullmatch(kind)
    return int(found[1]) if found else -1


def _as_text(value: Any) -> str | None:
    """A seed's value as text that Spark reads as the same value; times are in UTC."""
    if isinstance(value, dt.datetime):
        value = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return value.isoformat(" ")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return None if value is None else str(value)
