"""`enabled: false`: a paused table isn't loaded, and keeps what it has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.project.sync import sync
from lakefeed.site.writing import write_site
from tests.conftest import CONNECTION_VARIABLE, Database, Lake

pytestmark = pytest.mark.builds

ACTIVE = "a: {cursor: at}\nb: {cursor: at, freshness: {error_after: 0s}}"
PAUSED = "a: {cursor: at}\nb: {cursor: at, enabled: false, freshness: {error_after: 0s}}"
BOTH = """
select a.id from {{ ref('stg_shop__a') }} as a left join {{ ref('stg_shop__b') }} as b using (id)
"""


@pytest.fixture
def loaded(database: Database, lake: Lake) -> Lake:
    """Two tables with a row each and a mart of both, built once."""
    for table in "ab":
        database.execute(
            f"create table {table} (id int primary key, at timestamptz default now())",
            f"insert into {table} values (1)",
        )
    mart = lake.root / "dbt/models/marts/both.sql"
    mart.parent.mkdir(parents=True, exist_ok=True)
    mart.write_text(BOTH)
    assert lake.declare(ACTIVE).run().exit_code == 0
    return lake


def add_rows(database: Database, number: int) -> None:
    for table in "ab":
        database.execute(f"insert into {table} values ({number})")


def ids(lake: Lake, relation: str) -> list[object]:
    return [row[0] for row in lake.query(f"select id from {relation} order by id")]


def test_a_paused_table_keeps_its_rows_while_models_below_it_go_on_with_the_others(
    database: Database, loaded: Lake
) -> None:
    add_rows(database, 2)

    report = loaded.declare(PAUSED).run()

    assert (report.exit_code, [table.name for table in report.tables]) == (0, ["shop.a"])
    assert ids(loaded, "staging.stg_shop__b") == [1]
    assert ids(loaded, "marts.both") == [1, 2]


def test_a_table_that_is_enabled_again_goes_on_from_its_checkpoint(
    database: Database, loaded: Lake
) -> None:
    loaded.declare(PAUSED).run()
    add_rows(database, 2)

    report = loaded.declare(ACTIVE).run()

    (b,) = [table for table in report.tables if table.name == "shop.b"]
    assert (b.checkpoint_before is not None, b.rows_written) == (True, 1)
    assert ids(loaded, "staging.stg_shop__b") == [1, 2]


def test_models_held_back_by_a_table_that_fails_are_built_once_it_is_paused(
    database: Database, loaded: Lake
) -> None:
    add_rows(database, 2)
    database.execute("alter table b rename to gone")
    assert loaded.run().exit_code == 1
    assert ids(loaded, "marts.both") == [1]

    assert loaded.declare(PAUSED).run().exit_code == 0

    assert ids(loaded, "marts.both") == [1, 2]


def test_the_catalogue_and_the_staging_model_of_a_paused_table_stay_whatever_the_source_does(
    database: Database, loaded: Lake
) -> None:
    names = ("sources.lock.yaml", "dbt/models/staging/shop/stg_shop__b.sql")
    loaded.declare(PAUSED).run()
    before = [(loaded.root / name).read_text() for name in names]

    database.execute("alter table b add column note text")
    told = [*loaded.run().warnings, *sync(loaded.project).drift]
    database.execute("drop table b")
    told += [*loaded.run().warnings, *sync(loaded.project).drift]

    assert [(loaded.root / name).read_text() for name in names] == before
    assert told == []


@pytest.mark.at_night
def test_a_paused_table_keeps_its_models_if_its_entry_loses_all_other_settings(
    database: Database, loaded: Lake
) -> None:
    database.execute(
        "create table log (id int not null, at timestamptz default now(), note text)",
        "insert into log values (1, default, 'a'), (2, default, 'b')",
    )
    whole = (
        "a: {cursor: at}\n"
        "log: {cursor: at, primary_key: [id], history: true, "
        "columns: {note: {name: remark}}, tests: {columns: {remark: {not_null: true}}}}"
    )
    loaded.declare(f"{whole}\nb: {{cursor: at}}").run()
    database.execute("update log set note = 'c', at = now() where id = 2")
    loaded.declare(f"{whole}\nb: {{cursor: at}}").run()
    rows = ("select * from staging.stg_shop__log", "select * from history.hst_shop__log")
    before = [sorted(loaded.query(query), key=str) for query in rows]
    generated = {path: path.read_text() for path in (loaded.root / "dbt/models").rglob("*shop__*")}
    assert [len(found) for found in before] == [2, 3]

    loaded.declare("a: {cursor: at}\nlog: {enabled: false}\nb: {cursor: at}")
    add_rows(database, 2)
    checked, report = loaded.command("check"), loaded.run()
    states = dict(loaded.query("select table_name, sees_deletes from _lakefeed.tables"))
    shown = json.loads(loaded.command("status", "--json").stdout)
    rebuilt = loaded.command("rebuild")

    assert (checked.returncode, report.exit_code, rebuilt.returncode) == (0, 0, 0), checked
    assert states["shop.log"] is False
    assert [row["checkpoint"] is not None for row in shown] == [True, True, True]
    assert {path: path.read_text() for path in generated} == generated
    changed = [[*row[:-1]] for query in rows for row in sorted(loaded.query(query), key=str)]
    assert changed == [[*row[:-1]] for found in before for row in found]

    (log,) = [table for table in loaded.declare(whole).run().tables if table.name == "shop.log"]
    assert (log.checkpoint_before is not None, log.rows_written) == (True, 0)


def test_a_selection_of_only_paused_tables_is_refused_with_the_line_that_pauses_them(
    loaded: Lake,
) -> None:
    loaded.declare(PAUSED)

    with pytest.raises(DeclarationError) as refused:
        loaded.run("shop.b")

    assert str(refused.value) == (
        "sources.yaml:7: --select shop.b: shop.b is paused (`enabled: false`)\n"
        "  to load it again, remove `enabled: false`"
    )
    assert [table.name for table in loaded.run("shop").tables] == ["shop.a"]


def test_metrics_say_paused_and_nothing_by_which_an_alert_would_fire(
    database: Database, loaded: Lake
) -> None:
    def told(metric: str, table: str) -> list[str]:
        lines = loaded.command("metrics").stdout.splitlines()
        found = [line for line in lines if line.startswith(f"lakefeed_table_{metric}{{")]
        return [line.split()[-1] for line in found if f'table="{table}"' in line]

    database.execute("alter table b rename to gone")
    assert loaded.run().exit_code == 1
    assert told("freshness_limit_seconds", "b") == ["0"]
    assert told("last_run_failed", "b") == ["1"]

    loaded.declare(PAUSED)

    assert (told("paused", "a"), told("paused", "b")) == (["0"], ["1"])
    assert told("freshness_limit_seconds", "b") == []
    assert (told("last_run_failed", "a"), told("last_run_failed", "b")) == (["0"], [])


def test_status_and_the_site_say_paused_and_nothing_of_its_age(loaded: Lake) -> None:
    assert loaded.command("status").returncode == 1
    loaded.declare(PAUSED)

    shown, as_json = loaded.command("status"), loaded.command("status", "--json")
    page = write_site(loaded.project).report.read_text()

    (line,) = [line for line in shown.stdout.splitlines() if "shop.b" in line]
    assert (shown.returncode, line.split()[1]) == (0, "paused")
    assert [row["paused"] for row in json.loads(as_json.stdout)] == [False, True]
    assert ">paused</span>" in page
    assert "shop.b is too late" not in page


def test_checks_and_audits_leave_a_paused_table_out(database: Database, loaded: Lake) -> None:
    loaded.declare(PAUSED)
    database.execute("drop table b")

    checked, audited = loaded.command("check", "--connect"), loaded.command("audit")

    assert (checked.returncode, audited.returncode) == (0, 0), (checked, audited)
    assert "1 table checked: " in checked.stdout
    assert "paused, so not checked: shop.b" in checked.stdout
    assert "shop.b" not in audited.stdout


def test_a_source_whose_tables_are_all_paused_is_not_reached(
    loaded: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.declare(ACTIVE, head="    defaults: {enabled: false}\n")
    monkeypatch.setenv(CONNECTION_VARIABLE, "postgresql://u@127.0.0.1:1/gone")

    report = loaded.run()

    assert (report.exit_code, report.tables) == (0, ())
    assert report.warnings == ("every table is paused (`enabled: false`)",)
    for command in (["sync"], ["check", "--connect"], ["status"]):
        ended = loaded.command(*command)
        assert ended.returncode == 0, ended


def test_a_wildcard_pauses_all_that_it_matches_but_what_is_enabled_by_name(
    database: Database, loaded: Lake
) -> None:
    loaded.declare("'*': {cursor: at, enabled: false}\na: {enabled: true}")
    add_rows(database, 2)

    assert [table.name for table in loaded.run().tables] == ["shop.a"]


def test_the_page_pauses_a_table_as_it_says(database: Database, loaded: Lake) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/adding-a-table.md").read_text()
    (line,) = [line for line in page.splitlines() if line.startswith("      orders: {enabled:")]
    database.execute("create table orders (id int primary key)")

    loaded.declare(f"a: {{cursor: at}}\n{line.strip()}")

    assert [table.name for table in loaded.run().tables] == ["shop.a"]
