"""`flatten`: typed columns of staging from values in JSON, whose text raw keeps."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.project.sync import sync
from tests.conftest import Database, Lake, failure

pytestmark = pytest.mark.builds

EVENTS = (
    "create table events (id int primary key, doc jsonb, odd json, at timestamptz default now())",
    """insert into events values (1, '{"customer_id": 7, "address": {"city": "R\\u012bga"},
    "total": 12345678901234567890.123, "items": [{"sku": "a"}], "say \\"hi\\"": "yes"}',
    '{"a": 1,"a": 2.50}'), (2, '{"customer_id": null, "total": 1e3}', null), (3, null, '[]')""",
)
DOC = (
    'doc: {flatten: {customer_id: bigint, address.city: text, total: "numeric(38,3)", '
    '"items[0].sku": text, \'"say ""hi"""\': text, items: jsonb}}'
)
COLUMNS = f"{DOC}, odd: {{flatten: {{a: text}}}}"
NAMES = "doc__customer_id, doc__address__city, doc__total, doc__items__0__sku, odd__a"
FROM = "from staging.stg_shop__events order by id"


def declared(columns: str = COLUMNS, more: str = "") -> str:
    return f"events: {{cursor: at, deletes: remove, history: true, columns: {{{columns}}}{more}}}"


@pytest.mark.on_ducklake(at_night=True)
def test_staging_and_history_have_the_values_and_raw_has_the_text(
    database: Database, lake: Lake
) -> None:
    database.execute(*EVENTS)
    tests = ", tests: {columns: {doc__customer_id: {range: {min: 1}}}}"
    lake.declare(declared(more=tests))
    first = lake.run()
    assert first.exit_code == 0, [str(table.error) for table in first.failures]
    database.execute(
        """update events set doc = '{"customer_id": 8}', at = clock_timestamp() where id = 1""",
        """insert into events (id, doc) values (4, '{"total": 0.001}')""",
    )

    again = lake.run()

    assert again.exit_code == 0, again.build
    assert lake.query(f"select {NAMES} {FROM}") == [
        (8, None, None, None, "2.50"),
        (None, None, Decimal("1000.000"), None, None),
        (None, None, None, None, None),
        (None, None, Decimal("0.001"), None, None),
    ]
    assert lake.query(
        f'select {NAMES}, doc__items::varchar, "doc__say _hi_" from history.hst_shop__events'
        " where id = 1 and not is_current"
    ) == [(7, "Rīga", Decimal("12345678901234567890.123"), "a", "2.50", '[{"sku": "a"}]', "yes")]
    assert ('{"a": 1,"a": 2.50}',) in lake.raw("shop__events", "odd")
    assert audit(lake.project, ()).tables[0].findings == ()


def test_an_edit_fills_the_columns_of_all_rows_without_reading_one(
    database: Database, lake: Lake
) -> None:
    database.execute(*EVENTS)
    lake.declare(declared("odd: {flatten: {a: text, b: text}}"))
    lake.run()
    lake.declare(declared())

    edited = lake.run()

    assert edited.exit_code == 0
    assert edited.tables[0].rows_written == 0
    assert lake.query(f"select doc__customer_id, odd__a {FROM}") == [
        *((7, "2.50"), (None, None), (None, None)),
    ]
    present = {row[0] for row in lake.query("describe from staging.stg_shop__events")}
    assert "odd__b" not in present
    lake.declare(declared("doc: {name: d, flatten: {customer_id: text}}"))
    assert lake.run().exit_code == 0
    assert lake.query(f"select d__customer_id {FROM}") == [("7",), (None,), (None,)]
    lake.declare("events: {cursor: at}")
    assert lake.run().exit_code == 0
    present = {row[0] for row in lake.query("describe from staging.stg_shop__events")}
    assert present == {"id", "doc", "odd", "at", "_dlt_load_id", "_staged_batch"}


def test_a_value_that_is_not_exact_stops_the_build_with_its_row_until_it_is_mended(
    database: Database, lake: Lake
) -> None:
    database.execute(*EVENTS)
    database.execute("""insert into events values (5, '{"customer_id": 1.5}')""")
    lake.declare(declared("doc: {flatten: {customer_id: bigint}}"))

    stopped = lake.run()

    assert stopped.exit_code == 1
    told = json.dumps(stopped.as_json())
    assert "column doc__customer_id holds a value that isn't exact as BIGINT" in told
    assert "in the row with id = 5" in told
    lake.declare(declared('doc: {flatten: {customer_id: "numeric(9,1)"}}'))
    assert lake.run().exit_code == 0
    assert (Decimal("1.5"),) in lake.query(f"select doc__customer_id {FROM}")


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (
            "note: {flatten: {a: text}}",
            "sources.yaml:{line}: `columns` of shop.notes flattens `note`, which is text in the "
            "source, not json or jsonb; remove its `flatten`, or declare `type: json` if it is "
            "text that holds JSON",
        ),
        (
            "doc: {flatten: {a: text}}",
            "sources.yaml:{line}: `columns` of shop.notes flattens `a` of `doc` to `doc__a`, the "
            "name of `DOC__A` in staging; give `doc` another `name`, or remove the path",
        ),
    ],
)
def test_a_column_that_cannot_be_flattened_is_told_with_its_place(
    database: Database, lake: Lake, columns: str, told: str
) -> None:
    database.execute('create table notes (id int primary key, doc json, note text, "DOC__A" int)')
    lake.declare(f"notes: {{mode: full_refresh, columns: {{{columns}}}}}")
    (line,) = (
        f"{number}:{text.index('columns: {') + 11}"
        for number, text in enumerate((lake.root / "sources.yaml").read_text().splitlines(), 1)
        if "columns: {" in text
    )

    with pytest.raises(DeclarationError) as raised:
        sync(lake.project)
    failed = failure(lake.run())

    assert str(raised.value) == told.replace("{line}", line)
    assert told.partition(": ")[2] in str(failed)


def test_text_that_holds_json_is_flattened_as_json(database: Database, lake: Lake) -> None:
    database.execute(
        "create table notes as select 1 as id, '{\"a\": [1.10]}'::text as note",
    )
    lake.declare("notes: {mode: full_refresh, columns: {note: {type: json, flatten: {a: jsonb}}}}")

    assert lake.run().exit_code == 0

    assert lake.query("select note__a::varchar from staging.stg_shop__notes") == [("[1.10]",)]
