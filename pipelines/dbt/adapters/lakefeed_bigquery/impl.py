"""What Lakefeed's macros ask of BigQuery besides SQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbt.adapters.base import BaseRelation, available
from dbt.adapters.bigquery import BigQueryAdapter
from dbt.adapters.bigquery.relation import BigQueryRelation
from dbt.adapters.contracts.relation import ComponentName, RelationType
from google.api_core.exceptions import NotFound
from google.cloud.bigquery import Client

from dbt.adapters.lakefeed_bigquery.connections import LakefeedBigQueryConnectionManager
from lakefeed.declaration.project import open_project
from lakefeed.transformation.dbt_adapter.announcement import announce
from lakefeed.transformation.dbt_adapter.bigquery.raw_rows import (
    LOADING,
    OpenedRows,
    make_loading_dataset,
    open_rows,
)
from lakefeed.transformation.dbt_adapter.bigquery.types import bigquery_form, bigquery_type
from lakefeed.transformation.targets.bigquery import (
    BigQuery,
    open_client,
    quoted,
    rows_of,
    text_literal,
)
from lakefeed.transformation.targets.schemas import schema_standing_for

_MOST_REQUESTS = 8
# The API's names of types, which SQL has otherwise.
_NAMES = {"integer": "int64", "float": "float64", "boolean": "bool", "record": "struct"}


@dataclass(frozen=True, eq=False, repr=False)
class LakefeedBigQueryRelation(BigQueryRelation):  # type: ignore[misc]
    """A relation in the dataset that stands for its schema in this build."""

    def _render_iterator(self) -> Iterator[tuple[ComponentName | None, str | None]]:
        for part, text in super()._render_iterator():
            if text and part == ComponentName.Schema:
                yield part, self.quoted(schema_standing_for(str(self.schema)))
            else:
                yield part, text


class LakefeedBigQueryAdapter(BigQueryAdapter):  # type: ignore[misc]
    """dbt-bigquery's adapter."""

    ConnectionManager = LakefeedBigQueryConnectionManager
    Relation = LakefeedBigQueryRelation

    def __init__(self, config: Any, mp_context: Any) -> None:
        super().__init__(config, mp_context)
        self._can_load = False
        self._opened = OpenedRows("", {}, ())
        # What was asked for, and the tables that were made of it.
        self._asked = ""
        self._loaded: tuple[str, ...] = ()

    @classmethod
    def get_adapter_run_info(cls, config: Any) -> Any:
        """What dbt-bigquery says of itself: dbt takes an adapter's name from its class."""
        return BigQueryAdapter.get_adapter_run_info(config)

    def list_relations_without_caching(self, schema_relation: BaseRelation) -> list[BaseRelation]:
        """Tables and views of a schema; none if there is no such dataset. No functions."""
        schema = schema_relation.schema
        dataset = self.connections.dataset_ref(schema_relation.database, schema)
        try:
            return [
                self.Relation.create(
                    database=schema_relation.database,
                    schema=schema,
                    identifier=table.table_id,
                    quote_policy={"schema": True, "identifier": True},
                    type=self.RELATION_TYPES.get(table.table_type, RelationType.External),
                )
                for table in self._client.list_tables(dataset)
            ]
        except NotFound:
            return []

    def get_relation(self, database: str, schema: str, identifier: str) -> BaseRelation | None:
        """A relation by its name, from one list for each schema."""
        self.list_relations(database, schema)
        return super().get_relation(database, schema, identifier)

    @available.parse(lambda *_, **__: [])
    def rows(self, sql: str) -> list[list[Any]]:
        """The rows of a query as Python's values, which dbt would convert by their looks."""
        return [list(row) for row in rows_of(self._client, self.connections.in_full(sql))]

    @available.parse(lambda *_, **__: [])
    def tables_in(self, schema: str) -> list[str]:
        """The names of the tables in a schema; none if there is no such dataset."""
        return [str(one.identifier) for one in self.list_relations(self._database, schema)]

    @available.parse(lambda *_, **__: "_lakefeed")
    def ledger_schema(self) -> str:
        """The dataset of the ledger in this build."""
        return quoted(self._database, schema_standing_for("_lakefeed"))

    @available.parse(lambda *_, **__: {})
    def columns_of(self, relations: Sequence[str]) -> dict[str, dict[str, str]]:
        """BigQuery's types of the columns of these relations; none for one that isn't there.

        Args:
            relations: each as `schema.name`.
        """
        known = [name for name in relations if self._is_table(*name.split(".", 1))]
        with ThreadPoolExecutor(_MOST_REQUESTS) as threads:
            return dict(zip(known, threads.map(self._columns, known), strict=True))

    @available.parse(lambda *_, **__: None)
    def announce_loads(self, models: dict[str, Any], as_of: str | None) -> None:
        """Completes models by what Python reads in their commit logs (see announcement.py)."""
        announce(models.values(), self._raw, as_of, copies=False)

    @available.parse(lambda *_, **__: {})
    def open_raw(
        self, view: str, loads: Sequence[dict[str, Any]], columns: dict[str, str]
    ) -> dict[str, str]:
        """Has the rows in exactly the files of these loads stand for a view (see raw_rows.py).

        A history asks twice for the same rows, which are loaded once.

        Returns:
            for each column whose values may be lost in its declared type: the types in the files.
        """
        asked = repr(([(load["folder"], load["load_id"]) for load in loads], columns))
        if asked != self._asked:
            self.forget_loaded()
            if not self._can_load:
                make_loading_dataset(self._client)
                self._can_load = True
            self._opened = open_rows(self._client, loads, columns, self._raw)
            self._loaded, self._asked = self._opened.tables, asked
        self.connections.stand_for(view, self._opened.query)
        return self._opened.changed

    @available.parse(lambda *_, **__: None)
    def open_view(self, view: str, query: str) -> None:
        """Has a query stand for a view."""
        self.connections.stand_for(view, query)

    @available.parse(lambda *_, **__: None)
    def keep(self, view: str, sql: str) -> None:
        """Has a query's rows as they are now stand for a view."""
        kept = f"{LOADING}.{view}_{uuid.uuid4().hex}"
        name = quoted(*kept.split("."))
        rows_of(self._client, f"create or replace table {name} as\n{self.connections.in_full(sql)}")
        self._loaded += (kept,)
        self.connections.stand_for(view, f"select * from {name}")

    @available.parse(lambda *_, **__: None)
    def let_go(self, view: str) -> None:
        """Leaves what `keep` made to the end of the model, like the tables that it loaded."""

    def forget_loaded(self) -> None:
        """Drops the tables that were loaded for a model, which would otherwise expire in a day."""
        for table in self._loaded:
            self._client.delete_table(f"{self._database}.{table}", not_found_ok=True)
        self._loaded, self._asked = (), ""

    def cleanup_connections(self) -> None:
        """Ends a dbt invocation, with the rows that it loaded last."""
        self.forget_loaded()
        super().cleanup_connections()

    @available
    @classmethod
    def bigquery_type(cls, lake_type: str) -> str:
        """BigQuery's type for the values of a lake type."""
        return bigquery_type(lake_type)

    @available
    @classmethod
    def bigquery_form(cls, form: str) -> str:
        """In BigQuery's SQL, how keys of a type are compared (see equality.py)."""
        return bigquery_form(form)

    @available
    @classmethod
    def bigquery_text(cls, text: str) -> str:
        """A text as a literal."""
        return text_literal(text)

    @available
    @classmethod
    def bigquery_name(cls, name: str) -> str:
        """A name as an identifier."""
        return quoted(name)

    def _is_table(self, schema: str, name: str) -> bool:
        known = self.get_relation(self._database, schema, name)
        return known is not None and known.type == RelationType.Table

    def _columns(self, relation: str) -> dict[str, str]:
        reference = self.connections.table_ref(self._database, *relation.split(".", 1))
        fields = self._client.get_table(reference).schema
        kinds = {field.name: field.field_type.lower() for field in fields}
        return {name: _NAMES.get(kind, kind) for name, kind in kinds.items()}

    @property
    def _client(self) -> Client:
        credentials = self.config.credentials
        return open_client(BigQuery(credentials.database, credentials.location or ""))

    @property
    def _database(self) -> str:
        return str(self.config.credentials.database)

    @property
    def _raw(self) -> Any:
        folder = self.config.credentials.folder
        return open_project(Path(folder)).raw if folder else None
