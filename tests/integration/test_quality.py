"""Declared tests: what they find and hold back, what they report, and where failing rows are."""

from __future__ import annotations

import json

import duckdb
import pytest

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.checks.check import check
from lakefeed.orchestration.project.sync import sync
from lakefeed.transformation.dbt_adapter.runner import NodeResult
from lakefeed.transformation.targets.ducklake import lake_of, opened
from tests.conftest import Database, Lake, failure

pytestmark = pytest.mark.builds

SHOP = (
    "create table customers (id int primary key, at timestamptz not null default now())",
    "create table orders (id int primary key, customer int, status text, total numeric(9, 2), "
    "weight numeric, at timestamptz not null default now())",
    "insert into customers values (1), (2)",
    "insert into orders values (1, 1, 'placed', 5, 1.5), (2, 2, 'paid', 7, 10.5)",
)
DECLARED = """
customers: {cursor: at}
orders:
  cursor: at
  tests:
    columns:
      customer: {relationships: shop.customers.id}
      status: {not_null: true, accepted_values: [placed, paid]}
      total: {range: {min: 0, max: 99.5}, unique: true}
      weight: {range: {max: 20}}
    expressions: {is_worth_its_weight: total > weight::double or status = 'paid'}
    rows: {min: 1, max: 3}
"""


def results(lake: Lake) -> dict[str, NodeResult]:
    """The declared tests of the newest run, by name without the table."""
    report = lake.run()
    assert report.build is not None, report.failures[0].error
    prefix = "shop__orders__"
    nodes = {node.name: node for node in report.build.nodes if node.kind == "test"}
    return {n.removeprefix(prefix): node for n, node in nodes.items() if n.startswith(prefix)}


def failed(nodes: dict[str, NodeResult]) -> set[str]:
    return {name for name, node in nodes.items() if node.failed}


@pytest.mark.on_ducklake
def test_each_declared_test_becomes_a_dbt_test_and_passes_on_valid_rows(
    database: Database, lake: Lake
) -> None:
    database.execute(*SHOP)

    nodes = results(lake.declare(DECLARED))

    assert {name: node.status for name, node in nodes.items()} == dict.fromkeys(
        (
            *("customer__relationships", "status__not_null", "status__accepted_values"),
            *("total__unique", "total__range", "weight__range", "rows"),
            "is_worth_its_weight__expression",
        ),
        "pass",
    )


@pytest.mark.by_day(3)
@pytest.mark.on_ducklake(at_night=True)
@pytest.mark.parametrize(
    ("row", "broken"),
    [
        ("3, 9, 'paid', 1, 1", {"customer__relationships"}),
        ("3, 1, 'lost', 2, 1", {"status__accepted_values"}),
        ("3, 1, null, 2, 1", {"status__not_null"}),
        ("3, 1, 'paid', -1, 1", {"total__range"}),
        ("3, 1, 'paid', 99.51, 1", {"total__range"}),
        ("3, 1, 'paid', 7, 1", {"total__unique"}),
        ("3, 1, 'paid', 1, 100", {"weight__range"}),
        ("3, 1, 'placed', 1, 2", {"is_worth_its_weight__expression"}),
        ("3, null, 'paid', null, null", set()),
        ("3, 1, 'paid', 99.5, 20), (4, 1, 'paid', 2, 1", {"rows"}),
    ],
)
def test_an_invalid_row_fails_exactly_the_expected_test(
    database: Database, lake: Lake, row: str, broken: set[str]
) -> None:
    database.execute(*SHOP, f"insert into orders values ({row})")

    assert failed(results(lake.declare(DECLARED))) == broken


@pytest.mark.on_ducklake(at_night=True)
def test_a_failed_test_names_its_line_and_stores_its_failing_rows(
    database: Database, lake: Lake
) -> None:
    database.execute(*SHOP, "insert into orders values (3, 1, 'lost', 1, 1)")
    folder = lake.root / "dbt/models/marts"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "of_orders.sql").write_text("select * from {{ ref('stg_shop__orders') }}")

    ended = lake.declare(DECLARED).command("run")

    line = lake.root.joinpath("sources.yaml").read_text().split("\n").index(
        "            status: {not_null: true, accepted_values: [placed, paid]}"
    )  # fmt: skip
    test = "shop__orders__status__accepted_values"
    kept_in = "data/lake" if lake.warehouse else "data/warehouse_test_failures.duckdb"
    assert ended.returncode == 1
    assert (
        f"  failed: {test}: Got 1 result, configured to fail if != 0 (sources.yaml:{line + 1}); "
        f"see its rows in {kept_in}: select * from test_failures.{test}\n"
    ) in ended.stdout
    assert failing(lake, test, "id, status") == [(3, "lost")]
    assert lake.query("from information_schema.tables where table_name = 'of_orders'") == []


