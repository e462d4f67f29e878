"""The settings of `columns` in `sources.yaml`, as pydantic models (see declaration.py)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from lakefeed.declaration.models.json_paths import parse_path
from lakefeed.declaration.models.pg_types import parse_type, parse_value_type
from lakefeed.declaration.models.strict import Strict
from lakefeed.declaration.models.value_types import Names, Text, parse_secret

# Stands for the name of a column, which can be any, where a field needs a name.
EACH = "<column>"
PAIR = ("include", "exclude")
# The columns of staging that no source has, in lower case.
OWN_NAMES = ("_dlt_load_id", "_staged_batch", "_load_position", "_deleted_at")
# Of these, a column has at most one.
PROTECTIONS = ("hash", "mask", "truncate")
# By path, the type of a value in a JSON document.
Flatten = Annotated[
    dict[
        Annotated[Text, BeforeValidator(parse_path)],
        Annotated[Text, BeforeValidator(parse_value_type)],
    ],
    Field(min_length=1),
]


def parse_columns(value: Any) -> Any:
    """Separates the settings of single columns from `include` and `exclude`.

    With a mapping of settings, these two are names of columns as well.
    """
    if not isinstance(value, Mapping) or (EACH in value and set(value) <= {*PAIR, EACH}):
        return value
    pair = {key: value[key] for key in PAIR if key in value and not _is_column(value[key])}
    return {**pair, EACH: {name: value[name] for name in value if name not in pair}}


def _is_column(value: Any) -> bool:
    return isinstance(value, Mapping)


def parse_column_name(value: Any) -> Any:
    """Refuses names that dbt can't quote, or that Lakefeed gives to columns of its own."""
    if isinstance(value, str) and value:
        if not value.strip() or re.search(r'["\r\n]', value):
            raise ValueError("a name without quotes and line breaks")
        if value.lower() in OWN_NAMES:
            raise ValueError("another name: Lakefeed adds a column of this name")
    return value


def is_column_name(name: str) -> bool:
    """Whether a column of staging can be named so."""
    try:
        return bool(name and parse_column_name(name))
    except ValueError:
        return False


def parse_hash(value: Any) -> Any:
    """Parses an algorithm alone as `{algorithm: …}`."""
    if isinstance(value, str):
        if value != "sha256":
            raise ValueError("`sha256`, or a mapping such as {algorithm: sha256, key: ${HASH_KEY}}")
        return {"algorithm": value}
    return value


class Hash(Strict):
    """How the values of a column are hashed."""

    algorithm: Literal["sha256"]
    """The hash function: `sha256`."""
    key: Annotated[Text, BeforeValidator(parse_secret)] | None = None
    """A secret for HMAC-SHA-256, read from an environment variable: `${HASH_KEY}`. Without it,
    anyone can hash guessed values and compare. It stands in the statements that the source runs,
    and so in the source's logs if it logs statements."""


class ColumnSettings(Strict):
    """What happens to one column on its way into the lake."""

    name: Annotated[Text, BeforeValidator(parse_column_name)] | None = None
    """The column's name in staging, and so in models, `tests` and lineage. Raw keeps the source's
    name, which `cursor`, `primary_key`, `where`, `include` and `exclude` use."""
    type: Annotated[Text, BeforeValidator(parse_type)] | None = None
    """The type in the lake as PostgreSQL names it, such as `"numeric(18,4)"`, `bigint` or
    `timestamptz`. The source converts the values. One that the type doesn't hold exactly stops the
    table, and its row is named. The cursor and the primary key keep their types. Raw keeps the text
    of arrays and intervals, and staging has lists (`"text[]"`) and intervals (`interval`)."""
    flatten: Flatten | None = None
    """Columns that staging gets from values in a JSON column: `{customer_id: bigint, address.city:
    text}` makes `payload__customer_id` and `payload__address__city` of `payload`. Keys of objects
    are separated by dots, `items[0]` is an element of an array, and `'"a.b".c'` has a key with a
    dot, in double quotes. The types are those of `type`, without arrays. A value that its type
    doesn't hold exactly stops the build, and its row is named."""
    hash: Annotated[
        Hash | None,
        BeforeValidator(parse_hash, json_schema_input_type=Literal["sha256"] | Hash | None),
    ] = None
    """Load the SHA-256 of each value's text in hexadecimal: `sha256`, or `{algorithm: sha256, key:
    "${HASH_KEY}"}`. Equal values have equal hashes, so keys can be hashed."""
    mask: Text | None = None
    """Load this text instead of each value, such as `"***"`."""
    truncate: Annotated[int, Field(ge=1)] | None = None
    """Load only so many characters from the beginning of each value's text."""

    @model_validator(mode="after")
    def _has_one_protection(self) -> ColumnSettings:
        given = [f"`{name}`" for name in PROTECTIONS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"one of `hash`, `mask` and `truncate`, not {' and '.join(given)}")
        for name in PROTECTIONS:
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(
                    f"`{name}` with a value; to lift what defaults say of the column, write `null` "
                    "in place of the mapping"
                )
        return self

    @property
    def in_staging(self) -> dict[str, Any]:
        """The settings that determine the column in staging, where raw may stay as it is."""
        kind = self.type if self.is_text_in_raw or self.type in ("text", "json") else None
        given = {"name": self.name, "type": kind, "flatten": self.flatten}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def is_text_in_raw(self) -> bool:
        """Whether raw has PostgreSQL's text, and staging the declared type."""
        return self.type is not None and (self.type == "interval" or self.type.endswith("[]"))

    @property
    def protection(self) -> str | None:
        """Which of `hash`, `mask` and `truncate` is set: the column is then loaded as text."""
        return next((name for name in PROTECTIONS if getattr(self, name) is not None), None)


class Columns(Strict):
    """The columns to load, either `include` or `exclude`, and the settings of single columns."""

    include: Names | None = None
    """Load only these columns. The primary key and the cursor are always loaded."""
    exclude: Names | None = None
    """Load all columns except these."""
    each: dict[str, ColumnSettings | None] = Field(default={}, alias="<column>")
    """Any other key is the name of a column, with a mapping of its settings. Settings of one column
    are merged across levels, and `null` lifts those of earlier levels. In `defaults` and wildcards,
    columns that a table lacks are ignored."""


def merged_columns(
    before: Mapping[str, Any], value: Mapping[str, Any] | None
) -> dict[str, Mapping[str, Any]]:
    """The `columns` of earlier levels, overridden by those of a later one.

    `include` and `exclude` replace each other. The settings of a column stay until they are set
    anew, or lifted by `null` for that column, so that nothing else can lift a mask.
    """
    each = dict(before.get(EACH, {}))
    if value is None:
        return {EACH: each} if each else {}
    later = parse_columns(value)
    has_pair = any(key in later for key in PAIR)
    pair = {key: item for key, item in (later if has_pair else before).items() if key in PAIR}
    for name, settings in later.get(EACH, {}).items():
        each[name] = _merged_column(each.get(name, {}), settings)
    for name in [key for key in PAIR if key in later and later[key] is None]:
        each.pop(name, None)
    given = {name: settings for name, settings in each.items() if settings}
    return {**pair, **({EACH: given} if given else {})}


def _merged_column(before: Mapping[str, Any], later: Mapping[str, Any] | None) -> dict[str, Any]:
    if later is None:
        return {}
    is_protected_anew = any(later.get(name) is not None for name in PROTECTIONS)
    kept = {k: v for k, v in before.items() if not (is_protected_anew and k in PROTECTIONS)}
    return {k: v for k, v in {**kept, **later}.items() if v is not None}
