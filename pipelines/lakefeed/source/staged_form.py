"""Reads PostgreSQL's text in raw as DuckDB's JSON, lists and intervals, exactly or not at all.

Expressions are DuckDB's SQL over `VALUE`, which stands for the text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.flattened import JSON_TYPES
from lakefeed.declaration.table import Table
from lakefeed.source.inspection.types import lake_type

VALUE = "{value}"

_LIST = re.compile(r"^(.+)\[\]$")
_MODIFIER = re.compile(r"\(.*?\)")
_WHOLE_NUMBERS = ("smallint", "integer", "bigint")

# The elements of a one-dimensional array as `array_out` writes it; quoted ones have escapes.
_ELEMENTS = (
    rf"""list_transform(regexp_extract_all({VALUE}[2:-2], '(?s)"(?:[^"\\]|\\.)*"|[^,]+'), """
    r"""lambda e: case when e[1] = '"' then regexp_replace(e[2:-2], '(?s)\\(.)', '\1', 'g') """
    r"""when e = 'NULL' then null else e end)"""
)
_IS_NESTED = rf"regexp_matches({VALUE}, '^(\[|[{{][{{])')"


@dataclass(frozen=True)
class StagedForm:
    """How a column that is text in raw is read in staging.

    Attributes:
        type: DuckDB's type.
        value: the value of that type.
        inexact: whether a text has no such value.
    """

    type: str
    value: str
    inexact: str


def staged_form(loaded: str, declared: str | None) -> StagedForm | None:
    """How a column is read from raw, if not by a cast that changes nothing.

    Args:
        loaded: the type that it is loaded as.
        declared: the one that sources.yaml declares.
    """
    if loaded in JSON_TYPES:
        return StagedForm(
            "json",
            f"cast({VALUE} as json)",
            f"{VALUE} is not null and try_cast({VALUE} as json) is null",
        )
    if declared == "interval":
        return interval_form()
    element = _LIST.match(declared or "")
    return _list(element[1]) if element else None


def form_of(table: Table, loaded: Column, key: Sequence[str]) -> StagedForm | None:
    """How staging reads a loaded column. Keys keep their texts, by which they are compared."""
    if loaded.name in key:
        return None
    return staged_form(loaded.type, table.settings_of(loaded.name).type)


def can_stage(live: str, declared: str) -> bool:
    """Whether values of PostgreSQL's type `live` may have such a form."""
    if declared == "interval":
        return live.startswith("interval") and not live.endswith("]")
    found, wanted = _LIST.match(live), _LIST.match(declared)
    if not found or not wanted:
        return False
    kind, element = " ".join(_MODIFIER.sub("", found[1]).split()), wanted[1]
    if element.startswith("numeric"):
        return kind in ("numeric", *_WHOLE_NUMBERS)
    return element in ("text", kind) or (kind in _WHOLE_NUMBERS and element == "bigint")


def interval_form() -> StagedForm:
    """How PostgreSQL's text of an interval is read."""

    def plain(text: str) -> str:
        """Signs and plurals are the only differences between the two databases' texts."""
        text = f"replace(replace({text}, '+', ''), 'month', 'mon')"
        return rf"regexp_replace({text}, '(year|mon|day)s', '\1', 'g')"

    value = f"cast(replace({VALUE}, '+', '') as interval)"
    back = plain(f"try_{value}::varchar")
    return StagedForm(
        "interval",
        value,
        f"{VALUE} is not null and {back} is distinct from {plain(VALUE)}",
    )


def _list(element: str) -> StagedForm:
    kind = lake_type(element).duckdb
    if kind == "varchar":
        return StagedForm("varchar[]", _ELEMENTS, _IS_NESTED)
    unfit = f"e is not null and (try_cast(e as {kind}) is null or {_altered(element)})"
    return StagedForm(
        f"{kind}[]",
        f"list_transform({_ELEMENTS}, lambda e: cast(e as {kind}))",
        f"{_IS_NESTED} or len(list_filter({_ELEMENTS}, lambda e: {unfit})) > 0",
    )


def _altered(element: str) -> str:
    """The condition that DuckDB's cast of an element would round it or read it otherwise."""
    if element.startswith("numeric"):
        scale = element.rstrip(")").rpartition(",")[2]
        return rf"length(rtrim(regexp_extract(e, '\.(\d*)', 1), '0')) > {scale}"
    return "contains(e, '.')" if element in _WHOLE_NUMBERS else "ends_with(e, ' BC')"
