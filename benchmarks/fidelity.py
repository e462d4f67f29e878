"""Whether a copy holds what the source holds: every column, by PostgreSQL's own text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from benchmarks.contender import Copy
from benchmarks.source import Source
from benchmarks.tables import Kind, Table

# How PostgreSQL writes a value so that only its meaning counts. Where such texts agree and the
# exact ones don't, the value was spelled otherwise.
_MEANING_THERE: dict[Kind, str] = {
    "numeric": "trim_scale({0})::text",
    "timestamptz": "(extract(epoch from {0}) * 1000000)::bigint::text",
    "jsonb": r"regexp_replace({0}::text, '\s', '', 'g')",
    "array": r"regexp_replace(array_to_json({0})::text, '\s', '', 'g')",
}
_MEANING_HERE: dict[Kind, str] = {
    "numeric": r"regexp_replace(regexp_replace({0}::varchar, '(\.\d*?)0+$', '\1'), '\.$', '')",
    "timestamptz": "epoch_us({0}::timestamptz)::varchar",
    "date": "{0}::date::varchar",
    "jsonb": r"regexp_replace({0}::varchar, '\s', '', 'g')",
    "array": r"regexp_replace({0}::varchar, '\s', '', 'g')",
}
# The types of DuckDB that hold all values of a kind, and in which nothing is lost.
_SOUND: dict[Kind, str] = {
    "integer": r"(BIGINT|INTEGER|SMALLINT|HUGEINT)",
    "numeric": r"(DECIMAL\(.*|VARCHAR)",
    "date": r"DATE",
    "timestamptz": r"TIMESTAMP WITH TIME ZONE",
    "text": r"VARCHAR",
    "uuid": r"(UUID|VARCHAR)",
    "jsonb": r"(VARCHAR|JSON)",
    "array": r"(VARCHAR\[\]|VARCHAR)",
}


@dataclass(frozen=True)
class Print:
    """The fingerprint of one column: its values that aren't null, in all rows; in the sample, sums
    of hashes of its texts, exact and by meaning; and for numbers the sum of all rows."""

    values: int
    exact: int
    meaning: int
    total: str | None


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of a table."""

    rows: int
    columns: dict[str, Print]


def fingerprint_source(source: Source, table: Table) -> Fingerprint:
    """Reads the whole table once."""
    parts = ["count(*)"]
    for name, kind in table.columns.items():
        meaning = _MEANING_THERE.get(kind, "{0}::text").format(name)
        parts += [
            f"count({name})",
            _hash_there(f"{name}::text", table.sample),
            _hash_there(meaning, table.sample),
            f"trim_scale(sum({name}))::text" if kind in ("integer", "numeric") else "null",
        ]
    return _as_fingerprint(table, source.row(f"select {', '.join(parts)} from {table.name}"))


def fingerprint_copy(session: duckdb.DuckDBPyConnection, table: Table, copy: Copy) -> Fingerprint:
    """Reads a copy once, as far as it has the table's columns."""
    types = _types(session, copy)
    parts = ["count(*)"]
    for name, kind in table.columns.items():
        if name not in types:
            parts += ["0", "0", "0", "null"]
            continue
        exact, meaning = f"{name}::varchar", _MEANING_HERE.get(kind, "{0}::varchar").format(name)
        if kind == "array" and types[name].endswith("[]"):
            meaning = _MEANING_HERE["array"].format(f"to_json({name})")
        total = f"sum(try_cast({name} as decimal(38, 20)))::varchar"
        parts += [
            f"count({name})",
            _hash_here(exact, table.sample),
            _hash_here(meaning, table.sample),
            total if kind in ("integer", "numeric") else "null",
        ]
    found = session.execute(f"select {', '.join(parts)} from {copy.relation}").fetchall()[0]
    return _as_fingerprint(table, found)


def compare(
    session: duckdb.DuckDBPyConnection, source: Fingerprint, table: Table, copy: Copy
) -> str:
    """What the copy loses or bends, in words; empty where it holds every value."""
    found = fingerprint_copy(session, table, copy)
    types = _types(session, copy)
    said: list[str] = []
    if found.rows != source.rows:
        said.append(f"{found.rows:,} rows of {source.rows:,}")
    bent: dict[str, list[str]] = {}
    for name, kind in table.columns.items():
        told = judge(kind, types.get(name), source.columns[name], found.columns[name])
        for one in told:
            bent.setdefault(one, []).append(name)
    said += [f"{what} ({', '.join(names)})" for what, names in bent.items()]
    keys = session.execute(
        f"select count(*) from (select distinct {', '.join(table.key)} from {copy.relation})"
    ).fetchall()[0][0]
    if keys != source.rows:
        said.append(f"{keys:,} keys of {source.rows:,}")
    return "; ".join(said)


def judge(kind: Kind, type_: str | None, source: Print, copy: Print) -> Sequence[str]:
    """What became of one column's values, in words."""
    if type_ is None:
        return ["column lost"]
    said = []
    if copy.values != source.values:
        said.append("NULLs differ")
    if not re.fullmatch(_SOUND[kind], type_):
        said.append(f"{kind} became {type_.lower()}")
    if copy.exact == source.exact and copy.total == source.total:
        return said
    if copy.meaning != source.meaning or copy.total != source.total:
        return [*said, f"{kind} values changed"]
    if kind == "array":
        return said if type_.endswith("[]") else [*said, "array became json"]
    # A spelling that DuckDB gives back in another way was not lost by whoever wrote the file.
    return said if kind in ("timestamptz", "date", "numeric") and said else [*said, *_spelled(kind)]


def _spelled(kind: Kind) -> list[str]:
    return [] if kind in ("timestamptz", "date") else [f"{kind} respelled"]


def open_copy(copy: Copy) -> duckdb.DuckDBPyConnection:
    """A session that can read the copy; times are shown in UTC."""
    session = duckdb.connect()
    session.execute("set timezone = 'UTC'")
    if copy.attached:
        session.execute(f"attach '{copy.attached}' as copies (read_only)")
    return session


def _hash_there(text: str, sample: str) -> str:
    return f"sum(('x' || left(md5({text}), 15))::bit(60)::bigint) filter (where {sample})"


def _hash_here(text: str, sample: str) -> str:
    return f"sum(('0x' || left(md5({text}), 15))::bigint) filter (where {sample})"


def _types(session: duckdb.DuckDBPyConnection, copy: Copy) -> dict[str, str]:
    described = session.execute(f"describe select * from {copy.relation}").fetchall()
    return {row[0].lower(): row[1] for row in described}


def _as_fingerprint(table: Table, row: Sequence[Any]) -> Fingerprint:
    columns = {}
    for place, name in enumerate(table.columns):
        values, exact, meaning, total = row[1 + place * 4 : 5 + place * 4]
        columns[name] = Print(int(values), int(exact or 0), int(meaning or 0), _plain(total))
    return Fingerprint(int(row[0]), columns)


def _plain(number: str | None) -> str | None:
    """A number without the zeros that end it, however many digits its type shows."""
    if number is None or "." not in number:
        return number
    return number.rstrip("0").rstrip(".")
