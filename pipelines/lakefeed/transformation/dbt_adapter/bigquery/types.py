"""How BigQuery holds the values of the lake's types, and how it reads them from raw files.

    lake type              in BigQuery    loaded as      then
    smallint … bigint      int64          int64
    float, double          float64        float64
    decimal(p,s)           numeric        numeric        bignumeric beyond its digits
    varchar                string         string
    blob                   bytes          bytes
    boolean                bool           bool
    date, timestamp,       date,          the same       years before 1 and after 9999, and
    timestamptz            datetime,                     infinity, are refused
                           timestamp
    time                   time           time           24:00 is refused
    uuid                   string         bytes          formatted

Types have no parameters: BigQuery rounds what is written to a column of fewer decimal places, and
keeps every value in one without parameters.

Source: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#parquet_conversions
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lakefeed.source.inspection.equality import BIGQUERY_FORMS
from lakefeed.source.inspection.types import widens

_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")
_IN_BIGQUERY = {
    "smallint": "int64",
    "integer": "int64",
    "bigint": "int64",
    "float": "float64",
    "double": "float64",
    "varchar": "string",
    "blob": "bytes",
    "boolean": "bool",
    "timestamp": "datetime",
    "timestamptz": "timestamp",
    "uuid": "string",
}
_WHOLE = ("smallint", "integer", "bigint")
_MOST = {"smallint": 2**15, "integer": 2**31}
# Digits of a `numeric` before and behind the point.
_NUMERIC_WHOLE, _NUMERIC_PLACES = 29, 9

_VALUE = "{value}"
_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
_UUID = " || '-' || ".join(f"substr(to_hex({_VALUE}), {at}, {length})" for at, length in _PARTS)


def bigquery_type(lake_type: str) -> str:
    """BigQuery's name for the type that holds the values of a lake type."""
    if digits := _digits(lake_type):
        precision, places = digits
        fits = places <= _NUMERIC_PLACES and precision - places <= _NUMERIC_WHOLE
        return "numeric" if fits else "bignumeric"
    return _IN_BIGQUERY.get(lake_type, lake_type)


def bigquery_form(form: str) -> str:
    """In BigQuery's SQL, how keys are compared by this form, which is written for DuckDB."""
    return BIGQUERY_FORMS.get(form, form)


@dataclass(frozen=True)
class RawColumn:
    """A column in a raw file, and the lake type that it was written with."""

    name: str
    lake_type: str

    @property
    def loaded_as(self) -> str:
        """The type of the column that a load job writes."""
        return "bytes" if self.lake_type == "uuid" else bigquery_type(self.lake_type)

    def read_by(self, column: str) -> str:
        """The expression that turns a loaded column into the lake type's in BigQuery."""
        return _UUID.replace(_VALUE, column) if self.lake_type == "uuid" else column

    def lost_in(self, declared: str, value: str) -> str | None:
        """The condition that the declared type has no equal value; None if it has one for each."""
        return lost(self.lake_type, declared, value)


def lost(present: str, declared: str, value: str) -> str | None:
    """The condition that a value of a lake type is rounded or lost in another; None if none is.

    The types in BigQuery may be the same: they don't bound what the declared types do.
    """
    if present == declared or widens(present, declared) or declared == "varchar":
        return None
    if digits := _digits(declared):
        places = digits[1]
        beyond = "1" + "0" * (digits[0] - places)
        number = f"safe_cast({value} as bignumeric)"
        # `safe_cast` rounds what has more places than a bignumeric holds.
        back = f"safe_cast({number} as float64) <> {value} or " if present in _FLOATS else ""
        return (
            f"{value} is not null and ({number} is null or {back}round({number}, {places}) "
            f"<> {number} or abs({number}) >= bignumeric '{beyond}')"
        )
    if declared in _WHOLE and (present in _WHOLE or _digits(present)):
        limit = _MOST.get(declared, 2**63)
        return (
            f"{value} <> trunc({value}) or {value} < -{limit} or {value} >= {limit}"
            if _digits(present)
            else f"{value} < -{limit} or {value} >= {limit}"
        )
    kinds = bigquery_type(declared), bigquery_type(present)
    return f"{value} is distinct from safe_cast(safe_cast({value} as {kinds[0]}) as {kinds[1]})"


_FLOATS = ("float", "double")


def _digits(lake_type: str) -> tuple[int, int] | None:
    found = _DECIMAL.fullmatch(lake_type)
    return (int(found[1]), int(found[2])) if found else None
