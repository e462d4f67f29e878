"""The words of `tests` in `sources.yaml`: what must hold of a table's rows in staging.

The docstring below a field is its documentation everywhere, as in models.py.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, StrictBool, model_validator

from lakefeed.declaration.strict import Strict
from lakefeed.declaration.value_types import (
    IDENTIFIER,
    AcceptedValue,
    Bound,
    Text,
    parse_condition,
    parse_reference,
)

Severity = Literal["error", "warn"]


class Range(Strict):
    """Between which values a column must lie, both included."""

    min: Bound | None = None
    """The smallest value that is allowed: a number, a date or a timestamp."""
    max: Bound | None = None
    """The largest."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_disorder(self.min, self.max)
        return self


class RowBounds(Strict):
    """How many rows there must be, both bounds included."""

    min: NonNegativeInt | None = None
    """The fewest rows that are allowed."""
    max: NonNegativeInt | None = None
    """The most."""
    severity: Severity = "error"
    """`error` holds back the models below; `warn` is printed, and the run goes on."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _refuse_disorder(self.min, self.max)
        return self


class ColumnTests(Strict):
    """What must hold of one column. A null breaks `not_null` alone."""

    not_null: StrictBool = False
    """Every row has a value. Of the columns of the key it is tested in any case."""
    unique: StrictBool = False
    """No two rows share a value. Of a key it is tested in any case."""
    accepted_values: Annotated[tuple[AcceptedValue, ...], Field(min_length=1)] | None = None
    """A list of all values that the column may have."""
    relationships: Annotated[Text, BeforeValidator(parse_reference)] | None = None
    """A column of a declared table in which each value must be found, as source, table and column:
    `shop.customers.customer_id`."""
    range: Range | None = None
    """The smallest and the largest value that are allowed, as `{min, max}`, one or both."""
    severity: Severity = "error"
    """`error` holds back the models below; `warn` is printed, and the run goes on. For all tests of
    this column."""

    @property
    def refers_to(self) -> tuple[str, str]:
        """The table that `relationships` names (`shop.customers`), and its column."""
        source, table, column = (self.relationships or "..").split(".", 2)
        return f"{source}.{table}", column


class Expression(Strict):
    """A condition that every row must meet."""

    condition: Text
    """One SQL expression over the columns of staging, in DuckDB's dialect. A row for which it is
    null meets it, as with PostgreSQL's `check`."""
    severity: Severity = "error"
    """`error` holds back the models below; `warn` is printed, and the run goes on."""


Name = Annotated[str, Field(pattern=IDENTIFIER)]
Condition = Annotated[
    Expression, BeforeValidator(parse_condition, json_schema_input_type=Text | Expression)
]


class Tests(Strict):
    """What must hold of a table in staging."""

    columns: dict[Text, ColumnTests] = Field(default={})
    """The tests of single columns, by the column's name."""
    expressions: dict[Name, Condition] = Field(default={})
    """Conditions that every row must meet, each by a name of your own:
    `totals_are_positive: total >= 0`, or `{condition, severity}`."""
    rows: RowBounds | None = None
    """How many rows staging may hold, as `{min, max}`, one or both."""
    new_rows: RowBounds | None = None
    """How many rows, new or changed, one build may bring to staging, as `{min, max}`. Asked of the
    newest build that brought any; not where all rows came at once, as those of a first load. A
    table that brings nothing is told by `freshness`."""


def _refuse_disorder(low: object, high: object) -> None:
    if low is None and high is None:
        raise ValueError("`min`, `max` or both")
    try:
        is_ordered = low is None or high is None or low <= high  # type: ignore[operator]
    except TypeError:
        raise ValueError("`min` and `max` of one kind") from None
    if not is_ordered:
        raise ValueError("a `min` that is no larger than `max`")
