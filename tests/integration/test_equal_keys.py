"""Key values with several equal spellings in PostgreSQL identify one row in the lake, too."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import duckdb
import pytest

from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.checks.check import check_connected
from lakefeed.orchestration.inspect.trace import trace
from lakefeed.orchestration.maintenance.erase import erase_key
from lakefeed.orchestration.project.init import init_project
from lakefeed.source.inspection import equality
from lakefeed.source.inspection.equality import compared
from lakefeed.source.inspection.types import lake_type
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_database, new_lake

pytestmark = [pytest.mark.builds, pytest.mark.at_night]

VALUES = {
    "numeric": ["0", "0.0", "-0.0", "1", "1.0", "1.10", "1.1", "100", "1e2", "10", "-5.50", "NaN",
                "Infinity", "-Infinity", "0.001", "0.0010", "123456789012345678901234567890.120"],
    "numeric(40,2)": ["1", "1.00", "-0.005", "0"],
    "interval": ["1 day", "24:00", "1 mon", "30 days", "720:00", "1 year", "12 mons", "360 days",
                 "0", "1 mon -30 days", "-1 day", "-24:00", "1 day -24:00", "1.5 s", "1.500 s",
                 "00:00:00.000001", "-00:00:00.000001", "infinity", "-infinity", "2 years 3 mons",
                 "1 mon -1 day +02:03:04.5", "-1 mon +1 day -02:03:04.5", "178000000 years"],
    "jsonb": ['{"a": 1, "b": 2}', '{"b": 2.0, "a": 1.00}', '{"a": "1.0"}', '{"a": "1.00"}',
              "1", "1.0", '"1.0"', "[1.0, 1.10]", "[1, 1.1]", r'{"\"1.0": 1.0}', r'{"\"1.0": 1}',
              r'{"\\": "2.0", "b": 2.0}', r'{"\\": "2.0", "b": 2}', "1e2", "100", "-0.0", "0"],
    "numeric[]": ["{1,2}", "{1.0,2.00}", "{1,NULL}", "{1.0,NULL}", "[2:3]={1,2}", "{}", "{{1,2}}"],
    "real[]": ["{0,-0}", "{-0,0}", "{-0,-0}", "{1e-05}", "{NaN}", "{10,-10}", "{1e20,-0}"],
    "double precision[]": ["{0}", "{-0}", "{1e-10}", "{-0.5}"],
    "numrange": ["[1,2)", "[1.0,2.0)", "[1,2]", "empty", "(,1.50)", "(,1.5)", "[3,3)"],
    "nummultirange": ["{[1,2),[3,4)}", "{[1.0,2),[3,4.00)}", "{}"],
    "real": ["0", "-0", "NaN", "1", "1.0", "1e20"],
    "double precision": ["0", "-0", "NaN", "0.1", "0.10", "infinity"],
    "numeric(9,2)": ["1", "1.00", "1.004"],
    "character(3)": ["a", "a ", "b", ""],
    "bpchar": ["a", "a ", "a  ", "b"],
    "text": ["a", "a ", "A"],
    "time with time zone": ["12:00+00", "13:00+01", "24:00+00", "00:00+00"],
    "time without time zone": ["24:00", "00:00", "12:00:00.10", "12:00:00.1"],
    "inet": ["10.0.0.1", "10.0.0.1/32", "10.0.0.1/24", "::1", "::1/128"],
    "timestamp with time zone": ["2026-01-01 00:00Z", "2026-01-01 01:00+01", "infinity"],
    "date": ["2026-01-01", "infinity", "0044-03-15 BC"],
    "bit varying": ["1", "01", "10"],
    "bytea": [r"\x00", r"\x0000", r"\x"],
    "int4range": ["[1,3)", "[1,2]", "(0,2]", "empty"],
    "text[]": ["{a,b}", '{"a",b}', "{A,b}", '{"a,b"}'],
}  # fmt: skip


def some_numbers(count: int) -> list[str]:
    choose = random.Random(7)
    found = []
    for _ in range(count):
        digits = choose.choice(["0", "1", "10", "20", "205", "1000"])
        fraction = choose.choice(["", ".0", ".00", ".5", ".50", ".050", ".0500", ".5005", ".1000"])
        found.append(choose.choice(["", "-"]) + digits + fraction)
    return found


@pytest.fixture(scope="module")
def source(server_url: str) -> Database:
    return new_database(server_url)


@pytest.mark.parametrize("kind", VALUES)
def test_two_values_are_equal_exactly_if_postgresql_says_so(source: Database, kind: str) -> None:
    values = VALUES[kind]
    if kind == "numeric":
        values = values + some_numbers(60)
    if kind == "numeric[]":
        numbers = some_numbers(60)
        values = values + [f"{{{a},{b}}}" for a, b in pairwise(numbers)]
    listed = ", ".join("('" + value.replace("'", "''") + "')" for value in values)
    pairs = source.rows(
        f"with v as (select x::{kind} as v from (values {listed}) as t (x)) "
        "select a.v::text, b.v::text, a.v = b.v from v as a, v as b"
    )
    lake = lake_type(kind).duckdb
    cast = "unhex(substr({}, 3))" if lake == "blob" else f"{{}}::{lake}"
    cast = f"replace({cast[:-6]}, ' BC', ' (BC)')::date" if lake == "date" else cast
    one, other = (compared(f"({cast.format(name)})", kind) for name in ("a", "b"))
    texts = [[pair[side] for pair in pairs] for side in (0, 1)]
    same = duckdb.execute(
        f"select {one} = {other} from (select unnest($1) as a, unnest($2) as b)", texts
    ).fetchall()

    wrong = [pair for pair, (is_same,) in zip(pairs, same, strict=True) if pair[2] != is_same]
    assert wrong == []


TABLES = {
    "number": ("numeric", "1.0", "1.00", "cursor: at, history: true"),
    "span": ("interval", "1 day", "24:00:00", "cursor: at, deletes: remove"),
    "doc": ("jsonb", '{"n": 1.0}', '{"n": 1.00}', "cursor: xmin"),
    "amount": (
        "money_in_euro",
        "1.0",
        "1.000",
        "cursor: at, lookback: 3650d, deletes: mark, history: true",
    ),
    "float": ("double precision", "0", "-0", "cursor: at, lookback: 3650d"),
    "list": ("numeric[]", "{1.0,2}", "{1,2.0}", "mode: full_refresh"),
}
DECLARED = "\n".join(f"{name}: {{{how}}}" for name, (*_, how) in TABLES.items())


def staged_and_held(lake: Lake, database: Database, name: str) -> tuple[object, object]:
    columns = "id::varchar, part, word" if TABLES[name][0] != "double precision" else "part, word"
    alive = " where _deleted_at is null" if "mark" in TABLES[name][3] else ""
    staged = lake.query(
        f"select {columns} from staging.stg_shop__{name}{alive} order by part, word"
    )
    held = database.rows(f'select {columns} from "{name}" order by part, word')
    return staged, held


@pytest.fixture(scope="module")
def shared(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake in which each table has one key in two spellings, from two loads."""
    source.execute("create domain money_in_euro as numeric")
    for name, (kind, old, _, _) in TABLES.items():
        source.execute(
            f'create table "{name}" (id {kind}, part int, word text, at timestamptz default now(),'
            " primary key (id, part))",
            f"insert into \"{name}\" values ('{old}', 1, 'old'), ('{old}', 2, 'other')",
        )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        lake = new_lake(tmp_path_factory.mktemp("shared")).declare(DECLARED)
        assert lake.run().exit_code == 0
        for name, (_, _, new, _) in TABLES.items():
            source.execute(
                f"update \"{name}\" set id = '{new}', word = 'new', at = clock_timestamp()"
                " where part = 1"
            )
        report = lake.run()
        assert report.exit_code == 0, report
        yield lake


