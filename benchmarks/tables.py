"""The tables of the cases: made once, from generators that give the same rows each time."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.place import Place
from benchmarks.source import Source

Kind = Literal["integer", "numeric", "date", "timestamptz", "text", "uuid", "jsonb", "array"]

LINEITEM_ROWS = 6_000_000
WIDE_ROWS = 2_000_000
MANY_TABLES = 50
MANY_ROWS = 1_000
CURSOR = "updated_at"


@dataclass(frozen=True)
class Table:
    """A table of the source, and what is needed to compare its copies with it.

    `sample` is a condition that PostgreSQL and DuckDB both understand: the rows compared value by
    value. All rows are compared by counts and sums.
    """

    name: str
    columns: dict[str, Kind]
    key: tuple[str, ...]
    sample: str = "true"


_LINEITEM: dict[str, Kind] = {
    "l_orderkey": "integer",
    "l_partkey": "integer",
    "l_suppkey": "integer",
    "l_linenumber": "integer",
    "l_quantity": "numeric",
    "l_extendedprice": "numeric",
    "l_discount": "numeric",
    "l_tax": "numeric",
    "l_returnflag": "text",
    "l_linestatus": "text",
    "l_shipdate": "date",
    "l_commitdate": "date",
    "l_receiptdate": "date",
    "l_shipinstruct": "text",
    "l_shipmode": "text",
    "l_comment": "text",
    "updated_at": "timestamptz",
}
_SMALL: dict[str, Kind] = {
    "id": "integer",
    "name": "text",
    "amount": "numeric",
    "updated_at": "timestamptz",
}
_WIDE: dict[str, Kind] = {
    "id": "uuid",
    "document": "jsonb",
    "labels": "array",
    "price": "numeric",
    "measure": "numeric",
    "title": "text",
    "note": "text",
    "visits": "integer",
    "seen_at": "timestamptz",
    "updated_at": "timestamptz",
}
# Values that readers are known to bend: 1.10 in JSON, a comma and a NULL in an array, a numeric
# without a scale.
_WIDE_ROWS = """
create table incoming as
select
    md5(n::text)::uuid as id,
    jsonb_build_object(
        'n', n, 'price', (n % 1000 + 0.10)::numeric(10, 2), 'name', 'item ' || n,
        'tags', jsonb_build_array('a', n % 7, null), 'nested', jsonb_build_object('on', n % 2 = 0)
    ) as document,
    case when n % 11 > 0 then array['label ' || n % 100, 'b,"c"', null, 'd'] end as labels,
    ((n * 7919) % 100000000000 / 10000.0)::numeric(18, 4) as price,
    case when n % 5 > 0 then case n % 2 when 0 then n * 1.10 else n / 7.0 end end as measure,
    'title of ' || n as title,
    case when n % 3 > 0 then repeat(md5((n * 3)::text), 1 + (n % 3)::int) end as note,
    case when n % 10 > 0 then n * 3 end as visits,
    case when n % 4 > 0 then timestamptz '2025-01-01 00:00Z' + n * interval '1.000001 s' end
        as seen_at,
    timestamptz '2025-01-01 00:00Z' + n * interval '10 s' as updated_at
from generate_series(1, {rows}::bigint) as n
"""


def lineitem(name: str = "lineitem") -> Table:
    """TPC-H's lineitem with a cursor, or one of its smaller copies."""
    return Table(name, _LINEITEM, ("l_orderkey", "l_linenumber"), "l_orderkey % 64 < 2")


def wide(name: str = "wide") -> Table:
    """A table of the types that are hard to carry, or one of its smaller copies."""
    return Table(name, _WIDE, ("id",), "cast(id as varchar) like '0%'")


def small_tables() -> list[Table]:
    """The fifty small tables."""
    return [Table(f"table_{number:02}", _SMALL, ("id",)) for number in range(1, MANY_TABLES + 1)]


def ensure_lineitem(source: Source, place: Place, scale: float) -> None:
    """Makes lineitem of 6 million rows times the scale, where it isn't there."""
    if source.has("lineitem"):
        return
    place.generated.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *(place.program("loaders", "tpchgen-cli"), "csv", "--scale-factor", f"{scale:g}"),
            *("--tables", "lineitem", "--overwrite", "--output-dir", place.generated),
        ],
        check=True,
        capture_output=True,
    )
    columns = ", ".join(f"{name} {_type(kind)}" for name, kind in _LINEITEM.items())
    csv = place.generated / "lineitem.csv"
    source.execute("drop table if exists incoming", "create sequence if not exists moment")
    source.execute(
        f"create table incoming ({columns} not null "
        "default timestamptz '2025-01-01 00:00Z' + nextval('moment') * interval '1 s')"
    )
    source.copy_in(f"incoming ({', '.join(list(_LINEITEM)[:-1])})", csv)
    csv.unlink()
    _settle(source, lineitem("incoming"), "lineitem")


def ensure_wide(source: Source, scale: float) -> None:
    """Makes the wide table of 2 million rows times the scale, where it isn't there."""
    if not source.has("wide"):
        rows = round(WIDE_ROWS * scale)
        source.execute("drop table if exists incoming", _WIDE_ROWS.format(rows=rows))
        _settle(source, wide("incoming"), "wide")


def ensure_part(source: Source, whole: Table, rows: int) -> Table:
    """A copy of the first rows of a table, for the contenders that would take too long."""
    part = replace(whole, name=f"{whole.name}_{rows}")
    if not source.has(part.name):
        source.execute(
            "drop table if exists incoming",
            f"create table incoming as select * from {whole.name} order by {CURSOR} limit {rows}",
        )
        _settle(source, replace(whole, name="incoming"), part.name)
    return part


def ensure_small_tables(source: Source) -> None:
    """Makes the fifty tables of a thousand rows, where they aren't there."""
    for table in small_tables():
        if not source.has(table.name):
            source.execute(
                "drop table if exists incoming",
                "create table incoming as select n as id, 'row ' || n as name, "
                "(n * 1.37)::numeric(12, 2) as amount, "
                "timestamptz '2025-01-01 00:00Z' + n * interval '1 h' as updated_at "
                f"from generate_series(1, {MANY_ROWS}) as n",
            )
            _settle(source, replace(table, name="incoming"), table.name)


def _settle(source: Source, table: Table, name: str) -> None:
    """Gives a filled table its key and index, and its name last: so a table there is complete."""
    source.execute(
        f"alter table {table.name} add primary key ({', '.join(table.key)})",
        f"create index on {table.name} ({CURSOR})",
        f"vacuum (freeze, analyze) {table.name}",
        f"alter table {table.name} rename to {name}",
    )


def _type(kind: Kind) -> str:
    return {"integer": "bigint", "numeric": "numeric(15,2)"}.get(kind, kind)
