"""Types: PostgreSQL's `col::text` can be restored from staging, or the load stops.

One table holds a column for each type with awkward values, and a view shows the same rows, so that
both ways of telling an unchanged row from a changed one meet every type.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from lakefeed.loading.sessions import duckdb_engine
from lakefeed.orchestration.checks.check import check_connected
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.source.inspection.types import lake_type
from lakefeed.source.staged_form import staged_form
from tests.conftest import (
    CONNECTION_VARIABLE,
    Database,
    Lake,
    failure,
    new_database,
    new_lake,
    only,
)
from tests.integration.spelling import Row, lake_texts, raw, source_texts, staging

SETUP = (
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
EXTENSIONS = ("citext", "hstore", "vector")

CONTROLS = "".join(chr(code) for code in range(1, 32)) + "\x7f\x80\x85\u2028\ufeff"
QUOTES = "'single' \"double\" `back` \\ \\\\ \\n \\x00 %s %% {brace} $$ ; -- /* :bind"
TEXTS = ("", " ", "\t", "\n", "\r\n", "NULL", "null", "\\N", "nan", "0x1", CONTROLS, QUOTES,
         "é e\u0301 ﷽ 👩‍👩‍👧‍👦 \U0010ffff", "line\nline\r\nline\rline", "trailing  ")  # fmt: skip
DOUBLES = ("NaN", "Infinity", "-Infinity", "0", "-0", "5e-324", "2.2250738585072014e-308",
           "1.7976931348623157e308", "0.1", "0.30000000000000004", "123456789012345678", "1e15",
           "1e14", "999999999999999.9", "1e-5", "0.0001", "-1.5", "9007199254740993")  # fmt: skip
REALS = ("NaN", "Infinity", "-Infinity", "0", "-0", "1e-45", "1.17549435e-38", "3.4028235e38",
         "0.1", "16777217", "1e6", "999999", "1e-5", "0.0001", "-1.5", "0.33333334")  # fmt: skip
ANY_NUMERIC = ("NaN", "Infinity", "-Infinity", "0", "-0.00", "1.10", "1." + "0" * 300,
               "9" * 200 + "." + "1" * 200, "1e-1000", "1e1000", "0.1")  # fmt: skip
TIMESTAMPS = ("infinity", "-infinity", "4713-01-01 00:00:00 BC", "0044-03-15 12:34:56.789 BC",
              "0001-01-01 00:00:00", "0001-12-31 23:59:59.999999 BC", "1582-10-10 00:00:00",
              "1900-02-28 23:59:59.999999", "1969-12-31 23:59:59.999999", "1970-01-01 00:00:00",
              "2024-02-29 00:00:00.1", "2026-10-25 02:30:00.000001", "9999-12-31 23:59:59.999999",
              "10000-01-01 00:00:00", "294246-12-31 23:59:59.999999")  # fmt: skip
ZONED = (*(f"{moment}+00" for moment in TIMESTAMPS[-5:-1]), "2026-10-25 02:30:00 Europe/Berlin",
         "1883-11-18 12:00:00 America/New_York", "2026-01-01 00:00:00+15:59:59",
         "infinity", "-infinity", "0044-03-15 12:34:56.789+00 BC",
         "4714-11-24 00:00:00+00 BC", "294246-12-31 23:59:59.999999+00")  # fmt: skip
INTERVALS = ("0", "1 mon", "-1 mon +1 day -00:00:00.000001", "1 year 2 mons 3 days 04:05:06.789",
             "178000000 years", "-178000000 years", "infinity", "-infinity", "25:00:00",
             "00:00:00.1", "24 hours", "1 day", "30 days", "1 day -1 hour")  # fmt: skip
JSONS = ('{"a": 1.10, "b": 1e400, "A" :  null}', '{"b": 1, "a": 2, "b": 3}', '"\\u00e9"',
         '"\\ud83d\\ude00"', "12345678901234567890.123456789012345678900", "  [ 1 ,\n 2 ]  ", '""',
         "null", "{}", '{"": {"": []}}', '"\\\\ \\" \\/ \\n \'"', "-0.0", "1E+2")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A type, and values as PostgreSQL reads them; `optional` where a server may lack the type."""

    type: str
    values: tuple[str, ...]
    optional: bool = False


def case(type_: str, *values: str, optional: bool = False) -> Case:
    return Case(type_, values, optional)


