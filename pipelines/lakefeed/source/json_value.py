"""Reads a value in a JSON text as its declared type, exactly or not at all. DuckDB's SQL.

DuckDB's functions for JSON read numbers as doubles and take the first of equal keys. So they never
see a number here: the text is cut into tokens, and they look for the path in its outline, which has
the number of the token in place of each number, and for each object and array the numbers of the
tokens that it begins (`b`) and ends with (`e`), around its values (`v`).

    {"id": 7, "of": [1.50]}     outline: {"b":1,"v":{"id": 3, "of": {"b":5,"v":[6],"e":7}},"e":8}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.source.exact_cast import BOOLEANS, NUMBER_TEXT, TIME_TEXTS, UUID_TEXT
from lakefeed.source.inspection.types import lake_type
from lakefeed.source.staged_form import VALUE, StagedForm, interval_form
from lakefeed.sql import literal

# Text without numbers and brackets; a number; a bracket.
_TOKEN = r"""(?s)(?:"(?:[^"\\]|\\.)*"|[^"{}\[\]0-9-]+)+|[-0-9][-+.eE0-9]*|[{}\[\]]"""
_OUTLINE = """try_cast(array_to_string(list_transform(t, lambda e, i: case
 when e = '{' then '{"b":' || i || ',"v":{' when e = '[' then '{"b":' || i || ',"v":['
 when e = '}' then '},"e":' || i || '}' when e = ']' then '],"e":' || i || '}'
 when regexp_matches(e, '^[-0-9]') then i::varchar else e end), '') as json)""".replace("\n", "")
# PostgreSQL has no such character; here it stands for what can't be read.
_UNREADABLE = "chr(0)"
_TRIMMED = "trim(x, ' ')"

_NUMBER_PARTS = r"^([-+]?)(\d*)\.?(\d*)(?:[eE]([-+]?\d+))?$"
_TRUE = "'t', 'true', 'y', 'yes', 'on', '1'"
_MINUTES = r"'^(.{10}[T ]\d\d:\d\d)([-+Z].*)?$', '\1:00\2'"


# What stands for the place of the value, and for what all values of a kind are read by, so that the
# generated YAML has each of these but once.
AT = "{at}"
_TEXT, _JSON, _DIGITS = "{text}", "{json}", "{digits}"


@dataclass(frozen=True)
class JsonForm(StagedForm):
    """How a value of a JSON text is read, where `value` and `inexact` are the same for all values
    of its type. They have names of `JSON_PARTS` in them, and `AT` for the place.

    Attributes:
        at: where the value is in the outline.
    """

    at: str = ""


def parts_in(form: JsonForm) -> dict[str, str]:
    """Those of `JSON_PARTS` that the form names."""
    named = form.value + form.inexact
    return {name: part for name, part in JSON_PARTS.items() if name in named}


def json_form(path: Sequence[str], declared: str, *, may_repeat: bool) -> JsonForm:
    """How the value at a path of a JSON text is read as PostgreSQL's type.

    A missing path and JSON's null are null. Else the text is that of PostgreSQL's `#>>`, except
    that of equal keys in one object the last counts at each step.

    Args:
        path: keys and positions; a number is either, as in PostgreSQL.
        may_repeat: whether an object may have a key more than once.
    """
    text = _JSON if declared == "json" else _TEXT
    kind, value, inexact = _read(declared)
    return JsonForm(
        kind,
        _with(text, "x", value),
        f"coalesce({_with(text, 'x', f'x is not null and ({inexact})')}, false)",
        at=_last_at(path) if may_repeat else _only_at(path),
    )


def _with(value: str, name: str, expression: str) -> str:
    """An expression in which a name stands for a value, which is computed once."""
    return f"list_transform([{value}], lambda {name}: {expression})[1]"


def _only_at(path: Sequence[str]) -> str:
    pointer = "".join(f"/v/{step.replace('~', '~0').replace('/', '~1')}" for step in path)
    return f"json_extract(o, {literal(pointer)})"


def _last_at(path: Sequence[str]) -> str:
    found = "o"
    for step in path:
        last = (
            "list_reverse(json_extract(n, '$.v.*'))"
            f"[list_position(list_reverse(json_keys(n, '$.v')), {literal(step)})]"
        )
        element = _only_at([step]).replace("(o,", "(n,")
        found = _with(found, "n", f"coalesce({last}, {element})")
    return found


def _text(*, as_json: bool) -> str:
    """The text of the value, or JSON's own text of it."""
    of_place = _with(AT, "n", _text_of_place(as_json=as_json))
    tokens = f"regexp_extract_all({VALUE}, {literal(_TOKEN)})"
    return _with(tokens, "t", _with(_OUTLINE, "o", of_place))


