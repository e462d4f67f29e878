"""Connections to Snowflake as Lakefeed opens them; their temporary views have a schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.exceptions import FailedToConnectError
from dbt.adapters.snowflake.connections import SnowflakeConnectionManager, SnowflakeCredentials

from lakefeed.errors import LakefeedError
from lakefeed.transformation.targets.schemas import schema_standing_for
from lakefeed.transformation.targets.snowflake import (
    NEW_SCHEMA,
    connect,
    connection_arguments,
)
from lakefeed.transformation.targets.snowflake_names import name_of, quoted

# Where the temporary tables and views of sessions are.
SCRATCH = "_lakefeed_scratch"


@dataclass
class LakefeedSnowflakeCredentials(SnowflakeCredentials):  # type: ignore[misc]
    """What the profile says: the account's URL, the database, the stage, and the project's folder.

    The URL may contain a password, so that only the account is ever shown.
    """

    account: str = "unknown"
    url: str = ""
    stage: str = ""
    project: str | None = None

    @classmethod
    def __pre_deserialize__(cls, data: Any) -> Any:
        try:
            given = connection_arguments(str(data.get("url", "")))
        except LakefeedError:
            # Tells of it when it connects; dbt reads the profile without connecting, too.
            given = {}
        shown = {name: given.get(name) for name in ("account", "user", "warehouse", "role")}
        known = {name: value for name, value in shown.items() if value}
        return super().__pre_deserialize__({"user": "lakefeed", **data, **known})

    @property
    def type(self) -> str:
        return "lakefeed_snowflake"

    def _connection_keys(self) -> tuple[str, ...]:
        return "account", "database", "schema", "stage"


class LakefeedSnowflakeConnectionManager(SnowflakeConnectionManager):  # type: ignore[misc]
    """Opens connections as Lakefeed does."""

    TYPE = "lakefeed_snowflake"

    @classmethod
    def open(cls, connection: Connection) -> Connection:
        if connection.state == ConnectionState.OPEN:
            return connection
        credentials = connection.credentials
        scratch = quoted(schema_standing_for(SCRATCH))
        try:
            handle = connect(credentials.url, name_of(credentials.database.upper()))
        except LakefeedError as error:
            raise FailedToConnectError(str(error)) from None
        for statement in (NEW_SCHEMA.format(scratch), f"use schema {scratch}"):
            handle.cursor().execute(statement)
        connection.handle = handle
        connection.state = ConnectionState.OPEN
        return connection
