"""`lakefeed docs` on a small lake with a past."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

from lakefeed.errors import Refused, TableFailed
from lakefeed.orchestration.inspect.overview import Overview, overview
from lakefeed.orchestration.reports.lateness import advice_on
from lakefeed.orchestration.reports.run_history import keep_run
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.site.page import render
from lakefeed.site.writing import Site, write_site
from lakefeed.transformation.lineage.project_lineage import read_lineage
from lakefeed.transformation.warehouse.duckdb_file.open_file import writing
from tests.conftest import Lake
from tests.site.conftest import CANARY


@pytest.fixture(scope="module")
def site(lake: Lake) -> Site:
    return write_site(lake.project)


@pytest.fixture(scope="module")
def page(site: Site) -> str:
    return site.report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def seen(lake: Lake, site: Site) -> Overview:
    return overview(lake.project, dt.datetime.now(dt.UTC))


def test_late_rows_are_counted_by_delay(seen: Overview) -> None:
    """One came two hours late: with a lookback of half an hour no load ever reads it."""
    (late,) = [one.lateness for one in seen.tables if one.table.shown == "shop.orders"]
    assert late is not None

    assert (late.late, late.longest) == (3, dt.timedelta(minutes=14))
    assert " ".join(advice_on(late)) == (
        "All 3 late rows arrived within 14 min; the lookback is 30 min. 15 min would have been "
        "enough. With 10 min, 2 rows would have been missed."
    )


def test_rows_covered_by_the_horizon_need_no_lookback(lake: Lake, seen: Overview) -> None:
    """The row of the transaction that was open came one load later than one that is newer."""
    (late,) = [one.lateness for one in seen.tables if one.table.shown == "shop.held"]
    assert late is not None
    loaded = [row[0] for row in lake.query("select id from staging.stg_shop__held order by 1")]

    assert loaded == [1, 2, 3]
    assert (late.loads, late.late) == (2, 0)


def test_each_run_is_listed_with_its_results(seen: Overview, page: str) -> None:
    assert [run.command for run in seen.runs] == ["run"] * 4
    assert [run.exit_code for run in seen.runs] == [1, 0, 0, 1]
    assert seen.runs[0].rows == 52
    assert "gone.things" in page


def test_schema_changes_name_the_load_that_detected_them(seen: Overview) -> None:
    (change,) = seen.changes
    (orders,) = [one for one in seen.tables if one.table.shown == "shop.orders"]

    assert (change.table, change.kind, change.column) == ("shop.orders", "added", "note")
    assert change.load_id in [load.load_id for load in orders.loads[1:]]


def test_a_test_with_a_warning_links_to_its_failing_rows(seen: Overview, page: str) -> None:
    worst = seen.test_results[0].test

    assert (worst.name, worst.status) == ("shop__orders__status__accepted_values", "warn")
    assert "select * from test_failures.shop__orders__status__accepted_values" in page


def test_a_table_past_its_freshness_bound_needs_attention(page: str) -> None:
    first = page.split('id="attention"', 1)[1].split("</section>", 1)[0]

    assert "shop.orders is too late" in first
    assert "the last run partly failed: gone.things" in first


def test_column_lineage_leads_to_the_marts_and_back(page: str) -> None:
    assert '<a href="#model-fct_orders.twice">' in page
    assert 'id="model-fct_orders.twice"' in page
    assert '<a href="#table-shop.orders.total">' in page
    assert 'id="table-shop.orders.total"' in page


def test_names_and_messages_are_escaped(page: str) -> None:
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in page
    assert page.count("<script>") == 1


def test_a_description_can_not_end_the_script_of_the_dbt_docs(lake: Lake, site: Site) -> None:
    text = (site.report.parent / "dbt.html").read_text(encoding="utf-8")

    assert "stg_shop__hostile" in text
    assert "<script>alert" not in text
    assert text.count("</script>") == 1


def test_no_file_of_the_lake_contains_a_secret(lake: Lake, site: Site) -> None:
    files = [*site.report.parent.iterdir(), *(lake.root / "data" / "runs").iterdir()]

    assert len(files) == 6
    assert [file.name for file in files if CANARY in file.read_text(encoding="utf-8")] == []


def test_the_site_makes_no_network_requests(page: str, site: Site) -> None:
    """What links there are name no host; dbt's page may fetch nothing (test_browser.py looks)."""
    assert "://" not in page
    dbt_page = (site.report.parent / "dbt.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in dbt_page[:1000]


def test_the_site_is_replaced_as_a_whole_without_leftovers(lake: Lake, site: Site) -> None:
    (site.report.parent / "dbt.html").write_text("an old one")

    again = write_site(lake.project)

    assert sorted(path.name for path in site.report.parent.iterdir()) == ["dbt.html", "index.html"]
    assert "an old one" not in (again.report.parent / "dbt.html").read_text(encoding="utf-8")
    assert [path for path in (lake.root / "data").iterdir() if path.name.startswith(".docs")] == []


def test_a_folder_with_other_files_is_not_replaced(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")

    with pytest.raises(Refused, match="contains files that aren't part of this site"):
        write_site(lake.project, tmp_path)

    assert (tmp_path / "precious").read_text() == "mine"


def test_a_locked_warehouse_is_reported_and_the_rest_is_shown(lake: Lake, tmp_path: Path) -> None:
    with writing(lake.project.warehouse):
        ended = lake.command("docs", "--output", str(tmp_path / "site"))

    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert ended.returncode == 1
    assert "the warehouse can&#39;t be opened" in page.replace("’", "&#39;")
    assert "shop.orders" in page
    assert not (tmp_path / "site" / "dbt.html").exists()


def test_a_missing_raw_file_is_reported_and_the_rest_is_shown(lake: Lake) -> None:
    lost = lake.files("shop__orders")[-1]
    aside = lost.rename(lost.with_suffix(".aside"))
    seen = overview(lake.project, dt.datetime.now(dt.UTC))
    aside.rename(lost)

    assert "No files found" in seen.tables[0].unread
    assert seen.tables[0].lateness is None
    assert seen.tables[1].lateness is not None


def test_writing_the_site_leaves_readers_and_run_files_alone(lake: Lake, tmp_path: Path) -> None:
    files = [lake.project.warehouse, *(lake.root / "dbt" / "target").glob("*.*")]
    before = [(file.stat().st_mtime_ns, file.stat().st_ino) for file in files]

    write_site(lake.project, tmp_path / "site")

    assert [(file.stat().st_mtime_ns, file.stat().st_ino) for file in files] == before


def test_messages_of_runs_are_escaped(tmp_path: Path) -> None:
    project = Lake(tmp_path).declare("orders: {mode: full_refresh}").project
    wrong = TableFailed("<script>alert(3)</script> isn't there", do='<a href="x">')
    report = RunReport((TableReport("<b>", "shop__orders", "failed", error=wrong),))
    keep_run(project.data, "run", dt.datetime.now(dt.UTC), report)

    page = render(overview(project, dt.datetime.now(dt.UTC)), read_lineage(project))

    assert "&lt;script&gt;alert(3)" in page
    assert not re.search("<script>alert|<b><|<a href=.x", page)


def test_an_empty_lake_explains_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(
        "version: 1\nsources:\n  shop:\n    connection: ${X}\n"
        "    tables: {orders: {mode: full_refresh}}\n"
    )
    project = Lake(tmp_path).project

    page = render(overview(project, dt.datetime.now(dt.UTC)), read_lineage(project), lacks_dbt="so")

    for text in ("No runs yet", "No warehouse yet", "No test results yet", "not loaded yet"):
        assert text in page
