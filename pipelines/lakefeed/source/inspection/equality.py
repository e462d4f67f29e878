"""Compares keys in DuckDB as PostgreSQL does, where equal values may have different texts.

1.0 and 1.00 are the same number, and `1 day` and `24:00:00` the same interval. The lake stores such
values as PostgreSQL's text, so keys are compared by a normal form that is the same for equal
values. All comparisons of keys use `comparable`: in raw, in staging, and when looking up a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from lakefeed.declaration.catalogue import QUERY, CatalogueTable, Column
from lakefeed.sql import literal, quote

VALUE = "{value}"

_NUMBERS = re.compile(r"^(numeric(\(.*\))?(\[\])?|numrange|nummultirange|jsonb)$")
_FLOAT = re.compile(r"^(real|double precision)$")
_FLOATS = re.compile(r"^(real|double precision)\[\]$")
_INTERVAL = re.compile(r"^interval\b(?!.*\[\])")

# Removes trailing zeros of fractions; strings within JSON are kept as they are.
_ZEROS = r"""("(?:[^"\\]|\\.)*")|(\.[0-9]*[1-9])0*|\.0+"""
_PART = "coalesce(try_cast(nullif(regexp_extract({value}, '%s', 1), '') as hugeint), 0)"
_YEARS, _MONTHS, _DAYS = (_PART % rf"([-+]?\d+) {unit}" for unit in ("year", "mon", "day"))
_HOURS, _MINUTES, _SECONDS = (_PART % pattern for pattern in (r"(\d+):", r":(\d+)", r":\d+:(\d+)"))
_MICROSECONDS = (
    r"coalesce(try_cast(nullif(rpad(regexp_extract({value}, ':\d+:\d+\.(\d+)', 1), 6, '0'), "
    "'000000') as hugeint), 0)"
)

_BY_PATTERN = (
    (_NUMBERS, f"regexp_replace({VALUE}::varchar, '{_ZEROS}', '\\1\\2', 'g')"),
    # A DuckDB window that is partitioned by the column itself would return -0 as 0.
    (_FLOAT, f"case when {VALUE} = 0 then 0 else {VALUE} end"),
    (_FLOATS, f"regexp_replace({VALUE}::varchar, '-0([,}}])', '0\\1', 'g')"),
    (
        _INTERVAL,
        # Like PostgreSQL's comparison: a month has 30 days, and a day 24 hours.
        f"case when {VALUE} like '%infinity' or {VALUE} is null then {VALUE} else ("
        f"((12 * {_YEARS} + {_MONTHS}) * 30 + {_DAYS}) * 86400000000 "
        rf"+ if(regexp_matches({VALUE}, '-\d+:'), -1, 1) "
        f"* (((60 * {_HOURS} + {_MINUTES}) * 60 + {_SECONDS}) * 1000000 + {_MICROSECONDS})"
        ")::varchar end",
    ),
)

_SPARK_PART = (
    "coalesce(try_cast(nullif(regexp_extract({value}, r'%s', 1), '') as decimal(38,0)), 0)"
)
_SPARK_YEARS, _SPARK_MONTHS, _SPARK_DAYS = (
    _SPARK_PART % rf"([-+]?\d+) {unit}" for unit in ("year", "mon", "day")
)
_SPARK_HOURS, _SPARK_MINUTES, _SPARK_SECONDS = (
    _SPARK_PART % pattern for pattern in (r"(\d+):", r":(\d+)", r":\d+:(\d+)")
)
_SPARK_MICROSECONDS = (
    r"coalesce(try_cast(nullif(rpad(regexp_extract({value}, r':\d+:\d+\.(\d+)', 1), 6, '0'), "
    "'000000') as decimal(38,0)), 0)"
)
_SPARK = (
    f"regexp_replace(cast({VALUE} as string), r'{_ZEROS}', '$1$2')",
    f"case when {VALUE} = 0 then 0 else {VALUE} end",
    f"regexp_replace({VALUE}, r'-0([,}}])', '0$1')",
    f"case when {VALUE} like '%infinity' or {VALUE} is null then {VALUE} else cast("
    f"((12 * {_SPARK_YEARS} + {_SPARK_MONTHS}) * 30 + {_SPARK_DAYS}) * 86400000000 "
    rf"+ if({VALUE} rlike r'-\d+:', -1, 1) "
    f"* (((60 * {_SPARK_HOURS} + {_SPARK_MINUTES}) * 60 + {_SPARK_SECONDS}) * 1000000 "
    f"+ {_SPARK_MICROSECONDS}) as string) end",
)
# The forms in DuckDB's SQL: of numbers, floats, lists of floats, and intervals.
FORMS = tuple(form for _, form in _BY_PATTERN)
# Spark's SQL for each form in DuckDB's.
SPARK_FORMS = dict(zip(FORMS, _SPARK, strict=True))