def _text_of_place(*, as_json: bool) -> str:
    """The text of a place `n` in the outline `o` of the tokens `t`, or as JSON's own text."""
    string = "n::varchar" if as_json else "n ->> '$'"
    return (
        f"case when t is null then null when o is null then {_UNREADABLE} "
        f"else case json_type(n) when 'NULL' then null when 'VARCHAR' then {string} "
        "when 'BOOLEAN' then n::varchar when 'OBJECT' "
        "then array_to_string(t[(n ->> '$.b')::bigint : (n ->> '$.e')::bigint], '') "
        "else t[(n ->> '$')::bigint] end end"
    )


def _read(declared: str) -> tuple[str, str, str]:
    """DuckDB's type, the value of a text `x`, and when the text has no such value."""
    kind = lake_type(declared).duckdb
    trimmed = _TRIMMED
    word = f"lower({trimmed})"
    if declared == "interval":
        form = interval_form()
        return form.type, form.value.replace(VALUE, "x"), form.inexact.replace(VALUE, "x")
    if declared in TIME_TEXTS:
        return kind, *_time(kind, trimmed, TIME_TEXTS[declared])
    others = {
        "json": ("json", "cast(x as json)", f"x = {_UNREADABLE}"),
        "text": (kind, "x", f"contains(x, {_UNREADABLE})"),
        "boolean": (kind, f"{word} in ({_TRUE})", f"{word} not in ({BOOLEANS})"),
        "uuid": (kind, f"cast({trimmed} as uuid)", _unlike(trimmed, UUID_TEXT)),
    }
    return others[declared] if declared in others else (kind, *_number(kind, trimmed))


def _unlike(text: str, pattern: str) -> str:
    return f"not regexp_matches({text}, {literal(pattern)})"


def _time(kind: str, text: str, pattern: str) -> tuple[str, str]:
    # DuckDB needs seconds where there is an offset.
    clock = f"{text}[1:10]" if kind == "date" else f"regexp_replace({text}, {_MINUTES})"
    inexact = (
        f"{_unlike(text, pattern)} or starts_with({text}, '0000') "
        f"or try_cast({clock} as {kind}) is null"
    )
    return f"cast({clock} as {kind})", inexact


def _number(kind: str, text: str) -> tuple[str, str]:
    if kind == "double":
        double = _with(f"try_cast({text} as double)", "f", _differs("f::varchar"))
        inexact = (
            f"case when {text} in ('NaN', 'Infinity', '-Infinity') then false "
            f"when {_unlike(text, NUMBER_TEXT)} then true else {double} end"
        )
        return f"cast({text} as double)", inexact
    plain = "p.s || case when p.w = '' then '0' else p.w end"
    if kind.startswith("decimal"):
        precision, scale = map(int, kind.removeprefix("decimal(").rstrip(")").split(","))
        unfit = f"length(p.w) > {precision - scale} or length(p.d) > {scale}"
        plain += " || case when p.d = '' then '' else '.' || p.d end"
    else:
        unfit = f"p.d <> '' or try_cast({plain} as {kind}) is null"
    inexact = (
        f"case when {_unlike(text, NUMBER_TEXT)} then true else {_with(_DIGITS, 'p', unfit)} end"
    )
    return _with(_DIGITS, "p", f"cast({plain} as {kind})"), inexact


def _differs(shown: str) -> str:
    """Whether a double, shown with the fewest digits that tell it apart, isn't the number."""
    return f"isinf(f) or {_digits(shown)} is distinct from {_DIGITS}"


def _digits(text: str) -> str:
    """A number without exponent: its sign (`s`), digits before the point (`w`) and after (`d`),
    without zeros at their ends."""
    parts = f"regexp_extract({text}, {literal(_NUMBER_PARTS)}, ['s', 'w', 'd', 'e'])"
    digits = "m.w || m.d"
    point = "(length(m.w) + coalesce(try_cast(nullif(m.e, '') as integer), 0))"
    before = f"greatest({point}, 0)::integer"
    whole = f"ltrim(rpad({digits}, {before}, '0'), '0')"
    after = f"repeat('0', greatest(-{point}, 0)) || substr({digits}, {before} + 1)"
    signed = "case m.s when '-' then '-' else '' end"
    return _with(parts, "m", f"{{'s': {signed}, 'w': {whole}, 'd': rtrim({after}, '0')}}")


# By name, in the order in which they are put in.
JSON_PARTS = {
    _JSON: _text(as_json=True),
    _TEXT: _text(as_json=False),
    _DIGITS: _digits(_TRIMMED),
}