@pytest.mark.on_ducklake(at_night=True)
def test_failing_rows_of_the_latest_run_are_stored_even_if_nothing_is_published(
    database: Database, lake: Lake
) -> None:
    database.execute(*SHOP, "insert into orders values (3, 1, 'lost', 1, 1)")
    lake.declare(
        "orders: {cursor: at, tests: {columns: {status: {accepted_values: [placed, paid]}}}}"
    )
    test = "shop__orders__status__accepted_values"
    assert not lake.run().published_at
    database.execute("insert into orders values (4, 1, 'stolen', 1, 1)")

    assert not lake.run().published_at
    assert failing(lake, test, "id, status") == [(3, "lost"), (4, "stolen")]

    database.execute("update orders set status = 'paid', at = now()")
    assert lake.run().published_at
    assert list(lake.root.glob("data/*test_failures*")) == []
    assert lake.query("from duckdb_tables() where schema_name = 'test_failures'") == []


@pytest.mark.on_ducklake(at_night=True)
def test_failing_rows_of_a_removed_test_are_dropped(database: Database, lake: Lake) -> None:
    database.execute(*SHOP, "insert into orders values (3, 1, 'lost', 1, 1)")
    both = "orders: {cursor: at, tests: {columns: {status: {accepted_values: [placed]}}%s}}"
    lake.declare(both % ", rows: {max: 1}").run()
    assert failing(lake, "shop__orders__rows", "rows_found") == [(3,)]

    lake.declare(both % "").run()

    with pytest.raises(duckdb.CatalogException):
        failing(lake, "shop__orders__rows", "rows_found")


def failing(lake: Lake, test: str, columns: str) -> list[tuple[object, ...]]:
    """The stored failing rows of a test."""
    if lake.warehouse:
        with opened(lake_of(lake.project)) as session:
            query = f"select {columns} from test_failures.{test} order by 1"
            return session.execute(query).fetchall()
    with duckdb.connect(
        lake.root / "data" / "warehouse_test_failures.duckdb", read_only=True
    ) as session:
        return session.execute(f"select {columns} from test_failures.{test} order by 1").fetchall()


@pytest.mark.on_ducklake(at_night=True)
def test_a_warning_is_reported_and_leaves_the_exit_code_at_0(
    database: Database, lake: Lake
) -> None:
    database.execute(*SHOP, "insert into orders values (3, 1, 'lost', 1, 1)")
    lake.declare(
        "orders: {cursor: at, tests: {columns: {status: "
        "{accepted_values: [placed, paid], severity: warn}}}}"
    )

    ended = lake.command("run", "--json")

    (node,) = [n for n in json.loads(ended.stdout)["build"] if n["status"] == "warn"]
    assert ended.returncode == 0
    assert node["where"] == "sources.yaml:6"
    assert (lake.root / node["rows_in"]).exists()
    assert failing(lake, node["stored_in"][1], "id") == [(3,)]


@pytest.mark.on_ducklake(at_night=True)
def test_new_rows_are_checked_from_the_second_build_on(database: Database, lake: Lake) -> None:
    database.execute(*SHOP)
    lake.declare("orders: {cursor: at, tests: {new_rows: {max: 1}}}")
    assert failed(results(lake)) == set()
    database.execute("insert into orders (id) values (3)")
    assert failed(results(lake)) == set()
    database.execute("insert into orders (id) values (4), (5)")

    assert failed(results(lake)) == {"new_rows"}
    assert failing(lake, "shop__orders__new_rows", "rows_found") == [(2,)]


