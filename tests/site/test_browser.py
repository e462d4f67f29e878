"""The site as a stranger sees it: opened from disk, on a phone and on a desk, light and dark."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from lakefeed.site.writing import write_site
from tests.conftest import Lake, copy_shop_project

CHROMIUM = shutil.which("chromium")
# Root may not use its sandbox; the rest keeps it from looking for its makers' hosts.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DOCS = Path(__file__).resolve().parents[2] / "docs"
WRITES_DOCS = "LAKEFEED_WRITE_DOCS" in os.environ
PHONE, DESK = (390, 844), (1280, 800)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: make test-browser"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report that `make demo` ends with."""
    shop = Lake(copy_shop_project(tmp_path_factory.mktemp("demo") / "shop"))
    ended = shop.process("demo", "--scale", "0.3")
    report = shop.root / "data" / "docs" / "index.html"
    assert f"open it in a browser: {report.as_uri()}" in ended.stdout, ended
    return report


@pytest.fixture(scope="module")
def report(lake: Lake) -> Path:
    """That of a lake with a past, and with hostile names in it."""
    return write_site(lake.project).report


@contextmanager
def opened(
    browser: Browser,
    report: Path,
    size: tuple[int, int] = DESK,
    scheme: str = "light",
    *,
    expected: str = "",
) -> Iterator[Page]:
    """The page, in a browser without a network; whatever goes wrong in it fails the test.

    Args:
        expected: what must go wrong, and nothing else.
    """
    width, height = size
    context = browser.new_context(
        offline=True,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"a dialog: {dialog.message}"))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
        ),
    )
    page.goto(report.as_uri())
    yield page
    context.close()
    assert bool(wrong) == bool(expected)
    assert [one for one in wrong if not expected or not re.search(expected, one)] == []


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_from_disk_without_horizontal_scrolling(
    browser: Browser, report: Path, size: tuple[int, int], scheme: str
) -> None:
    with opened(browser, report, size, scheme) as page:
        expect(page.get_by_role("heading", level=1)).to_have_text("lake")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")

        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        lightness = sum(map(int, ground.removeprefix("rgb(").rstrip(")").split(",")))
        assert (lightness < 200) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser: Browser, report: Path, scheme: str) -> None:
    """By WCAG 2 AA: 4.5 to 1."""
    with opened(browser, report, scheme=scheme) as page:
        contrasts = page.evaluate(_CONTRASTS)

    assert len(contrasts) > 100
    assert [one for one in contrasts if one["ratio"] < 4.5] == []


def test_a_column_can_be_found_and_followed_to_a_mart_and_back(
    browser: Browser, demo: Path
) -> None:
    with opened(browser, demo) as page:
        page.get_by_label("Find a column, table or model").fill("shop.orders total")
        column = page.locator("[id='table-shop.orders.total']")
        expect(column).to_be_visible()
        expect(page.locator("[id='table-shop.countries']")).to_be_hidden()

        column.get_by_role("link", name="fct_order.order_total", exact=True).click()
        mart = page.locator("[id='model-fct_order.order_total']")
        expect(mart).to_be_in_viewport()
        mart.get_by_role("link", name="shop.orders.total", exact=True).click()
        expect(column).to_be_in_viewport()


def test_the_graph_links_to_tables_and_models(browser: Browser, demo: Path) -> None:
    with opened(browser, demo) as page:
        page.get_by_text("Graph of tables and models").click()
        page.locator("svg.graph a", has_text="dim_customer").click()

        expect(page.locator("[id='model-dim_customer']")).to_have_attribute("open", "")
        expect(page.locator("[id='model-dim_customer.full_name']")).to_be_in_viewport()


def test_the_dbt_docs_open_at_a_model_and_link_back(browser: Browser, demo: Path) -> None:
    with opened(browser, demo) as page:
        page.locator("#models tr", has_text="fct_order_line").get_by_role(
            "link", name="dbt docs"
        ).click()
        expect(page.get_by_role("heading", name="fct_order_line")).to_be_visible()
        expect(page.get_by_text("One row per order line.").first).to_be_visible()

        page.get_by_role("link", name="← Report").click()
        expect(page.get_by_role("heading", name="Lineage")).to_be_attached()


def test_hostile_names_are_escaped_in_the_dbt_docs(browser: Browser, report: Path) -> None:
    """It shows descriptions as HTML: what they ask for is blocked, their scripts included."""
    blocked = "violates the following Content Security Policy|failed: file:.*/x$"
    with opened(browser, report.with_name("dbt.html"), expected=blocked) as page:
        page.goto(f"{page.url.split('#')[0]}#!/model/model.warehouse.stg_shop__hostile")
        expect(page.get_by_role("heading", name="stg_shop__hostile")).to_be_visible()


def test_the_screenshots_of_the_documentation_are_current(
    browser: Browser, report: Path, demo: Path
) -> None:
    """Written where `make docs` asks for them."""
    with opened(browser, demo, (1280, 1000)) as page:
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
        if WRITES_DOCS:
            page.screenshot(path=DOCS / "report.png")
    with opened(browser, report, PHONE, "dark") as page:
        page.locator("[id='late-shop.orders']").scroll_into_view_if_needed()
        if WRITES_DOCS:
            page.screenshot(path=DOCS / "report-phone.png")


# For each piece of text: its colour against the nearest ground that isn't transparent.
_CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((one) => one / 255)
    .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *:not(script):not(svg *)")) {
    const own = [...element.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push({ text: element.textContent.trim().slice(0, 40), ratio });
  }
  return found;
}"""