@pytest.mark.parametrize("name", TABLES)
def test_a_row_with_a_respelled_key_stays_one_row_and_has_the_source_spelling(
    shared: Lake, source: Database, name: str
) -> None:
    staged, held = staged_and_held(shared, source, name)

    assert staged == held


def test_raw_has_one_row_for_such_a_key_and_an_audit_finds_no_difference(copied: Lake) -> None:
    again = {table.name: table.status for table in copied.load().tables}

    assert again == dict.fromkeys(again, "unchanged")
    assert audit(copied.project, ()).exit_code == 0


@pytest.mark.parametrize("name", ["number", "amount"])
def test_such_a_row_has_one_history(shared: Lake, name: str) -> None:
    versions = shared.query(
        "select part, word, valid_to is null, _was_deleted from "
        f"history.hst_shop__{name} order by part, valid_from"
    )

    assert versions == [
        (1, "old", False, False),
        (1, "new", True, False),
        (2, "other", True, False),
    ]


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("number", ("1", "1.0", "1.0000", "1e0", "+1", "01")),
        ("span", ("1 day", "24:00:00", "24:00")),
        ("doc", ('{"n": 1}', '{"n": 1.00}')),
        ("float", ("0", "-0", "0.0")),
        ("list", ("{1,2}", "{1.0,2.00}")),
    ],
)
def test_such_a_row_is_traced_by_each_spelling(
    shared: Lake, source: Database, name: str, spellings: tuple[str, ...]
) -> None:
    found = [trace(shared.project, f"shop.{name}", [one, "1"]) for one in spellings]

    assert {len(one.versions) for one in found} == {2}
    assert {one.judgement.winner.values["word"] for one in found if one.judgement} == {"new"}
    assert {one.made.staging.total for one in found if one.made and one.made.staging} == {1}


def test_such_a_row_is_erased_in_each_spelling(copied: Lake) -> None:
    erased = erase_key(copied.project, "shop.number", ["1", "1"])

    assert sum(one.rows for one in erased.found) == 2
    assert [row[1] for row in copied.raw("shop__number", "id, part")] == [2]