@pytest.mark.on_ducklake(at_night=True)
def test_rows_marked_as_deleted_are_not_tested(database: Database, lake: Lake) -> None:
    database.execute(*SHOP, "insert into orders values (3, 1, 'lost', 1, 1)")
    lake.declare(
        "orders: {cursor: at, deletes: mark, max_shrink: 50%, "
        "tests: {rows: {max: 2}, columns: {status: {accepted_values: [placed, paid]}}}}"
    )
    assert failed(results(lake)) == {"rows", "status__accepted_values"}
    database.execute("delete from orders where id = 3")

    assert failed(results(lake)) == set()
    assert lake.query("select count(*) from staging.stg_shop__orders") == [(3,)]


@pytest.mark.on_ducklake(at_night=True)
def test_default_tests_apply_to_tables_without_their_own(database: Database, lake: Lake) -> None:
    database.execute(*SHOP, "create table notes (id int primary key, at timestamptz)")
    head = "    defaults: {cursor: at, tests: {rows: {min: 1, severity: warn}}}\n"
    lake.declare("customers:\norders: {tests: {rows: {max: 9}}}\nnotes:", head=head)

    ended = lake.command("run", "--json")

    build = json.loads(ended.stdout)["build"]
    nodes = {node["name"]: (node["status"], node["where"]) for node in build}
    assert ended.returncode == 0
    assert nodes["shop__notes__rows"] == ("warn", "sources.yaml:5")
    assert nodes["shop__customers__rows"] == ("pass", "sources.yaml:5")
    assert nodes["shop__orders__rows"] == ("pass", "sources.yaml:8")


ODD = ("MixedCase", "größe", "a b", "a-b", "a'b", "{{ x }}", "dot.ted", "100%")


@pytest.mark.on_ducklake(at_night=True)
def test_columns_with_odd_names_are_tested(database: Database, lake: Lake) -> None:
    columns = ", ".join(f'"{name}" text' for name in ODD)
    database.execute(
        f"create table orders (id int primary key, {columns})",
        "insert into orders (id) values (1)",
    )
    tests = {name: {"not_null": True, "accepted_values": ["it's", "{{ y }}"]} for name in ODD}
    lake.declare(f"orders: {json.dumps({'mode': 'full_refresh', 'tests': {'columns': tests}})}")

    nodes = results(lake)

    assert len(nodes) == 2 * len(ODD)
    assert failed(nodes) == {name for name in nodes if name.endswith("not_null")}


class TestUnfit:
    """Invalid tests."""

    WRONG = """
customers: {cursor: at}
orders:
  cursor: at
  tests:
    columns:
      stauts: {not_null: true}
      customer: {relationships: shop.customers.ids}
    expressions: {total: total >= 0; drop table x}
"""
    TOLD = (
        "sources.yaml:11:13: `tests` of shop.orders names column `stauts`, which isn't in staging; "
        "did you mean `status`?",
        "sources.yaml:12:39: `relationships` names column `ids`, which isn't in staging of "
        "shop.customers; did you mean `id`?",
        "sources.yaml:13:32: the condition `total` is invalid: it contains more than one statement",
    )

    def test_sync_and_check_tell_them_all_with_their_places(
        self, database: Database, lake: Lake
    ) -> None:
        database.execute(*SHOP)
        lake.declare(self.WRONG)

        with pytest.raises(DeclarationError) as raised:
            sync(lake.project)

        assert tuple(str(raised.value).splitlines()) == self.TOLD
        assert tuple(map(str, check(lake.project).errors)) == self.TOLD

    def test_a_load_fails_by_name_and_leaves_the_others_loading(
        self, database: Database, lake: Lake
    ) -> None:
        database.execute(*SHOP)

        report = lake.declare(self.WRONG).run()

        assert report.exit_code == 1
        assert failure(report).startswith(
            "sources.yaml:11: the tests of shop.orders are invalid: `tests` of shop.orders "
            "names column `stauts`"
        )
        assert lake.query("select count(*) from staging.stg_shop__customers") == [(2,)]

    def test_a_tested_column_that_leaves_the_source_stops_its_table_alone(
        self, database: Database, lake: Lake
    ) -> None:
        database.execute(*SHOP)
        assert lake.declare(DECLARED).run().exit_code == 0
        database.execute(
            "alter table orders drop column status", "insert into customers values (3)"
        )

        report = lake.run()

        assert "names column `status`, which isn't in staging" in failure(report)
        assert lake.query("select count(*) from staging.stg_shop__customers") == [(3,)]
