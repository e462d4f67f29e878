"""Values in PostgreSQL's own spelling, `col::text`, to compare a lake with its source exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from lakefeed.sql import quote

Row = tuple[str | None, ...]
Query = Callable[[str], list[tuple[Any, ...]]]

# DuckDB itself spells what lies beyond the year 287396 in a zone wrongly (the value is right).
_IN_UTC = "case when isfinite({0}) then make_timestamp(epoch_us({0})) else {0}::timestamp end"
# DuckDB writes the era behind the date, PostgreSQL at the very end.
_ERA_LAST = r"regexp_replace({0}::varchar, '^(\S+) \(BC\)(.*)$', '\1\2 BC')"
_ZONED = r"regexp_replace(" + _ERA_LAST.format(_IN_UTC) + r", '(:\d\d:[\d.]+)', '\1+00')"

_RULES = {
    "BLOB": r"'\x' || lower(hex({0}))",
    "DATE": _ERA_LAST,
    "TIMESTAMP": _ERA_LAST,
    "TIMESTAMP WITH TIME ZONE": _ZONED,
    "DECIMAL": r"regexp_replace({0}::varchar, '^(-?)\.', '\10.')",
}
_SAME = "{0}::varchar"

# With more digits than these before the point, PostgreSQL writes an exponent.
_PLAIN_DIGITS = {"FLOAT": 6, "DOUBLE": 15}
_NOT_NUMBERS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def lake_texts(query: Query, relation: str, columns: Sequence[str]) -> list[Row]:
    """These columns of all rows as PostgreSQL spells their values, sorted.

    Args:
        query: runs a query in DuckDB.
        relation: what has the rows, as a from-clause item.
    """
    described = query(f"describe select {_listed(columns)} from {relation}")
    types = [str(row[1]).partition("(")[0] for row in described]
    spelled = ", ".join(
        _RULES.get(type_, _SAME).format(quote(column))
        for column, type_ in zip(columns, types, strict=True)
    )
    return _sorted(
        tuple(_in_full(value, type_) for value, type_ in zip(row, types, strict=True))
        for row in query(f"select {spelled} from {relation}")
    )


def source_texts(query: Query, table: str, columns: Sequence[str]) -> list[Row]:
    """These columns of all the source's rows as text, sorted.

    Args:
        query: runs a query in PostgreSQL, in a session in UTC.
    """
    spelled = ", ".join(f"{quote(column)}::text" for column in columns)
    return _sorted(query(f"select {spelled} from {table}"))


def _in_full(value: object, type_: str) -> str | None:
    if value is None or type_ not in _PLAIN_DIGITS:
        return None if value is None else str(value)
    return _NOT_NUMBERS.get(str(value)) or _float_text(str(value), _PLAIN_DIGITS[type_])


def _float_text(shortest: str, plain_digits: int) -> str:
    """Both databases write the shortest digits that tell a float from all others."""
    sign, digits, exponent = Decimal(shortest).normalize().as_tuple()
    written = "".join(map(str, digits))
    power = len(digits) - 1 + int(exponent)
    if not -5 < power < plain_digits:
        fraction = f".{written[1:]}" if len(written) > 1 else ""
        text = f"{written[0]}{fraction}e{power:+03d}"
    elif power < 0:
        text = "0." + "0" * (-power - 1) + written
    else:
        whole, fraction = written[: power + 1].ljust(power + 1, "0"), written[power + 1 :]
        text = f"{whole}.{fraction}" if fraction else whole
    return f"-{text}" if sign else text


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(quote(column) for column in columns)


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [(value is None, value or "") for value in row])
