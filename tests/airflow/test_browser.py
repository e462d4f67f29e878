"""Airflow's web page in a browser: log in, view the graph, trigger one table, see it succeed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from lakefeed.demo.local_stack import free_port
from tests.airflow.api import Api, eventually
from tests.airflow.conftest import running, said
from tests.conftest import Lake

CHROMIUM = shutil.which("chromium")
# Chromium refuses its sandbox to root; the other flags keep it from calling its vendor's hosts.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SCREENSHOTS = Path(__file__).resolve().parents[2] / "docs"
WRITES_DOCS = "LAKEFEED_WRITE_DOCS" in os.environ

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: make test-browser"),
]


@pytest.fixture
def airflow_page(shop: Lake) -> Iterator[tuple[Page, Api]]:
    """Airflow's web page in a browser, not logged in, and the API."""
    port = free_port()
    with running(shop, port) as process, sync_playwright() as playwright:
        said(process)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 860})
        page.set_default_timeout(60_000)
        api = Api(f"http://127.0.0.1:{port}", shop.root / ".airflow")
        api.log_in()
        yield page, api
        browser.close()


def keep(page: Page, name: str) -> None:
    """When documentation is written, keeps a screenshot of the page."""
    if WRITES_DOCS:
        page.screenshot(path=SCREENSHOTS / name)


def test_a_user_triggers_one_table_with_the_form_and_sees_it_succeed(
    airflow_page: tuple[Page, Api],
) -> None:
    page, api = airflow_page
    eventually(lambda: api.has_ended("scheduled"))

    page.goto(api.url)
    page.locator("input[name=username]").fill("admin")
    page.locator("input[type=password]").fill(api.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_test_id("nav-dags-link").wait_for()

    page.goto(f"{api.url}/dags/de_batch_pipeline")
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_test_id("expand-all-button").first.click()
    for node in ("shop__orders", "build_staging", "build_marts", "publish", "report"):
        expect(page.get_by_test_id(f"rf__node-{node}")).to_be_visible()

    page.get_by_test_id("trigger-dag-button").click()
    tables = page.get_by_role("combobox", name="Select one or multiple values")
    tables.fill("shop.orders")
    tables.press("Enter")
    keep(page, "airflow-form.png")
    page.get_by_role("dialog").get_by_role("button", name="Trigger", exact=True).click()

    page.wait_for_url("**/runs/manual__*")
    eventually(lambda: api.has_ended("manual"))
    badge = page.get_by_test_id("header-card").get_by_test_id("state-badge")
    expect(badge.first).to_have_text("Success", timeout=60_000)
    page.wait_for_load_state("networkidle")
    keep(page, "airflow-run.png")
    states = api.task_states("manual")
    assert {name for name, state in states.items() if state == "skipped"} >= {"shop__customers"}
    assert {states[name] for name in ("shop__orders", "report")} == {"success"}
    assert api.runs("manual")[-1]["conf"]["tables"] == ["shop.orders"]
