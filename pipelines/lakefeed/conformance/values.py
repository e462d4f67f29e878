"""Awkward values of PostgreSQL's types: extremes, infinities, nulls, empty and hostile ones.

Tests load them, and write docs/types.md from what arrives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import psycopg2
from psycopg2.extensions import connection as PgConnection

from lakefeed.sql import literal, quote

TYPES = (
    "create type mood as enum ('so-so', 'it''s', '\"quoted\"', 'Ünï, cödé')",
    "create domain cents as numeric(12, 2) check (value >= 0)",
    "create domain small_cents as cents check (value < 100)",
    "create domain widest as numeric(38, 10)",
    "create domain weight as real",
    "create domain positive as integer check (value > 0)",
    "create domain yes as boolean",
    "create domain token as uuid",
    "create domain blob as bytea",
    "create domain bare as timestamp",
    "create domain day as date",
    "create domain mild as mood check (value = 'so-so')",
    "create domain any_number as numeric",
    "create domain letters as varchar(9)",
    "create domain naps as interval",
    "create domain moments as timestamptz(3)",
    "create domain numbers as int[]",
    "create type pair as (a int, b text)",
    "create type nest as (p pair, ps pair[], at timestamptz, x float8)",
    "create type floatrange as range (subtype = float8)",
)
_EXTENSIONS = ("citext", "hstore", "vector")

_CONTROLS = "".join(chr(code) for code in range(1, 32)) + "\x7f\x80\x85\u2028\ufeff"
_QUOTES = "'single' \"double\" `back` \\ \\\\ \\n \\x00 %s %% {brace} $$ ; -- /* :bind"
_TEXTS = ("", " ", "\t", "\n", "\r\n", "NULL", "null", "\\N", "nan", "0x1", _CONTROLS, _QUOTES,
         "é e\u0301 ﷽ 👩‍👩‍👧‍👦 \U0010ffff", "line\nline\r\nline\rline", "trailing  ")  # fmt: skip
_DOUBLES = ("NaN", "Infinity", "-Infinity", "0", "-0", "5e-324", "2.2250738585072014e-308",
           "1.7976931348623157e308", "0.1", "0.30000000000000004", "123456789012345678", "1e15",
           "1e14", "999999999999999.9", "1e-5", "0.0001", "-1.5", "9007199254740993")  # fmt: skip
_REALS = ("NaN", "Infinity", "-Infinity", "0", "-0", "1e-45", "1.17549435e-38", "3.4028235e38",
         "0.1", "16777217", "1e6", "999999", "1e-5", "0.0001", "-1.5", "0.33333334")  # fmt: skip
_ANY_NUMERIC = ("NaN", "Infinity", "-Infinity", "0", "-0.00", "1.10", "1." + "0" * 300,
               "9" * 200 + "." + "1" * 200, "1e-1000", "1e1000", "0.1")  # fmt: skip
_TIMESTAMPS = ("infinity", "-infinity", "4713-01-01 00:00:00 BC", "0044-03-15 12:34:56.789 BC",
              "0001-01-01 00:00:00", "0001-12-31 23:59:59.999999 BC", "1582-10-10 00:00:00",
              "1900-02-28 23:59:59.999999", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00",
              "2024-02-29 00:00:00.1", "2026-10-25 02:30:00.000001", "9999-12-31 23:59:59.999999",
              "10000-01-01 00:00:00", "294246-12-31 23:59:59.999999")  # fmt: skip
_ZONED = (*(f"{moment}+00" for moment in _TIMESTAMPS[-5:-1]), "2026-10-25 02:30:00 Europe/Berlin",
         "1883-11-18 12:00:00 America/New_York", "2026-01-01 00:00:00+15:59:59",
         "infinity", "-infinity", "0044-03-15 12:34:56.789+00 BC",
         "4714-11-24 00:00:00+00 BC", "294246-12-31 23:59:59.999999+00")  # fmt: skip
_INTERVALS = ("0", "1 mon", "-1 mon +1 day -00:00:00.000001", "1 year 2 mons 3 days 04:05:06.789",
             "178000000 years", "-178000000 years", "infinity", "-infinity", "25:00:00",
             "00:00:00.1", "24 hours", "1 day", "30 days", "1 day -1 hour")  # fmt: skip
_JSONS = ('{"a": 1.10, "b": 1e400, "A" :  null}', '{"b": 1, "a": 2, "b": 3}', '"\\u00e9"',
         '"\\ud83d\\ude00"', "12345678901234567890.123456789012345678900", "  [ 1 ,\n 2 ]  ", '""',
         "null", "{}", '{"": {"": []}}', '"\\\\ \\" \\/ \\n \'"', "-0.0", "1E+2")  # fmt: skip
INFINITE = ("infinity", "-infinity")
# Types of points in time, with the domains over them.
_TIMES = ("date", "timestamp", "timestamptz", "bare", "day", "moments")
# Warehouses that have no infinite times: a value that is one stops its model.
WITHOUT_INFINITY = frozenset({"spark", "snowflake", "bigquery"})
# Those whose times are of the years 1 to 9999 alone, which have no 24:00, and no float of 32 bits.
WITH_SHORT_RANGES = frozenset({"snowflake", "bigquery"})
# A value that they don't have.
_OUT_OF_RANGE = re.compile(r" BC$|^24:00|^\d{5,}-")
# Cases of types that an engine refuses by name, before it builds anything.
_REFUSED = {"snowflake": ("numeric_38_38",)}


@dataclass(frozen=True)
class Case:
    """A type, and values as PostgreSQL reads them; `optional` if a server may lack the type."""

    type: str
    values: tuple[str, ...]
    optional: bool = False

    def on(self, engine: str) -> Case:
        """The same without times that this engine doesn't have."""
        kind = self.type.partition("(")[0]
        kept = self.values
        if engine in WITHOUT_INFINITY and kind in _TIMES:
            kept = tuple(value for value in kept if value not in INFINITE)
        if engine in WITH_SHORT_RANGES and kind in (*_TIMES, "time"):
            kept = tuple(value for value in kept if not _OUT_OF_RANGE.search(value))
        return replace(self, values=kept)


