"""How Snowflake holds the values of the lake's types, and how it reads them from raw files.

    lake type      in Snowflake       landed as       then
    smallint       number(5,0)
    integer        number(10,0)
    bigint         number(19,0)
    float, double  float              float           64 bits
    decimal(p,s)   number(p,s)                        a scale of 38 is refused
    varchar        varchar
    blob           binary
    uuid           varchar(36)        binary(16)      formatted
    boolean        boolean
    date           date                               years 1 to 9999; others are refused
    time           time(6)                            24:00 is refused
    timestamp      timestamp_ntz(6)                   years 1 to 9999; others are refused
    timestamptz    timestamp_tz(6)    timestamp_ltz   years 1 to 9999; others are refused

What is refused is found in the footers of raw files, before any of them is loaded (ranges.py).
Sources: https://docs.snowflake.com/en/sql-reference/intro-summary-data-types and
https://docs.snowflake.com/en/sql-reference/sql/create-file-format (Parquet).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lakefeed.errors import Refused

_IN_SNOWFLAKE = {
    "smallint": "NUMBER(5,0)",
    "integer": "NUMBER(10,0)",
    "bigint": "NUMBER(19,0)",
    "float": "FLOAT",
    "double": "FLOAT",
    "varchar": "VARCHAR",
    "varchar[]": "ARRAY",
    "blob": "BINARY",
    "uuid": "VARCHAR",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "time": "TIME(6)",
    "timestamp": "TIMESTAMP_NTZ(6)",
    "timestamptz": "TIMESTAMP_TZ(6)",
}
_LANDED = {"uuid": "BINARY", "timestamptz": "TIMESTAMP_LTZ(6)"}
_DECIMAL = re.compile(r"^decimal\((\d+),(\d+)\)$", re.IGNORECASE)
_MOST_SCALE = 37


def snowflake_type(lake_type: str) -> str:
    """Snowflake's name for the type that holds the values of a lake type, as it describes it.

    Raises:
        Refused: it has none.
    """
    if found := _DECIMAL.match(lake_type):
        precision, scale = map(int, found.groups())
        if scale > _MOST_SCALE:
            raise Refused(
                f"Snowflake has no {lake_type}: at most {_MOST_SCALE} digits after the point",
                do="leave the column out (`columns: {exclude: …}`), or load it as text by a query",
            )
        return f"NUMBER({precision},{scale})"
    return _IN_SNOWFLAKE.get(lake_type, lake_type.upper())


@dataclass(frozen=True)
class RawColumn:
    """A column in a raw file, and the lake type that it was written with."""

    name: str
    lake_type: str

    @property
    def landed(self) -> str:
        """The type of the column that it is copied into."""
        return _LANDED.get(self.lake_type, snowflake_type(self.lake_type))

    def read_by(self, column: str) -> str:
        """The expression that turns the landed column into the lake type's in Snowflake."""
        if self.lake_type == "uuid":
            digits = f"lower(hex_encode({column}))"
            parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
            return " || '-' || ".join(f"substr({digits}, {at}, {n})" for at, n in parts)
        return column