CASES = {
    # Numbers
    "smallint": case("smallint", "-32768", "0", "32767"),
    "integer": case("integer", "-2147483648", "0", "2147483647"),
    "bigint": case("bigint", "-9223372036854775808", "0", "9223372036854775807"),
    "real": case("real", *REALS),
    "double": case("double precision", *DOUBLES),
    "numeric": case("numeric", *ANY_NUMERIC),
    "numeric_4_2": case("numeric(4,2)", "99.99", "-99.99", "0", "-0.01", "1.10"),
    "numeric_2_2": case("numeric(2,2)", "0.50", "-0.01", "0", "0.99"),
    "numeric_9_0": case("numeric(9,0)", "999999999", "-1", "0"),
    "numeric_18_6": case("numeric(18,6)", "999999999999.999999", "0.000001", "-1.5"),
    "numeric_38_0": case("numeric(38,0)", "9" * 38, "-" + "9" * 38, "0"),
    "numeric_38_10": case("numeric(38,10)", "9" * 28 + ".9999999999", "1.10", "-0.0000000001"),
    "numeric_38_38": case("numeric(38,38)", "0." + "9" * 38, "-0." + "0" * 37 + "1"),
    "numeric_39_0": case("numeric(39,0)", "9" * 39, "NaN"),
    "numeric_50_20": case("numeric(50,20)", "9" * 30 + "." + "9" * 20, "1.10", "NaN"),
    "numeric_negative_scale": case("numeric(3,-2)", "99900", "-1234", "49"),
    "numeric_scale_above_precision": case("numeric(3,5)", "0.00999", "-0.00001"),
    "money": case("money", "-92233720368547758.08", "92233720368547758.07", "0.01"),
    # Text
    "text": case("text", *TEXTS),
    "long_text": case("text", "0123456789abcdé\n" * 655_360),
    "varchar": case("varchar", *TEXTS),
    "varchar_5": case("varchar(5)", "", "äöüß€", "a   ", "  a"),
    "char_5": case("char(5)", "", "a", "äöüß€", " a"),
    "char": case("char", "a", ""),
    "bpchar": case("bpchar", "a   ", ""),
    "internal_char": case('"char"', "a", "", "\\200", "\\377"),
    "name": case("name", "a" * 63, "", '"Quoted"'),
    "bytea": case("bytea", "\\x", "\\x00", "\\x" + bytes(range(256)).hex(), "\\xdeadbeef"),
    "citext": case("citext", "MiXeD", "", optional=True),
    "hstore": case("hstore", 'a=>1, "b c"=>NULL, ""=>""', "", optional=True),
    "vector": case("vector(3)", "[1,2.5,-3]", "[0,0,0]", optional=True),
    # Dates and times
    "date": case("date", "infinity", "-infinity", "4714-11-24 BC", "0044-03-15 BC", "0001-01-01",
                 "2024-02-29", "9999-12-31", "10000-01-01", "5874897-12-31"),
    "time": case("time", "00:00", "24:00", "23:59:59.999999", "12:34:56.1"),
    "time_0": case("time(0)", "24:00", "23:59:59"),
    "timetz": case("timetz", "24:00+00", "00:00-15:59", "23:59:59.999999+05:30", "00:00+15:59:59"),
    "timetz_2": case("timetz(2)", "12:34:56.78-03"),
    "timestamp": case("timestamp", *TIMESTAMPS),
    "timestamp_0": case("timestamp(0)", "2026-01-01 00:00:00", "infinity"),
    "timestamp_3": case("timestamp(3)", "2026-01-01 00:00:00.12", "0044-03-15 00:00:00 BC"),
    "timestamptz": case("timestamptz", *ZONED),
    "timestamptz_0": case("timestamptz(0)", "2026-01-01 00:00:00+05:45", "-infinity"),
    "interval": case("interval", *INTERVALS),
    "interval_months": case("interval year to month", "1-2", "-0-1"),
    "interval_3": case("interval(3)", "00:00:00.123"),
    # Enumerations, domains, composites
    "boolean": case("boolean", "t", "f"),
    "enum": case("mood", "so-so", "it's", '"quoted"', "Ünï, cödé"),
    "domain_numeric": case("cents", "9999999999.99", "0", "1.10"),
    "domain_over_domain": case("small_cents", "99.99", "0.10"),
    "domain_wide": case("widest", "9" * 28 + ".9999999999", "-0.0000000001"),
    "domain_real": case("weight", "0.1", "NaN", "3.4028235e38"),
    "domain_integer": case("positive", "1", "2147483647"),
    "domain_boolean": case("yes", "t"),
    "domain_uuid": case("token", "00000000-0000-0000-0000-000000000000"),
    "domain_bytea": case("blob", "\\x00ff"),
    "domain_timestamp": case("bare", "2026-01-01 00:00:00.1", "-infinity", "10000-01-01"),
    "domain_date": case("day", "infinity", "0044-03-15 BC"),
    "domain_enum": case("mild", "so-so"),
    "domain_unbounded": case("any_number", *ANY_NUMERIC),
    "domain_varchar": case("letters", "äöü", ""),
    "domain_interval": case("naps", *INTERVALS),
    "domain_timestamptz": case("moments", "2026-01-01 00:00:00.12+00", "infinity"),
    "domain_array": case("numbers", "{1,NULL,2}", "{}"),
    "composite": case("pair", '(1,"a ""b"", \\\\c")', "(,)", '(,"")', "(-1,NULL)"),
    "nested_composite": case(
        "nest", '("(1,x)","{""(2,y)"",NULL}","2026-01-01 00:00:00+05","-0")', "(,,infinity,NaN)"
    ),
    # Arrays
    "int_array": case("int[]", "{}", "{NULL}", "{1,NULL,-3}", "{{1,2},{3,4}}", "[2:3]={1,2}"),
    "text_array": case(
        "text[]", "{}", '{""}', '{NULL,"NULL"}', '{"a,b","\\"q\\"","\\\\","{}",é," "}'
    ),
    "numeric_array": case("numeric(6,2)[]", "{1.10,NaN,NULL}", "{{0.00}}"),
    "double_array": case("float8[]", "{NaN,Infinity,-0,5e-324,0.1}"),
    "boolean_array": case("bool[]", "{t,f,NULL}"),
    "bytea_array": case("bytea[]", '{"\\\\x00ff",NULL}'),
    "date_array": case("date[]", '{infinity,"0044-03-15 BC",5874897-12-31}'),
    "timestamptz_array": case(
        "timestamptz[]", '{"2026-01-01 00:00:00+05","294276-12-31 23:59:59+00"}'
    ),
    "enum_array": case("mood[]", '{"it\'s","Ünï, cödé"}'),
    "composite_array": case("pair[]", '{"(1,\\"x y\\")",NULL}'),
    "jsonb_array": case("jsonb[]", '{"{\\"a\\": 1.10}",NULL}'),
    "uuid_array": case("uuid[]", "{00000000-0000-0000-0000-000000000000}"),
    # Ranges
    "int4range": case("int4range", "empty", "[1,5]", "(,)", "[,3)"),
    "int8range": case("int8range", "[-9223372036854775808,9223372036854775807)"),
    "numrange": case("numrange", "[1.10,2.00]", "(1e50,)", "[NaN,)"),
    "daterange": case("daterange", "[2024-02-29,2024-03-01]", "(-infinity,infinity)"),
    "tsrange": case("tsrange", '["2026-01-01 00:00:00.000001",infinity)'),
    "tstzrange": case("tstzrange", '["2026-01-01 00:00:00+05","294276-12-31 00:00:00+00")'),
    "custom_range": case("floatrange", "[-0,5e-324]", "[1.5,Infinity)"),
    "int4multirange": case("int4multirange", "{}", "{[1,2],[5,9)}"),
    "tstzmultirange": case("tstzmultirange", '{["2026-01-01 00:00:00+00",)}'),
    # Documents
    "json": case("json", *JSONS),
    "jsonb": case("jsonb", *(text for text in JSONS)),
    "jsonpath": case("jsonpath", '$.a[*] ? (@.b > 1.10 && @.c like_regex "^é")', "strict $"),
    "xml": case("xml", "<a b='1'>é &amp; <!-- c --></a>", "plain <b/>", optional=True),
    "tsvector": case("tsvector", "", "'it''s':1A,3 'a b':2 c"),
    "tsquery": case("tsquery", "", "'it''s' & !b | c:*A <-> d"),
    # Identifiers and networks
    "uuid": case("uuid", "00000000-0000-0000-0000-000000000000",
                 "ffffffff-ffff-ffff-ffff-ffffffffffff", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
    "inet": case("inet", "10.1.2.3", "10.1.2.3/8", "::ffff:1.2.3.4", "2001:db8::/32"),
    "cidr": case("cidr", "10.0.0.0/8", "::/0", "10.1.2.3/32"),
    "macaddr": case("macaddr", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"),
    "macaddr8": case("macaddr8", "08:00:2b:01:02:03:04:05"),
    # Bits and shapes
    "bit": case("bit", "0", "1"),
    "bit_12": case("bit(12)", "000000000001", "111111111111"),
    "varbit": case("varbit", "", "0001", "1" * 200),
    "point": case("point", "(1.5,-0)", "(NaN,Infinity)", "(5e-324,0.1)"),
    "line": case("line", "{1,-2.5,0.1}"),
    "lseg": case("lseg", "[(0,0),(1e300,-1)]"),
    "box": case("box", "(1,1),(0,0.1)"),
    "path": case("path", "[(0,0),(1,1)]", "((0,0),(1,1),(2,0))"),
    "polygon": case("polygon", "((0,0),(1,1),(2,0.1))"),
    "circle": case("circle", "<(0,0.1),1e-10>"),
    # PostgreSQL's own
    "oid": case("oid", "0", "4294967295"),
    "xid": case("xid", "4294967295"),
    "xid8": case("xid8", "18446744073709551615"),
    "tid": case("tid", "(4294967295,65535)"),
    "pg_lsn": case("pg_lsn", "FFFFFFFF/FFFFFFFF", "0/0"),
    "pg_snapshot": case("pg_snapshot", "10:20:10,14,15"),
    "regclass": case("regclass", "pg_class", "-"),
    "regtype": case("regtype", "timestamp with time zone", "mood"),
    "regprocedure": case("regprocedure", "lower(text)"),
    "oidvector": case("oidvector", "1 2 3", ""),
    "int2vector": case("int2vector", "-1 2"),
}  # fmt: skip
ROWS = max(len(case.values) for case in CASES.values()) + 1


@dataclass(frozen=True)
class Loaded:
    """The types, loaded and staged once; `lacking` lists those that this server doesn't have."""

    lake: Lake
    lacking: dict[str, str]
    report: RunReport
    again: RunReport
    source: dict[str, list[Row]]
    raw: dict[str, list[Row]]
    staged: dict[str, list[Row]]


def _by_column(columns: list[str], rows: list[Row]) -> dict[str, list[Row]]:
    return {column: [(row[0], row[index]) for row in rows] for index, column in enumerate(columns)}


@pytest.fixture(scope="module", params=["duckdb", "psycopg2"])
def loaded(
    request: pytest.FixtureRequest, server_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Loaded]:
    """The types as a table and as a view, loaded by one backend, staged, and loaded again."""
    database = new_database(server_url)
    database.execute(*SETUP)
    lacking = fill_catalogue(database)
    lake = new_lake(tmp_path_factory.mktemp("types"))
    lake.declare(
        "catalogue: {cursor: at, lookback: 1d}\nshown: {mode: full_refresh, primary_key: [id]}",
        head=f"    defaults: {{backend: {request.param}}}\n",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION_VARIABLE, database.url)
        report, again = lake.run(), lake.run()
        columns = ["id", *(name for name in CASES if name not in lacking)]
        yield Loaded(
            lake,
            lacking,
            report,
            again,
            _by_column(columns, source_texts(database, "catalogue", columns)),
            _by_column(columns, lake_texts(lake, raw(lake, "shop__catalogue"), columns)),
            _by_column(columns, lake_texts(lake, staging("shop__catalogue"), columns)),
        )


def fill_catalogue(database: Database) -> dict[str, str]:
    """Creates and fills the table; returns the reason for each type that is skipped."""
    lacking = {}
    for name, case in CASES.items():
        if case.optional and (reason := _lacks(database, case)):
            lacking[name] = reason
    cases = {name: case for name, case in CASES.items() if name not in lacking}
    columns = "".join(f', "{name}" {case.type}' for name, case in cases.items())
    database.execute(
        f"create table catalogue (id int primary key, at timestamptz default now(){columns})",
        "create view shown as select * from catalogue",
    )
    listed = ", ".join(f'"{name}"' for name in cases)
    places = ", ".join(["%s"] * len(cases))
    with database.connect() as session, session.cursor() as cursor:
        for row in range(ROWS):
            values = [c.values[row] if row < len(c.values) else None for c in cases.values()]
            cursor.execute(
                f"insert into catalogue (id, {listed}) values (%s, {places})", [row, *values]
            )
    session.close()
    return lacking


def _lacks(database: Database, case: Case) -> str:
    try:
        if case.type.partition("(")[0] in EXTENSIONS:
            database.execute(f"create extension {case.type.partition('(')[0]}")
        database.execute(f"select '{case.values[0].replace(chr(39), chr(39) * 2)}'::{case.type}")
    except psycopg2.errors.FeatureNotSupported as error:
        return str(error).split("\n", 1)[0]
    return ""


def test_all_types_are_loaded(loaded: Loaded) -> None:
    assert [(table.status, str(table.error)) for table in loaded.report.tables] == [
        ("loaded", "None")
    ] * 2
    assert loaded.report.exit_code == 0, loaded.report.build


@pytest.mark.parametrize("name", CASES)
def test_values_of_each_type_reach_raw_and_staging_unchanged(loaded: Loaded, name: str) -> None:
    if name in loaded.lacking:
        pytest.skip(loaded.lacking[name])
    expected = loaded.source[name]

    assert len([text for _, text in expected if text is not None]) == len(CASES[name].values)
    assert loaded.raw[name] == expected
    assert _staged(name, loaded.staged[name]) == _staged(name, expected)


def _staged(name: str, rows: list[Row]) -> list[Row]:
    """DuckDB's tables, unlike the raw files, may store -0.0 as the 0.0 that it equals."""
    if CASES[name].type not in ("real", "double precision"):
        return rows
    return [(key, "0" if text == "-0" else text) for key, text in rows]


def test_raw_has_the_types_that_staging_casts_to(loaded: Loaded) -> None:
    """Otherwise the cast could hide a loss in raw."""
    (table, _) = loaded.lake.project.tables
    assert table.catalogue is not None
    declared = [(column.name, lake_type(column.type).duckdb) for column in table.catalogue.columns]

    described = loaded.lake.query(f"describe from {raw(loaded.lake, 'shop__catalogue')}")

    aliases = {"timestamp with time zone": "timestamptz"}
    types = [(str(name), str(type_).lower()) for name, type_, *_ in described]
    assert [(name, aliases.get(type_, type_)) for name, type_ in types[:-1]] == declared


def test_an_unchanged_row_of_any_types_is_not_written_again(loaded: Loaded) -> None:
    assert [(table.name, table.status) for table in loaded.again.tables] == [
        ("shop.catalogue", "unchanged"),
        ("shop.shown", "unchanged"),
    ]


def test_without_the_scanner_tables_are_read_by_psycopg2_with_a_warning(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database.execute(
        "create table t (id int primary key, at timestamptz default now(), amount numeric(9,2))",
        "insert into t (id, amount) values (1, 1.10), (2, null)",
    )
    monkeypatch.setattr(
        duckdb_engine,
        "extension_file",
        lambda name: tmp_path / f"{name}.duckdb_extension",
    )
    lake.declare("t: {cursor: at, deletes: remove, max_shrink: 50%}").load()
    database.execute("delete from t where id = 1", "insert into t (id, amount) values (3, 7)")

    report = lake.load()
    checked = check_connected(lake.project)

    assert any("reading tables through psycopg2" in warning for warning in checked.warnings)
    assert (only(report).rows_written, only(report).rows_deleted) == (1, 1)
    assert lake.raw("shop__t", "id, amount::varchar") == [
        (1, "1.10"), (1, "1.10"), (2, None), (3, "7.00")
    ]  # fmt: skip
    (warning,) = report.warnings
    assert "shop: DuckDB" in warning
    assert "can't load its scanner" in warning
    assert "reading tables through psycopg2" in warning


def test_a_full_refresh_detects_a_changed_sign_of_zero(database: Database, lake: Lake) -> None:
    """To DuckDB 0.0 equals -0.0."""
    database.execute("create table t (x float8)", "insert into t values (0), (0)")
    lake.declare("t: {mode: full_refresh}").load()
    database.execute("update t set x = '-0' where ctid = (select min(ctid) from t)")

    assert only(lake.load()).status == "loaded"
    assert lake.raw("shop__t", "x::varchar") == [("-0.0",), ("0.0",), ("0.0",), ("0.0",)]


def test_a_float_that_was_text_before_is_compared_exactly(database: Database, lake: Lake) -> None:
    database.execute("create table t (x text)", "insert into t values ('none')")
    lake.declare("t: {mode: full_refresh}").load()
    database.execute("alter table t alter x type float8 using '-0'::float8")

    assert only(lake.load()).status == "loaded"


@pytest.mark.parametrize(
    ("type_", "value", "reason"),
    [
        ("numeric(10,2)", "NaN", "holds NaN in a numeric(10,2)"),
        ("numeric(38,10)", "NaN", "holds NaN in a numeric(38,10)"),
        ("timestamp", "294247-01-01", "holds a timestamp beyond the year 294246"),
        ("timestamp(3)", "294276-12-31 23:59:59.999", "holds a timestamp beyond the year 294246"),
        ("timestamptz", "294247-01-01+00", "holds a timestamp beyond the year 294246"),
        ("timestamptz", "294276-12-31+00", "holds a timestamp beyond the year 294246"),
    ],
)
def test_a_value_that_the_lake_cannot_store_fails_its_table_with_the_column(
    database: Database, lake: Lake, type_: str, value: str, reason: str
) -> None:
    database.execute(
        f"create table t (id int primary key, fine int, amount {type_})",
        f"insert into t values (1, 1, null), (2, 2, '{value}')",
        "create table sibling (id int)",
        "insert into sibling values (1)",
    )

    report = lake.declare("t: {mode: full_refresh}\nsibling: {mode: full_refresh}").load()

    assert "shop.t: invalid input syntax" in failure(report)
    assert f"column amount {reason}" in failure(report)
    assert "columns: {exclude:" in failure(report)
    assert lake.files("shop__t") == []
    assert lake.raw("shop__sibling", "id") == [(1,)]


def test_a_column_with_such_a_value_can_be_excluded(database: Database, lake: Lake) -> None:
    database.execute("create table t (a int, b numeric(4,1))", "insert into t values (1, 'NaN')")

    lake.declare("t: {mode: full_refresh, columns: {exclude: [b]}}").load()

    assert lake.raw("shop__t", "a") == [(1,)]


PAGE = Path(__file__).resolve().parents[2] / "docs" / "types.md"
WRITE_PAGE = "LAKEFEED_WRITE_DOCS"
INTRODUCTION = f"""\
<!-- Written by {WRITE_PAGE}=1 pytest {{test}}; see there. -->
# Types

What PostgreSQL shows as `col::text` can be had back from raw, or the table stops with the column's
name. This page is written by the test that proves it, with these values and more of each type.

A type is kept as itself where DuckDB has the same values, and as PostgreSQL's own text where it has
not: cast it in a mart, where rounding is your decision. Types that aren't listed are text. Staging
has the text of `json` and `jsonb` as DuckDB's JSON, and lists and intervals where they are declared
([Column names and types](column-names-and-types.md)).

- `NaN` in a `numeric` with precision, and a timestamp beyond the year 294246, have no place in
  DuckDB: such a row stops its table. Correct it, or leave the column out.
- DuckDB's tables may keep `-0.0` as the `0.0` that it equals; raw files keep the sign.

| PostgreSQL | raw and staging | for example |
|---|---|---|
"""


def test_the_types_page_matches_what_this_test_observed(loaded: Loaded) -> None:
    """To write it: LAKEFEED_WRITE_DOCS=1 pytest tests/integration/test_types.py."""
    page = INTRODUCTION.format(test="tests/integration/test_types.py") + "".join(_rows(loaded))
    if os.environ.get(WRITE_PAGE):
        PAGE.write_text(page, encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == page


def _rows(loaded: Loaded) -> Iterator[str]:
    (table, _) = loaded.lake.project.tables
    assert table.catalogue is not None
    types = {column.name: column.type for column in table.catalogue.columns}
    for name, one in CASES.items():
        if name == "long_text":
            continue
        kind = lake_type(types.get(name, one.type))
        kept = f"`{kind.duckdb}`" + (", PostgreSQL's text" if kind.as_text else "")
        if form := staged_form(types.get(name, one.type), None):
            kept += f"; `{form.type}` in staging"
        domain = f", a domain over `{types[name]}`" if name.startswith("domain") else ""
        yield f"| `{one.type}`{domain} | {kept} | {_example(loaded, name)} |\n"


def _example(loaded: Loaded, name: str) -> str:
    """The longest of its values that a line can show."""
    texts = [text for _, text in loaded.raw.get(name, []) if text and text.isprintable()]
    short = [text for text in texts if len(text) <= 40 and not set(text) & set("`|")]
    return f"`{max(short, key=lambda text: (len(text), text)).strip()}`" if short else ""