_BIGQUERY_PART = "coalesce(safe_cast(nullif(regexp_extract({value}, r'%s'), '') as numeric), 0)"
_BIGQUERY_YEARS, _BIGQUERY_MONTHS, _BIGQUERY_DAYS = (
    _BIGQUERY_PART % rf"([-+]?\d+) {unit}" for unit in ("year", "mon", "day")
)
_BIGQUERY_HOURS, _BIGQUERY_MINUTES, _BIGQUERY_SECONDS = (
    _BIGQUERY_PART % pattern for pattern in (r"(\d+):", r":(\d+)", r":\d+:(\d+)")
)
_BIGQUERY_MICROSECONDS = (
    r"coalesce(safe_cast(nullif(rpad(regexp_extract({value}, r':\d+:\d+\.(\d+)'), 6, '0'), "
    "'000000') as numeric), 0)"
)
_BIGQUERY = (
    f"regexp_replace(cast({VALUE} as string), r'{_ZEROS}', r'\\1\\2')",
    # Rows can't be partitioned by floating-point numbers.
    f"case when {VALUE} = 0 then '0' else cast({VALUE} as string) end",
    f"regexp_replace({VALUE}, r'-0([,}}])', r'0\\1')",
    f"case when {VALUE} like '%infinity' or {VALUE} is null then {VALUE} else cast("
    f"((12 * {_BIGQUERY_YEARS} + {_BIGQUERY_MONTHS}) * 30 + {_BIGQUERY_DAYS}) * 86400000000 "
    rf"+ if(regexp_contains({VALUE}, r'-\d+:'), -1, 1) "
    f"* (((60 * {_BIGQUERY_HOURS} + {_BIGQUERY_MINUTES}) * 60 + {_BIGQUERY_SECONDS}) * 1000000 "
    f"+ {_BIGQUERY_MICROSECONDS}) as string) end",
)
# BigQuery's SQL for each form in DuckDB's.
BIGQUERY_FORMS = {form: sql for (_, form), sql in zip(_BY_PATTERN, _BIGQUERY, strict=True)}

# The types that a column's values consist of, and the nondeterministic collation of each, if any.
_MADE_OF = """
with recursive parts (place, name, type, collated_by, nested) as (
    select asked.place, a.attname, a.atttypid, a.attcollation, false
    from (values {columns}) as asked (place, schema, relation, attribute)
    join pg_namespace as n on n.nspname = asked.schema
    join pg_class as c on c.relnamespace = n.oid and c.relname = asked.relation
    join pg_attribute as a on a.attrelid = c.oid and a.attname = asked.attribute
        and a.attnum > 0 and not a.attisdropped
    union
    select p.place, p.name, inner_part.type,
        coalesce(nullif(inner_part.collated_by, 0), p.collated_by),
        p.nested or inner_part.nested
    from parts as p
    join pg_type as t on t.oid = p.type
    cross join lateral (
        select t.typbasetype, t.typcollation, false where t.typtype = 'd'
        union all
        select t.typelem, 0::oid, true where t.typcategory = 'A' and t.typelem <> 0
        union all
        select r.rngsubtype, r.rngcollation, true from pg_range as r
        where t.oid in (r.rngtypid, (to_jsonb(r) ->> 'rngmultitypid')::oid)
        union all
        select a.atttypid, a.attcollation, true from pg_attribute as a
        where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
    ) as inner_part (type, collated_by, nested)
)
select p.place, p.name, p.nested, t.typname, n.nspname, c.collname
from parts as p
left join pg_collation as c on c.oid = p.collated_by and not c.collisdeterministic
join pg_type as t on t.oid = p.type
join pg_namespace as n on n.oid = t.typnamespace
where t.typtype = 'b' and not (t.typcategory = 'A' and t.typelem <> 0)
order by p.place, p.name, p.nested, t.typname
"""
# Built-in types whose equal values can have different texts; and types of extensions whose can't.
_SEVERAL_TEXTS = {"numeric", "interval", "jsonb", "float4", "float8", "bpchar"}
_ONE_TEXT = {
    *("hstore", "ltree", "ean13", "upc"),
    *(f"{kind}{form}" for kind in ("isbn", "ismn", "issn") for form in ("", "13")),
}


