"""BigQuery as an engine whose tables are cloned.

Readers see the dataset `public`: a view of each table and view of the published version. BigQuery
has no statement that changes several relations, so that each view is replaced by itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from lakefeed.errors import Refused
from lakefeed.transformation.dbt_adapter.bigquery.types import bigquery_form, bigquery_type
from lakefeed.transformation.targets.bigquery import (
    BigQuery,
    StatementFailed,
    arrow_of,
    columns_of,
    open_client,
    quoted,
    rows_of,
    text_literal,
    translated,
)
from lakefeed.transformation.warehouse.clones.engine import PUBLIC, Shown, Stored
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side
from lakefeed.transformation.warehouse.registered.views import Place

if TYPE_CHECKING:
    from google.cloud.bigquery import Client, Table

_KINDS = {"TABLE": "table", "CLONE": "table", "SNAPSHOT": "table", "VIEW": "view"}
# Of two writers of a table; and of too many changes to one within ten seconds.
# https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency
_CONFLICTS = ("Could not serialize access", "concurrent update", "rate limit", "Already Exists")


@dataclass(frozen=True)
class BigQueryEngine:
    """A project of Google Cloud."""

    bigquery: BigQuery
    name: str = "BigQuery"
    dialect: str = "bigquery"
    unread: type[Exception] = StatementFailed

    @property
    def place(self) -> str:
        return f"BigQuery's project {self.bigquery.project}"

    def target(self, prefix: str) -> BigQuery:
        return replace(self.bigquery, prefix=prefix)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return rows_of(self._client, sql)

    def arrow(self, sql: str) -> Any:
        return arrow_of(self._client, sql)

    def quoted(self, *names: str) -> str:
        return quoted(*names)

    def folded(self, name: str) -> str:
        # Names of datasets and tables are case-sensitive.
        return name

    def name_of(self, identifier: exp.Identifier) -> str:
        return identifier.name

    def text(self, value: str) -> str:
        return text_literal(value)

    def moment(self, value: dt.datetime) -> str:
        return text_literal(value.astimezone(dt.UTC).isoformat(sep=" "))

    def microseconds(self, moment: str) -> str:
        return f"unix_micros({moment})"

    def texts(self, values: Sequence[str]) -> str:
        return f"array<string>[{', '.join(map(text_literal, values))}]"

    def texts_of(self, value: Any) -> list[str]:
        return [str(one) for one in value or ()]

    def type_named(self, lake_type: str) -> str:
        return "array<string>" if lake_type == "varchar[]" else bigquery_type(lake_type)

    def key_value(self, lake_type: str, text: str) -> str:
        if lake_type == "blob":
            return f"from_hex({text_literal(text)})"
        return f"cast({text_literal(text)} as {bigquery_type(lake_type)})"

    def tried(self, column: str, lake_type: str) -> str:
        if lake_type == "blob":
            return column
        # Of types that can't be cast to one another, `safe_cast` makes an error, and no null.
        return f"safe_cast(safe_cast({column} as string) as {bigquery_type(lake_type)})"

    def comparison(self, form: str) -> str:
        return bigquery_form(form)

    def columns(self, item: str) -> list[str]:
        return columns_of(self._client, f"select * from {item}")

    def columns_in(self, schema: str, column: str) -> set[str]:
        query = (
            f"select distinct table_name from {quoted(schema)}.INFORMATION_SCHEMA.COLUMNS "
            f"where column_name = {text_literal(column)}"
        )
        return {str(name) for (name,) in self.rows(query)}

    def schemas(self) -> set[str]:
        with translated(self._client):
            # Also those whose names begin with an underscore.
            found = self._client.list_datasets(include_all=True)
            return {dataset.dataset_id for dataset in found}

    def stored(self, schemas: Iterable[str]) -> list[Stored]:
        with translated(self._client):
            listed = [one for schema in schemas for one in self._client.list_tables(schema)]
            tables = side_by_side(
                lambda one: self._client.get_table(one.reference),
                [one for one in listed if one.table_type in _KINDS],
            )
        return [_stored(table) for table in tables]

    def create_schema(self, name: str) -> None:
        from google.cloud.bigquery import Dataset

        dataset = Dataset(f"{self.bigquery.project}.{name}")
        dataset.location = self.bigquery.location
        with translated(self._client):
            self._client.create_dataset(dataset, exists_ok=True)

    def drop_schema(self, name: str) -> None:
        with translated(self._client):
            self._client.delete_dataset(name, delete_contents=True, not_found_ok=True)

    def clone(self, source: Place, target: Place) -> None:
        self.rows(f"create or replace table {quoted(*target)} clone {quoted(*source)}")

    def refuse_others(self, known: Collection[str]) -> None:
        others = sorted(set(self._in_public()) - set(known))
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise Refused(
                f"the dataset {PUBLIC} of {self.place} has {others[0]}{more}, which Lakefeed "
                "didn't make",
                do="move it to a dataset of its own: Lakefeed's views stand there",
            )

    def show(self, shown: Shown) -> None:
        self.create_schema(PUBLIC)
        queries = {
            name: f"select * from {quoted(*place)}"
            for name, place in shown.tables.items()
            if name not in shown.same
        }
        side_by_side(lambda one: self._view(*one), {**queries, **shown.views}.items())
        for name in sorted(shown.gone):
            self.rows(f"drop view if exists {quoted(PUBLIC, name)}")

    def clock(self) -> int:
        ((now,),) = self.rows("select unix_micros(current_timestamp())")
        return int(now)

    def is_missing(self, error: Exception) -> bool:
        from google.api_core.exceptions import NotFound

        return isinstance(error, StatementFailed) and isinstance(error.__cause__, NotFound)

    def is_conflict(self, error: Exception) -> bool:
        return isinstance(error, StatementFailed) and any(sign in str(error) for sign in _CONFLICTS)

    def _view(self, name: str, query: str) -> None:
        rows_of(self._client, f"create or replace view {quoted(PUBLIC, name)} as {query}")

    def _in_public(self) -> Iterator[str]:
        if PUBLIC in self.schemas():
            with translated(self._client):
                yield from (table.table_id for table in self._client.list_tables(PUBLIC))

    @property
    def _client(self) -> Client:
        return open_client(replace(self.bigquery, prefix=""))


def _stored(table: Table) -> Stored:
    kind = _KINDS[table.table_type]
    if kind == "view":
        return Stored(table.dataset_id, table.table_id, kind, sql=table.view_query)
    stamp = f"{table.created:%Y-%m-%dT%H:%M:%S.%f} {table.modified:%Y-%m-%dT%H:%M:%S.%f}"
    return Stored(table.dataset_id, table.table_id, kind, stamp=stamp)