def test_such_a_row_is_deleted_if_the_source_has_none_of_its_spellings(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table span (id interval primary key, word text, at timestamptz default now())",
        "insert into span values ('1 day', 'a'), ('48:00', 'b'), ('3 days', 'c'), ('96:00', 'd'),"
        " ('5 days', 'e'), ('6 days', 'f')",
    )
    lake.declare("span: {cursor: at, deletes: remove}").load()
    database.execute("update span set id = '2 days' where id = '48:00'")
    nothing = lake.load().tables[0]
    database.execute("delete from span where id = '1 day'")
    gone = lake.run().tables[0]

    assert (nothing.rows_deleted, gone.rows_deleted) == (0, 1)
    assert lake.query("select word from staging.stg_shop__span order by 1") == [
        *[(word,) for word in "bcdef"]
    ]


def test_staging_merged_by_text_is_merged_again(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a lake of a version that compared keys as text."""
    database.execute(
        "create table t (id numeric primary key, word text, at timestamptz default now())",
        "insert into t values (1.0, 'old'), (2.0, 'b')",
    )
    lake.declare("t: {cursor: at}")
    with monkeypatch.context() as patched:
        patched.setattr(equality, "_BY_PATTERN", ())
        lake.run()
        database.execute(
            "update t set id = 1.00, word = 'new', at = clock_timestamp() where id = 1"
        )
        lake.run()
    # Another version renders its files anew: the digests are those of one version of the code.
    (lake.root / "data/generated.json").unlink()
    doubled = lake.query("select id, word from staging.stg_shop__t order by all")
    database.execute("insert into t values (3.0, 'c', clock_timestamp())")
    lake.run()

    assert doubled == [("1.0", "old"), ("1.00", "new"), ("2.0", "b")]
    assert lake.query("select id, word from staging.stg_shop__t order by all") == [
        ("1.00", "new"),
        ("2.0", "b"),
        ("3.0", "c"),
    ]


def test_a_relationships_test_passes_for_equal_values_of_different_text(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table item (id numeric primary key)",
        "create table line (id int primary key, item numeric references item)",
        "insert into item values (1.0), (2)",
        "insert into line values (1, 1.00), (2, 2)",
    )
    lake.declare(
        "item: {mode: full_refresh}\n"
        "line:\n"
        "  mode: full_refresh\n"
        "  tests: {columns: {item: {relationships: shop.item.id}}}"
    )

    assert lake.run().exit_code == 0


NOT_EXACT = {
    "interval[]": ("it contains values of type `interval`", "{1 day}"),
    "pair": ("it contains values of type `numeric`", "(a,1.0)"),
    "jsonb[]": ("it contains values of type `jsonb`", "{1.0}"),
}


def test_keys_that_can_only_be_compared_as_text_are_named_by_check_init_and_the_first_run(
    database: Database, lake: Lake, tmp_path: Path
) -> None:
    database.execute("create type pair as (name text, amount numeric)")
    for number, (kind, (_, value)) in enumerate(NOT_EXACT.items()):
        database.execute(
            f"create table t{number} (id {kind} primary key, at timestamptz default now())",
            f"insert into t{number} values ('{value}')",
        )
    lake.declare("\n".join(f"t{number}: {{cursor: at}}" for number in range(len(NOT_EXACT))))

    warnings = "\n".join(check_connected(lake.project).warnings)
    first = ["\n".join(table.notes) for table in lake.load().tables]
    again = ["\n".join(table.notes) for table in lake.load().tables]
    proposed = init_project(tmp_path / "new", database.url, "shop", ("public",))
    comments = (tmp_path / "new" / "sources.yaml").read_text(encoding="utf-8")

    for number, (reason, _) in enumerate(NOT_EXACT.values()):
        warning = f"the key column `id` is compared as text, since {reason}"
        assert f"shop.t{number} (sources.yaml:{6 + number}): {warning}" in warnings
        assert warning in first[number]
        assert f"t{number}: {warning}" in "\n".join(map(": ".join, proposed.warnings))
        assert f"# {warning}" in comments
    assert "compared as text" not in "\n".join(again)


@pytest.mark.parametrize(
    "kind",
    ["integer", "text", "varchar(9)", "numeric", "amount2", "interval", "jsonb", "real", "char(3)",
     "uuid", "inet", "bytea", "text[]", "int4range", "tstzrange", "mood", "numeric[]", "timetz"],
)  # fmt: skip
def test_keys_that_are_compared_by_value_are_not_named(
    database: Database, lake: Lake, kind: str
) -> None:
    database.execute(
        "create domain amount2 as numeric(9, 2)",
        "create type mood as enum ('a', 'b')",
        f"create table t (id {kind} primary key, at timestamptz default now())",
    )

    warnings = check_connected(lake.declare("t: {cursor: at}").project).warnings

    assert "compared as text" not in "\n".join(warnings)
