"""How Spark holds the values of the lake's types, and how it reads them from raw files.

    lake type      in Spark         declared for Parquet     then
    uuid           string           binary                   formatted
    time           string           bigint, microseconds     formatted
    timestamptz    timestamp        timestamp                infinity is refused
    timestamp      timestamp_ntz    timestamp_ntz            infinity is refused
    date           date             date                     infinity is refused
    smallint       int              smallint                 Iceberg has no type of 16 bits

All others are declared as what they are. Spark refuses UUIDs and times of the day in Parquet, and
reads an infinite time or day as one in the year 294247 or 5881580.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.source.inspection.equality import SPARK_FORMS
from lakefeed.transformation.targets.spark import text_literal

_IN_SPARK = {
    "smallint": "int",
    "integer": "int",
    "varchar": "string",
    "blob": "binary",
    "timestamptz": "timestamp",
    "timestamp": "timestamp_ntz",
    "uuid": "string",
    "time": "string",
}
_DECLARED = {"smallint": "smallint", "uuid": "binary", "time": "bigint"}

_DASHES = "'(.{8})(.{4})(.{4})(.{4})(.{12})', '$1-$2-$3-$4-$5'"
_VALUE = "{value}"
_UUID = f"regexp_replace(lower(hex({_VALUE})), {_DASHES})"
_TIME = (
    "concat_ws(':', lpad(cast({value} div 3600000000 as string), 2, '0'), "
    "lpad(cast({value} div 60000000 % 60 as string), 2, '0'), "
    "lpad(cast({value} div 1000000 % 60 as string), 2, '0')) "
    "|| case when {value} % 1000000 = 0 then '' "
    "else '.' || rtrim('0', lpad(cast({value} % 1000000 as string), 6, '0')) end"
)
# What DuckDB writes for infinity and -infinity, as Spark reads it.
_INFINITE = {
    "timestamptz": (
        "timestamp '+294247-01-10 04:00:54.775807+00'",
        "timestamp '-290308-12-21 19:59:05.224193+00'",
    ),
    "timestamp": (
        "timestamp_ntz '+294247-01-10 04:00:54.775807'",
        "timestamp_ntz '-290308-12-21 19:59:05.224193'",
    ),
    "date": ("date '+5881580-07-11'", "date '-5877641-06-24'"),
}


def spark_type(lake_type: str) -> str:
    """Spark's name for the type that holds the values of a lake type."""
    return _IN_SPARK.get(lake_type, lake_type)


def holds_infinity(lake_type: str) -> bool:
    """Whether Spark has all values of a lake type; an infinite time stops its model."""
    return lake_type not in _INFINITE


def spark_form(form: str) -> str:
    """In Spark's SQL, how keys are compared by this form, which is written for DuckDB."""
    return SPARK_FORMS.get(form, form)


@dataclass(frozen=True)
class RawColumn:
    """A column in a raw file, and the lake type that it was written with."""

    name: str
    lake_type: str

    @property
    def declared(self) -> str:
        """The type that Spark must be told for it to read every value."""
        return _DECLARED.get(self.lake_type, spark_type(self.lake_type))

    def read_by(self, column: str) -> str:
        """The expression that turns a column of the declared type into the lake type's in Spark."""
        if self.lake_type == "uuid":
            return _UUID.replace(_VALUE, column)
        if self.lake_type == "time":
            return f"case when {column} is not null then {_TIME.replace(_VALUE, column)} end"
        if self.lake_type in _INFINITE:
            told = text_literal(
                f"column {self.name} holds infinity, which Spark can't: leave the column out "
                "(`columns: {exclude: …}`), or load it as text by a query"
            )
            infinite = ", ".join(_INFINITE[self.lake_type])
            return f"case when {column} in ({infinite}) then raise_error({told}) else {column} end"
        return column
