"""Snowflake as an engine whose tables are cloned.

Readers see the schema PUBLIC. A version is shown by building its successor beside it, of clones,
and swapping the two in one statement: a query sees one version whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from lakefeed.errors import BuildFailed, Refused
from lakefeed.transformation.dbt_adapter.snowflake.key_forms import snowflake_form
from lakefeed.transformation.dbt_adapter.snowflake.types import snowflake_type
from lakefeed.transformation.targets.snowflake import NEW_SCHEMA, Snowflake, StatementFailed, run
from lakefeed.transformation.targets.snowflake_names import (
    identified,
    name_of,
    quoted,
    stored_name,
    text_literal,
)
from lakefeed.transformation.warehouse.clones.engine import PUBLIC, Shown, Stored
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side
from lakefeed.transformation.warehouse.registered.views import Place
from lakefeed.transformation.warehouse.snowflake.grants import copy_grants
from lakefeed.transformation.warehouse.snowflake.snowflake_arrow import arrow_of

# What becomes PUBLIC; and was it, for a moment.
_NEXT = "_lakefeed_next"
_DOES_NOT_EXIST = (2003, 2043)
# More statements waited for the table's lock than may.
_LOCKED = (625, 626, 634)


@dataclass(frozen=True)
class SnowflakeEngine:
    """A database of an account."""

    snowflake: Snowflake
    name: str = "Snowflake"
    dialect: str = "snowflake"
    unread: type[Exception] = StatementFailed

    @property
    def place(self) -> str:
        return self.snowflake.shown

    def target(self, prefix: str) -> Snowflake:
        return replace(self.snowflake, prefix=prefix)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in run(self.snowflake, sql).fetchall()]

    def arrow(self, sql: str) -> Any:
        return arrow_of(self.snowflake, sql)

    def quoted(self, *names: str) -> str:
        return quoted(*names)

    def folded(self, name: str) -> str:
        # dbt writes names without quotes.
        return name_of(name.upper())

    def name_of(self, identifier: exp.Identifier) -> str:
        return identified(identifier)

    def text(self, value: str) -> str:
        return text_literal(value)

    def moment(self, value: dt.datetime) -> str:
        return text_literal(value.astimezone(dt.UTC).isoformat(sep=" "))

    def microseconds(self, moment: str) -> str:
        return f"date_part(epoch_microsecond, {moment})"

    def texts(self, values: Sequence[str]) -> str:
        return f"array_construct({', '.join(map(text_literal, values))})"

    def texts_of(self, value: Any) -> list[str]:
        import json

        return list(json.loads(value)) if value else []

    def type_named(self, lake_type: str) -> str:
        return snowflake_type(lake_type)

    def key_value(self, lake_type: str, text: str) -> str:
        if lake_type == "blob":
            return f"to_binary('{text}', 'HEX')"
        return f"cast({text_literal(text)} as {snowflake_type(lake_type)})"

    def tried(self, column: str, lake_type: str) -> str:
        if lake_type == "blob":
            return column
        # try_cast takes texts only.
        return f"try_cast(to_varchar({column}) as {snowflake_type(lake_type)})"

    def comparison(self, form: str) -> str:
        return snowflake_form(form)

    def columns(self, item: str) -> list[str]:
        described = run(self.snowflake, f"select * from {item} limit 0").description
        return [name_of(column.name) for column in described]

    def columns_in(self, schema: str, column: str) -> set[str]:
        found = self.rows(
            "select table_name from information_schema.columns "
            f"where table_schema = {text_literal(stored_name(schema))} "
            f"and column_name = {text_literal(stored_name(column))}"
        )
        return {name_of(name) for (name,) in found}

    def schemas(self) -> set[str]:
        found = self.rows("select schema_name from information_schema.schemata")
        return {name_of(name) for (name,) in found}

    def stored(self, schemas: Iterable[str]) -> list[Stored]:
        listed = ", ".join(text_literal(stored_name(schema)) for schema in schemas)
        if not listed:
            return []
        tables = self.rows(
            "select table_schema, table_name, "
            "to_varchar(created) || ' ' || to_varchar(last_altered) "
            f"from information_schema.tables where table_schema in ({listed}) "
            "and table_type = 'BASE TABLE'"
        )
        views = self.rows(
            "select table_schema, table_name, view_definition "
            f"from information_schema.views where table_schema in ({listed})"
        )
        return [
            *(Stored(name_of(s), name_of(n), "table", stamp=stamp) for s, n, stamp in tables),
            *(Stored(name_of(s), name_of(n), "view", sql=_query_of(n, v)) for s, n, v in views),
        ]

    def create_schema(self, name: str) -> None:
        self.rows(NEW_SCHEMA.format(quoted(name)))

    def drop_schema(self, name: str) -> None:
        self.rows(f"drop schema if exists {quoted(name)} cascade")

    def clone(self, source: Place, target: Place) -> None:
        self.rows(
            f"create or replace transient table {quoted(*target)} clone {quoted(*source)} "
            "copy grants"
        )

    def refuse_others(self, known: Collection[str]) -> None:
        others = sorted(set(self._in_public()) - set(known))
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise Refused(
                f"the schema PUBLIC of {self.place} has {others[0]}{more}, which Lakefeed didn't "
                "make, and which publishing would drop",
                do="move it to a schema of its own: PUBLIC is replaced whole by each publication",
            )

    def show(self, shown: Shown) -> None:
        self.drop_schema(_NEXT)
        self.create_schema(_NEXT)
        self.create_schema(PUBLIC)
        copy_grants(self.rows, PUBLIC, _NEXT)
        side_by_side(lambda one: self.clone(one[1], (_NEXT, one[0])), shown.tables.items())
        for name, query in shown.views.items():
            self.rows(f"create or replace view {quoted(_NEXT, name)} copy grants as {query}")
        self.rows(f"alter schema {quoted(PUBLIC)} swap with {quoted(_NEXT)}")
        self.drop_schema(_NEXT)

    def clock(self) -> int:
        ((now,),) = self.rows("select date_part(epoch_microsecond, current_timestamp())")
        return int(now)

    def is_missing(self, error: Exception) -> bool:
        return isinstance(error, StatementFailed) and error.number in _DOES_NOT_EXIST

    def is_conflict(self, error: Exception) -> bool:
        return isinstance(error, StatementFailed) and error.number in _LOCKED

    def _in_public(self) -> Iterator[str]:
        """What PUBLIC has: tables, views, and all else that would be dropped with it."""
        public = text_literal(stored_name(PUBLIC))
        for kind, column, schema in (
            ("tables", "table_name", "table_schema"),
            ("views", "table_name", "table_schema"),
            ("stages", "stage_name", "stage_schema"),
            ("file_formats", "file_format_name", "file_format_schema"),
            ("sequences", "sequence_name", "sequence_schema"),
            ("functions", "function_name", "function_schema"),
            ("procedures", "procedure_name", "procedure_schema"),
        ):
            query = f"select {column} from information_schema.{kind} where {schema} = {public}"
            yield from (name_of(name) for (name,) in self.rows(query))


def _query_of(name: str, definition: str | None) -> str:
    """The query of a view, of whose definition Snowflake has the whole statement.

    Raises:
        BuildFailed: the statement isn't understood, or the role may not see it.
    """
    try:
        created = parse_one(definition or "", dialect="snowflake")
    except SqlglotError:
        created = None
    query = created.expression if isinstance(created, exp.Create) else created
    if not isinstance(query, exp.Query):
        raise BuildFailed(
            f"the view {name} can't be published: its SQL isn't understood, or Lakefeed's role "
            "doesn't own it",
            do="materialize the model as a table",
        )
    return query.sql(dialect="snowflake")
