"""Which keys PostgreSQL holds equal although their texts differ, and how the lake compares keys.

1.0 and 1.00 are one number, `1 day` and `24:00:00` one interval. The lake keeps values as
PostgreSQL's text, so keys are compared by a form of it that is the same for equal values. Every
comparison of keys is made from `comparable`, in raw, in staging, and wherever a row is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.sql import quote

VALUE = "{value}"

_NUMBERS = re.compile(r"^(numeric(\(.*\))?(\[\])?|numrange|nummultirange|jsonb)$")
_FLOAT = re.compile(r"^(real|double precision)$")
_FLOATS = re.compile(r"^(real|double precision)\[\]$")
_INTERVAL = re.compile(r"^interval\b(?!.*\[\])")

# Zeros at the end of a fraction say nothing; texts within JSON are left as they are.
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
    # A window that is partitioned by the column itself would give 0 for -0.
    (_FLOAT, f"case when {VALUE} = 0 then 0 else {VALUE} end"),
    (_FLOATS, f"regexp_replace({VALUE}::varchar, '-0([,}}])', '0\\1', 'g')"),
    (
        _INTERVAL,
        # As PostgreSQL compares them: a month has 30 days, and a day 24 hours.
        f"case when {VALUE} like '%infinity' or {VALUE} is null then {VALUE} else ("
        f"((12 * {_YEARS} + {_MONTHS}) * 30 + {_DAYS}) * 86400000000 "
        rf"+ if(regexp_matches({VALUE}, '-\d+:'), -1, 1) "
        f"* (((60 * {_HOURS} + {_MINUTES}) * 60 + {_SECONDS}) * 1000000 + {_MICROSECONDS})"
        ")::varchar end",
    ),
)

# What a value of a column may be made of, and the collation that its texts are compared by.
_MADE_OF = """
with recursive parts (name, type, collated_by, nested) as (
    select a.attname, a.atttypid, a.attcollation, false
    from pg_attribute as a
    join pg_class as c on c.oid = a.attrelid
    join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and c.relname = %(table)s and a.attname = any(%(columns)s)
        and a.attnum > 0 and not a.attisdropped
    union
    select p.name, inner_part.type, coalesce(nullif(inner_part.collated_by, 0), p.collated_by),
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
select p.name, p.nested, t.typname, n.nspname, c.collname
from parts as p
left join pg_collation as c on c.oid = p.collated_by and not c.collisdeterministic
join pg_type as t on t.oid = p.type
join pg_namespace as n on n.oid = t.typnamespace
where t.typtype = 'b' and not (t.typcategory = 'A' and t.typelem <> 0)
order by p.name, p.nested, t.typname
"""
# Equal values of these have more than one text; of extensions' types, these few have one.
_SEVERAL_TEXTS = {"numeric", "interval", "jsonb", "float4", "float8", "bpchar"}
_ONE_TEXT = {
    *("hstore", "ltree", "ean13", "upc"),
    *(f"{kind}{form}" for kind in ("isbn", "ismn", "issn") for form in ("", "13")),
}


def comparable(pg_type: str) -> str | None:
    """How values of a type are compared as keys: SQL of DuckDB's over `VALUE`, equal for two values
    exactly where PostgreSQL holds them equal. None where the values themselves do.
    """
    return next((form for pattern, form in _BY_PATTERN if pattern.match(pg_type)), None)


def compared(value: str, pg_type: str) -> str:
    """An expression of DuckDB's as values of this type are compared as keys."""
    return (comparable(pg_type) or VALUE).replace(VALUE, value)


def compared_key(columns: Sequence[Column], relation: str = "") -> list[str]:
    """The columns of a key as they are compared; with the relation that they are read from."""
    prefix = f"{relation}." if relation else ""
    return [compared(f"{prefix}{quote(column.name)}", column.type) for column in columns]


def named_key(columns: Sequence[Column], relation: str = "") -> str:
    """The same as a select list, in which each has a name that no column of a source has."""
    listed = zip(compared_key(columns, relation), names_of_key(columns), strict=True)
    return ", ".join(f"{value} as {name}" for value, name in listed)


def names_of_key(columns: Sequence[Column]) -> list[str]:
    """The names in `named_key`."""
    return [f"_lakefeed_key_{number}" for number in range(len(columns))]


def same_key(columns: Sequence[Column], left: str, right: str) -> str:
    """A condition: rows of two relations have the same key."""
    pairs = zip(compared_key(columns, left), compared_key(columns, right), strict=True)
    return " and ".join(f"{one} = {other}" for one, other in pairs)


def compared_by_text(
    session: PgConnection, table: CatalogueTable, columns: Sequence[Column]
) -> list[str]:
    """Of these columns of a key those whose values PostgreSQL may hold equal though the lake can't,
    and what makes them so (`citext`, a collation to which `a` is `A`), each as a warning.
    """
    # A type that is compared exactly by its text has no collation.
    asked = [column.name for column in columns if comparable(column.type) is None]
    if not asked:
        return []
    named = {"schema": table.schema, "table": table.name, "columns": asked}
    with session.cursor() as cursor:
        cursor.execute(_MADE_OF, named)
        found = cursor.fetchall()
    reasons: dict[str, str] = {}
    for name, nested, kind, schema, collation in found:
        reason = _reason(nested, kind, schema, collation)
        if reason:
            reasons.setdefault(name, reason)
    return [
        f"the key column `{name}` is compared as text, since {reason}: a row whose key is "
        "rewritten to one that PostgreSQL takes for the same is another row here"
        for name, reason in reasons.items()
    ]


def _reason(nested: bool, kind: str, schema: str, collation: str | None) -> str:
    if collation:
        return f"its collation `{collation}` is not deterministic"
    if schema != "pg_catalog" and kind not in _ONE_TEXT:
        return f"its type is `{kind}`" if not nested else f"it holds values of type `{kind}`"
    return f"it holds values of type `{kind}`" if nested and kind in _SEVERAL_TEXTS else ""