def comparable(pg_type: str) -> str | None:
    """The normal form of a type's values as DuckDB SQL over `VALUE`.

    It is equal for two values exactly if PostgreSQL considers them equal. None if the values in the
    lake can be compared as they are.
    """
    return next((form for pattern, form in _BY_PATTERN if pattern.match(pg_type)), None)


def compared(value: str, pg_type: str) -> str:
    """A DuckDB expression in the normal form of its type, for comparing keys."""
    return (comparable(pg_type) or VALUE).replace(VALUE, value)


def compared_key(columns: Sequence[Column], relation: str = "") -> list[str]:
    """A key's columns in normal form, optionally qualified with a relation."""
    prefix = f"{relation}." if relation else ""
    return [compared(f"{prefix}{quote(column.name)}", column.type) for column in columns]


def named_key(columns: Sequence[Column], relation: str = "") -> str:
    """`compared_key` as a select list, with aliases that no source column has."""
    listed = zip(compared_key(columns, relation), names_of_key(columns), strict=True)
    return ", ".join(f"{value} as {name}" for value, name in listed)


def names_of_key(columns: Sequence[Column]) -> list[str]:
    """The aliases in `named_key`."""
    return [f"_lakefeed_key_{number}" for number in range(len(columns))]


def same_key(columns: Sequence[Column], left: str, right: str) -> str:
    """The join condition that rows of two relations have the same key."""
    pairs = zip(compared_key(columns, left), compared_key(columns, right), strict=True)
    return " and ".join(f"{of_left} = {of_right}" for of_left, of_right in pairs)


def compared_by_text(
    fetch: Callable[[str], Sequence[tuple[Any, ...]]],
    keys: Sequence[tuple[CatalogueTable, Sequence[Column]]],
) -> dict[str, list[str]]:
    """Warnings by qualified name of the table, for each key column with values that only PostgreSQL
    can tell to be equal.

    That is so for some types (`citext`) and collations (case-insensitive ones). Of a query's
    columns, the server doesn't tell the collation: there are no warnings for them.

    Args:
        fetch: runs a query on the source and returns its rows.
        keys: tables, each with the columns of its key.
    """
    # Types that have a normal form have no collation.
    unchecked = [
        f"({place}, {literal(table.schema)}::name, {literal(table.name)}::name, "
        f"{literal(column.name)}::name)"
        for place, (table, columns) in enumerate(keys)
        for column in columns
        if comparable(column.type) is None and table.kind != QUERY
    ]
    reasons: dict[tuple[str, str], str] = {}
    query = _MADE_OF.format(columns=", ".join(unchecked))
    for place, name, nested, kind, schema, collation in fetch(query) if unchecked else ():
        if reason := _reason(nested, kind, schema, collation):
            reasons.setdefault((keys[place][0].qualified, name), reason)
    warnings: dict[str, list[str]] = {table.qualified: [] for table, _ in keys}
    for (qualified, name), reason in reasons.items():
        warnings[qualified].append(
            f"the key column `{name}` is compared as text, since {reason}: if a key is changed to "
            "another text that PostgreSQL considers equal, the row counts as a new row"
        )
    return warnings


def _reason(nested: bool, kind: str, schema: str, collation: str | None) -> str:
    if collation:
        return f"its collation `{collation}` is not deterministic"
    if schema != "pg_catalog" and kind not in _ONE_TEXT:
        return f"its type is `{kind}`" if not nested else f"it contains values of type `{kind}`"
    return f"it contains values of type `{kind}`" if nested and kind in _SEVERAL_TEXTS else ""
