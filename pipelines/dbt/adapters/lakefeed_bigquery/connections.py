"""Connections to BigQuery, which share this process's one client, and what stands for views."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dbt.adapters.bigquery.connections import BigQueryConnectionManager
from dbt.adapters.bigquery.credentials import BigQueryCredentials
from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.exceptions import FailedToConnectError
from google.cloud.bigquery import DatasetReference, TableReference

from lakefeed.errors import LakefeedError
from lakefeed.transformation.targets.bigquery import BigQuery, open_client
from lakefeed.transformation.targets.schemas import schema_standing_for, schemas_stood_for

_OPENED = re.compile(r"\blakefeed_\w+\b")


@dataclass
class LakefeedBigQueryCredentials(BigQueryCredentials):  # type: ignore[misc]
    """What the profile says: BigQuery's project and location, and the folder of Lakefeed's.

    Credentials are where Google's clients look for them.
    """

    folder: str | None = None

    @classmethod
    def __pre_deserialize__(cls, data: Any) -> Any:
        return super().__pre_deserialize__({"method": "oauth", **data})

    @property
    def type(self) -> str:
        return "lakefeed_bigquery"

    def _connection_keys(self) -> tuple[str, ...]:
        return "database", "location", "schema"


class LakefeedBigQueryConnectionManager(BigQueryConnectionManager):  # type: ignore[misc]
    """Opens clients as Lakefeed does, and writes what stands for temporary views into statements.

    BigQuery has no temporary views. So a statement that names one gets its query in its place.
    """

    TYPE = "lakefeed_bigquery"

    def __init__(self, profile: Any, mp_context: Any) -> None:
        super().__init__(profile, mp_context)
        self._views: dict[str, str] = {}

    def stand_for(self, view: str, query: str) -> None:
        """Has this query stand for a view's name, until another does."""
        self._views[view] = f"(\n{self.in_full(query)}\n)"

    def in_full(self, sql: str) -> str:
        """The statement with the queries of the views that it names."""
        return _OPENED.sub(lambda name: self._views.get(name[0], name[0]), sql)

    def raw_execute(self, sql: str, *arguments: Any, **options: Any) -> Any:
        return super().raw_execute(self.in_full(sql), *arguments, **options)

    @classmethod
    def open(cls, connection: Connection) -> Connection:
        if connection.state == ConnectionState.OPEN:
            return connection
        credentials = connection.credentials
        try:
            found = BigQuery(credentials.database, credentials.location or "")
            connection.handle = open_client(found)
        except LakefeedError as error:
            raise FailedToConnectError(str(error)) from None
        connection.state = ConnectionState.OPEN
        return connection

    @classmethod
    def close(cls, connection: Connection) -> Connection:
        """Leaves the client open, which others of this process use."""
        connection.state = ConnectionState.CLOSED
        return connection

    @staticmethod
    def dataset_ref(database: str, schema: str) -> DatasetReference:
        """The dataset that stands for a schema."""
        return DatasetReference(database, schema_standing_for(schema))

    @staticmethod
    def table_ref(database: str, schema: str, table_name: str) -> TableReference:
        """A table in the dataset that stands for a schema."""
        return TableReference(DatasetReference(database, schema_standing_for(schema)), table_name)

    def list_dataset(self, database: str) -> list[str]:
        """The datasets, by the names of the schemas for which they stand."""
        return schemas_stood_for(super().list_dataset(database))

    @contextmanager
    def exception_handler(self, sql: str) -> Iterator[None]:
        try:
            with super().exception_handler(sql):
                yield
        except LakefeedError:
            raise
