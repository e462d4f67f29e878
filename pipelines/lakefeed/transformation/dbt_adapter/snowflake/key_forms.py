"""How keys are compared in Snowflake's SQL, where equal values have several texts.

Snowflake's expressions have no groups that don't capture, and a text between $$ has no escapes
(https://docs.snowflake.com/en/sql-reference/functions-regexp).
"""

from __future__ import annotations

from lakefeed.source.inspection.equality import FORMS, VALUE

_ZEROS = r"""("([^"\\]|\\.)*")|(\.[0-9]*[1-9])0*|\.0+"""
_PART = (
    "coalesce(try_cast(nullif(regexp_substr({value}, $$%s$$, 1, 1, 'e', 1), '') "
    "as number(38,0)), 0)"
)
_YEARS, _MONTHS, _DAYS = (_PART % rf"([-+]?[0-9]+) {unit}" for unit in ("year", "mon", "day"))
_HOURS, _MINUTES, _SECONDS = (
    _PART % pattern for pattern in ("([0-9]+):", ":([0-9]+)", ":[0-9]+:([0-9]+)")
)
_MICROSECONDS = (
    r"coalesce(try_cast(nullif(rpad(regexp_substr({value}, $$:[0-9]+:[0-9]+\.([0-9]+)$$, 1, 1, "
    "'e', 1), 6, '0'), '000000') as number(38,0)), 0)"
)

_SNOWFLAKE = (
    rf"regexp_replace({VALUE}::varchar, $${_ZEROS}$$, $$\1\3$$)",
    f"case when {VALUE} = 0 then 0 else {VALUE} end",
    rf"regexp_replace({VALUE}, $$-0([,}}])$$, $$0\1$$)",
    f"case when {VALUE} like '%infinity' or {VALUE} is null then {VALUE} else ("
    f"((12 * {_YEARS} + {_MONTHS}) * 30 + {_DAYS}) * 86400000000 "
    f"+ iff(regexp_instr({VALUE}, $$-[0-9]+:$$) > 0, -1, 1) "
    f"* (((60 * {_HOURS} + {_MINUTES}) * 60 + {_SECONDS}) * 1000000 + {_MICROSECONDS})"
    ")::varchar end",
)
_BY_FORM = dict(zip(FORMS, _SNOWFLAKE, strict=True))


def snowflake_form(form: str) -> str:
    """In Snowflake's SQL, how keys are compared by this form, which is written for DuckDB."""
    return _BY_FORM.get(form, form)
