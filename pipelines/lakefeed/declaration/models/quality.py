"""The keys of `tests` in `sources.yaml`: tests of a table's rows in staging.

As in models.py, the docstring below a field is its only documentation.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, StrictBool, model_validator

from lakefeed.declaration.models.strict import Strict
from lakefeed.declaration.models.value_types import (
    IDENTIFIER,
    AcceptedValue,
    Bound,
    Text,
    parse_condition,
    parse_reference,
)

Severity = Literal["error", "warn"]


class Range(Strict):
    """The range that a column's values must be in, bounds included."""

    min: Bound | None = None
    """The lowest valid value: a number, a date or a timestamp."""
    max: Bound | None = None
    """The highest valid value."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_disorder(self.min, self.max)
        return self


class RowBounds(Strict):
    """The range that a number of rows must be in, bounds included."""

    min: NonNegativeInt | None = None
    """The minimum number of rows."""
    max: NonNegativeInt | None = None
    """The maximum number of rows."""
    severity: Severity = "error"
    """What a failure does. `error` holds back the downstream models; `warn` only prints a
    warning."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_disorder(self.min, self.max)
        return self


class ColumnTests(Strict):
    """Tests of one column. Nulls fail `not_null` only; all other tests ignore them."""

    not_null: StrictBool = False
    """No value is null. Primary key columns are always tested."""
    unique: StrictBool = False
    """No two rows have the same value. Primary keys are always tested."""
    accepted_values: Annotated[tuple[AcceptedValue, ...], Field(min_length=1)] | None = None
    """Each value is in this list."""
    relationships: Annotated[Text, BeforeValidator(parse_reference)] | None = None
    """Each value exists in this column of a declared table, written as source, table and column:
    `shop.customers.customer_id`."""
    range: Range | None = None
    """Each value is in this range: `{min, max}`, or one of them."""
    severity: Severity = "error"
    """What a failure of any of this column's tests does. `error` holds back the downstream models;
    `warn` only prints a warning."""

    @property
    def refers_to(self) -> tuple[str, str]:
        """The table that `relationships` names (`shop.customers`), and its column."""
        source, table, column = (self.relationships or "..").split(".", 2)
        return f"{source}.{table}", column


class Expression(Strict):
    """A condition that every row must meet."""

    condition: Text
    """One SQL expression over the columns in staging, in DuckDB's dialect. A row passes if the
    result is true or null, as with PostgreSQL's `check`."""
    severity: Severity = "error"
    """What a failure does. `error` holds back the downstream models; `warn` only prints a
    warning."""


Name = Annotated[str, Field(pattern=IDENTIFIER)]
Condition = Annotated[
    Expression, BeforeValidator(parse_condition, json_schema_input_type=Text | Expression)
]


class Tests(Strict):
    """Tests of one table's rows in staging."""

    columns: dict[Text, ColumnTests] = Field(default={})
    """Tests of single columns, by column name."""
    expressions: dict[Name, Condition] = Field(default={})
    """Conditions that every row must meet, each under a name that you choose:
    `totals_are_positive: total >= 0`, or `{condition, severity}`."""
    rows: RowBounds | None = None
    """How many rows staging must have: `{min, max}`, or one of them."""
    new_rows: RowBounds | None = None
    """How many new or changed rows a build must add to staging: `{min, max}`, or one of them. Tests
    the newest build that added rows, unless all rows came at once, as in a first load. To detect a
    table that gets no new rows, use `freshness`."""


def _refuse_disorder(low: object, high: object) -> None:
    if low is None and high is None:
        raise ValueError("`min`, `max` or both")
    try:
        is_ordered = low is None or high is None or low <= high  # type: ignore[operator]
    except TypeError:
        raise ValueError("`min` and `max` of one kind") from None
    if not is_ordered:
        raise ValueError("a `min` that is no larger than `max`")
