"""Types: PostgreSQL's `col::text` can be restored from staging, or the load stops.

One table holds a column for each type with awkward values, and a view shows the same rows, so that
both ways of telling an unchanged row from a changed one meet every type.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakefeed.conformance.values import CASES, fill
from lakefeed.loading.sessions import duckdb_engine
from lakefeed.orchestration.checks.check import check_connected
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.source.inspection.types import lake_type
from lakefeed.source.staged_form import staged_form
from lakefeed.transformation.dbt_adapter.spark.types import holds_infinity, spark_type
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
    with closing(database.connect()) as session:
        lacking = fill(session, "catalogue")
    database.execute("create view shown as select * from catalogue")
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

    assert f"shop.t: column amount {reason}" in failure(report)
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
- [Spark](spark.md) has all these values in its own types, except infinite times: such a value stops
  its model, with the column's name (`tests/spark/test_types.py`).

| PostgreSQL | raw and staging | on Spark | for example |
|---|---|---|---|
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
        on_spark = f"`{spark_type(kind.duckdb)}`"
        if not holds_infinity(kind.duckdb):
            on_spark += ", without infinity"
        domain = f", a domain over `{types[name]}`" if name.startswith("domain") else ""
        yield f"| `{one.type}`{domain} | {kept} | {on_spark} | {_example(loaded, name)} |\n"


def _example(loaded: Loaded, name: str) -> str:
    """The longest of its values that a line can show."""
    texts = [text for _, text in loaded.raw.get(name, []) if text and text.isprintable()]
    short = [text for text in texts if len(text) <= 40 and not set(text) & set("`|")]
    return f"`{max(short, key=lambda text: (len(text), text)).strip()}`" if short else ""