def _case(type_: str, *values: str, optional: bool = False) -> Case:
    return Case(type_, values, optional)


CASES = {
    # Numbers
    "smallint": _case("smallint", "-32768", "0", "32767"),
    "integer": _case("integer", "-2147483648", "0", "2147483647"),
    "bigint": _case("bigint", "-9223372036854775808", "0", "9223372036854775807"),
    "real": _case("real", *_REALS),
    "double": _case("double precision", *_DOUBLES),
    "numeric": _case("numeric", *_ANY_NUMERIC),
    "numeric_4_2": _case("numeric(4,2)", "99.99", "-99.99", "0", "-0.01", "1.10"),
    "numeric_2_2": _case("numeric(2,2)", "0.50", "-0.01", "0", "0.99"),
    "numeric_9_0": _case("numeric(9,0)", "999999999", "-1", "0"),
    "numeric_18_6": _case("numeric(18,6)", "999999999999.999999", "0.000001", "-1.5"),
    "numeric_38_0": _case("numeric(38,0)", "9" * 38, "-" + "9" * 38, "0"),
    "numeric_38_10": _case("numeric(38,10)", "9" * 28 + ".9999999999", "1.10", "-0.0000000001"),
    "numeric_38_38": _case("numeric(38,38)", "0." + "9" * 38, "-0." + "0" * 37 + "1"),
    "numeric_39_0": _case("numeric(39,0)", "9" * 39, "NaN"),
    "numeric_50_20": _case("numeric(50,20)", "9" * 30 + "." + "9" * 20, "1.10", "NaN"),
    "numeric_negative_scale": _case("numeric(3,-2)", "99900", "-1234", "49"),
    "numeric_scale_above_precision": _case("numeric(3,5)", "0.00999", "-0.00001"),
    "money": _case("money", "-92233720368547758.08", "92233720368547758.07", "0.01"),
    # Text
    "text": _case("text", *_TEXTS),
    "long_text": _case("text", "0123456789abcdé\n" * 655_360),
    "varchar": _case("varchar", *_TEXTS),
    "varchar_5": _case("varchar(5)", "", "äöüß€", "a   ", "  a"),
    "char_5": _case("char(5)", "", "a", "äöüß€", " a"),
    "char": _case("char", "a", ""),
    "bpchar": _case("bpchar", "a   ", ""),
    "internal_char": _case('"char"', "a", "", "\\200", "\\377"),
    "name": _case("name", "a" * 63, "", '"Quoted"'),
    "bytea": _case("bytea", "\\x", "\\x00", "\\x" + bytes(range(256)).hex(), "\\xdeadbeef"),
    "citext": _case("citext", "MiXeD", "", optional=True),
    "hstore": _case("hstore", 'a=>1, "b c"=>NULL, ""=>""', "", optional=True),
    "vector": _case("vector(3)", "[1,2.5,-3]", "[0,0,0]", optional=True),
    # Dates and times
    "date": _case("date", "infinity", "-infinity", "4714-11-24 BC", "0044-03-15 BC", "0001-01-01",
                 "2024-02-29", "9999-12-31", "10000-01-01", "5874897-12-31"),
    "time": _case("time", "00:00", "24:00", "23:59:59.999999", "12:34:56.1"),
    "time_0": _case("time(0)", "24:00", "23:59:59"),
    "timetz": _case("timetz", "24:00+00", "00:00-15:59", "23:59:59.999999+05:30", "00:00+15:59:59"),
    "timetz_2": _case("timetz(2)", "12:34:56.78-03"),
    "timestamp": _case("timestamp", *_TIMESTAMPS),
    "timestamp_0": _case("timestamp(0)", "2026-01-01 00:00:00", "infinity"),
    "timestamp_3": _case("timestamp(3)", "2026-01-01 00:00:00.12", "0044-03-15 00:00:00 BC"),
    "timestamptz": _case("timestamptz", *_ZONED),
    "timestamptz_0": _case("timestamptz(0)", "2026-01-01 00:00:00+05:45", "-infinity"),
    "interval": _case("interval", *_INTERVALS),
    "interval_months": _case("interval year to month", "1-2", "-0-1"),
    "interval_3": _case("interval(3)", "00:00:00.123"),
    # Enumerations, domains, composites
    "boolean": _case("boolean", "t", "f"),
    "enum": _case("mood", "so-so", "it's", '"quoted"', "Ünï, cödé"),
    "domain_numeric": _case("cents", "9999999999.99", "0", "1.10"),
    "domain_over_domain": _case("small_cents", "99.99", "0.10"),
    "domain_wide": _case("widest", "9" * 28 + ".9999999999", "-0.0000000001"),
    "domain_real": _case("weight", "0.1", "NaN", "3.4028235e38"),
    "domain_integer": _case("positive", "1", "2147483647"),
    "domain_boolean": _case("yes", "t"),
    "domain_uuid": _case("token", "00000000-0000-0000-0000-000000000000"),
    "domain_bytea": _case("blob", "\\x00ff"),
    "domain_timestamp": _case("bare", "2026-01-01 00:00:00.1", "-infinity", "10000-01-01"),
    "domain_date": _case("day", "infinity", "0044-03-15 BC"),
    "domain_enum": _case("mild", "so-so"),
    "domain_unbounded": _case("any_number", *_ANY_NUMERIC),
    "domain_varchar": _case("letters", "äöü", ""),
    "domain_interval": _case("naps", *_INTERVALS),
    "domain_timestamptz": _case("moments", "2026-01-01 00:00:00.12+00", "infinity"),
    "domain_array": _case("numbers", "{1,NULL,2}", "{}"),
    "composite": _case("pair", '(1,"a ""b"", \\\\c")', "(,)", '(,"")', "(-1,NULL)"),
    "nested_composite": _case(
        "nest", '("(1,x)","{""(2,y)"",NULL}","2026-01-01 00:00:00+05","-0")', "(,,infinity,NaN)"
    ),
    # Arrays
    "int_array": _case("int[]", "{}", "{NULL}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[2:3]={1,2}"),
    "text_array": _case(
        "text[]", "{}", '{""}', '{NULL,"NULL"}', '{"a,b","\\"q\\"","\\\\","{}",é," "}'
    ),
    "numeric_array": _case("numeric(6,2)[]", "{1.10,NaN,NULL}", "{{0.00}}"),
    "double_array": _case("float8[]", "{NaN,Infinity,-0,5e-324,0.1}"),
    "boolean_array": _case("bool[]", "{t,f,NULL}"),
    "bytea_array": _case("bytea[]", '{"\\\\x00ff",NULL}'),
    "date_array": _case("date[]", '{infinity,"0044-03-15 BC",5874897-12-31}'),
    "timestamptz_array": _case(
        "timestamptz[]", '{"2026-01-01 00:00:00+05","294276-12-31 23:59:59+00"}'
    ),
    "enum_array": _case("mood[]", '{"it\'s","Ünï, cödé"}'),
    "composite_array": _case("pair[]", '{"(1,\\"x y\\")",NULL}'),
    "jsonb_array": _case("jsonb[]", '{"{\\"a\\": 1.10}",NULL}'),
    "uuid_array": _case("uuid[]", "{00000000-0000-0000-0000-000000000000}"),
    # Ranges
    "int4range": _case("int4range", "empty", "[1,5]", "(,)", "[,3)"),
    "int8range": _case("int8range", "[-9223372036854775808,9223372036854775807)"),
    "numrange": _case("numrange", "[1.10,2.00]", "(1e50,)", "[NaN,)"),
    "daterange": _case("daterange", "[2024-02-29,2024-03-01]", "(-infinity,infinity)"),
    "tsrange": _case("tsrange", '["2026-01-01 00:00:00.000001",infinity)'),
    "tstzrange": _case("tstzrange", '["2026-01-01 00:00:00+05","294276-12-31 00:00:00+00")'),
    "custom_range": _case("floatrange", "[-0,5e-324]", "[1.5,Infinity)"),
    "int4multirange": _case("int4multirange", "{}", "{[1,2],[5,9)}"),
    "tstzmultirange": _case("tstzmultirange", '{["2026-01-01 00:00:00+00",)}'),
    # Documents
    "json": _case("json", *_JSONS),
    "jsonb": _case("jsonb", *(text for text in _JSONS)),
    "jsonpath": _case("jsonpath", '$.a[*] ? (@.b > 1.10 && @.c like_regex "^é")', "strict $"),
    "xml": _case("xml", "<a b='1'>é &amp; <!-- c --></a>", "plain <b/>", optional=True),
    "tsvector": _case("tsvector", "", "'it''s':1A,3 'a b':2 c"),
    "tsquery": _case("tsquery", "", "'it''s' & !b | c:*A <-> d"),
    # Identifiers and networks
    "uuid": _case("uuid", "00000000-0000-0000-0000-000000000000",
                 "ffffffff-ffff-ffff-ffff-ffffffffffff", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
    "inet": _case("inet", "10.1.2.3", "10.1.2.3/8", "::ffff:1.2.3.4", "2001:db8::/32"),
    "cidr": _case("cidr", "10.0.0.0/8", "::/0", "10.1.2.3/32"),
    "macaddr": _case("macaddr", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"),
    "macaddr8": _case("macaddr8", "08:00:2b:01:02:03:04:05"),
    # Bits and shapes
    "bit": _case("bit", "0", "1"),
    "bit_12": _case("bit(12)", "000000000001", "111111111111"),
    "varbit": _case("varbit", "", "0001", "1" * 200),
    "point": _case("point", "(1.5,-0)", "(NaN,Infinity)", "(5e-324,0.1)"),
    "line": _case("line", "{1,-2.5,0.1}"),
    "lseg": _case("lseg", "[(0,0),(1e300,-1)]"),
    "box": _case("box", "(1,1),(0,0.1)"),
    "path": _case("path", "[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"),
    "polygon": _case("polygon", "((0,0),(1,1),(2,0.1))"),
    "circle": _case("circle", "<(0,0.1),1e-10>"),
    # PostgreSQL's own
    "oid": _case("oid", "0", "4294967295"),
    "xid": _case("xid", "4294967295"),
    "xid8": _case("xid8", "18446744073709551615"),
    "tid": _case("tid", "(4294967295,65535)"),
    "pg_lsn": _case("pg_lsn", "FFFFFFFF/FFFFFFFF", "0/0"),
    "pg_snapshot": _case("pg_snapshot", "10:20:10,14,15"),
    "regclass": _case("regclass", "pg_class", "-"),
    "regtype": _case("regtype", "timestamp with time zone", "mood"),
    "regprocedure": _case("regprocedure", "lower(text)"),
    "oidvector": _case("oidvector", "1 2 3", ""),
    "int2vector": _case("int2vector", "-1 2"),
}  # fmt: skip
ROWS = max(len(case.values) for case in CASES.values()) + 1


def fill(session: PgConnection, table: str, *, engine: str = "duckdb") -> dict[str, str]:
    """Creates a table with a column for each case, a key `id` and a cursor `at`, and fills it.

    Args:
        engine: the type of warehouse that must have all its values.

    Returns:
        why each optional type that the server lacks is left out, by the name of its case.
    """
    session.autocommit = True
    with session.cursor() as cursor:
        for statement in TYPES:
            cursor.execute(statement)
        lacking = _lacking(session)
        refused = _REFUSED.get(engine, ())
        known = {n: case for n, case in CASES.items() if n not in lacking and n not in refused}
        cases = {name: case.on(engine) for name, case in known.items()}
        columns = "".join(f", {quote(name)} {case.type}" for name, case in cases.items())
        cursor.execute(
            f"create table {table} (id int primary key, at timestamptz default now(){columns})"
        )
        _insert(session, table, cases)
    return lacking


def _insert(session: PgConnection, table: str, cases: Mapping[str, Case]) -> None:
    listed = ", ".join(map(quote, cases))
    places = ", ".join(["%s"] * len(cases))
    with session.cursor() as cursor:
        for row in range(ROWS):
            values = [c.values[row] if row < len(c.values) else None for c in cases.values()]
            cursor.execute(
                f"insert into {table} (id, {listed}) values (%s, {places})", [row, *values]
            )


def _lacking(session: PgConnection) -> dict[str, str]:
    optional = {name: case for name, case in CASES.items() if case.optional}
    return {name: reason for name, case in optional.items() if (reason := _lacks(session, case))}


def _lacks(session: PgConnection, case: Case) -> str:
    name = case.type.partition("(")[0]
    try:
        with session.cursor() as cursor:
            if name in _EXTENSIONS:
                cursor.execute(f"create extension {name}")
            cursor.execute(f"select {literal(case.values[0])}::{case.type}")
    except psycopg2.errors.FeatureNotSupported as error:
        return str(error).split("\n", 1)[0]
    return ""
