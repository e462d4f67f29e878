"""docs/engines.md: a table made of the conformance reports on record.

To write it after a change: LAKEFEED_WRITE_DOCS=1 pytest tests/docs/test_engines_page.py, or make
docs. To record a report, put the file that `lakefeed check --warehouse --conformance` wrote into
pipelines/lakefeed/conformance/recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lakefeed.conformance.report import ConformanceReport, recorded_reports
from lakefeed.conformance.suite import PROMISES
from lakefeed.transformation.warehouse.clones.engine import NEVER_ON_AN_ACCOUNT

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engines.md"
BEGIN = (
    "<!-- Written by LAKEFEED_WRITE_DOCS=1 pytest tests/docs/test_engines_page.py, from "
    "pipelines/lakefeed/conformance/recorded. -->\n"
)
NAMES = {
    "duckdb": "DuckDB",
    "ducklake": "DuckLake",
    "spark": "Apache Spark",
    "snowflake": "Snowflake",
    "bigquery": "BigQuery",
}
NOT_ON_RECORD = "no report is on record yet"
# `lakefeed check --warehouse` says it as well.
NEVER_RUN = {"snowflake": NEVER_ON_AN_ACCOUNT, "bigquery": NEVER_ON_AN_ACCOUNT}
AREAS = tuple(dict.fromkeys(promise.area for promise in PROMISES))


def table() -> Iterator[str]:
    reports = {report.type: report for report in recorded_reports()}
    yield f"| engine | tested with | on | {' | '.join(AREAS)} |"
    yield "|---" * (3 + len(AREAS)) + "|"
    for type_, name in NAMES.items():
        if report := reports.get(type_):
            outcomes = [outcome(report, area) for area in AREAS]
            adapter = f"{report.engine}, {report.adapter}"
            yield row([name, adapter, f"{report.tested_at:%Y-%m-%d}", *outcomes])
        else:
            yield row([name, NEVER_RUN.get(type_, NOT_ON_RECORD), *[""] * (1 + len(AREAS))])


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def outcome(report: ConformanceReport, area: str) -> str:
    """What a report says of an area, of the promises that it has today."""
    known = {promise.name: promise for promise in report.promises}
    names = [promise.name for promise in PROMISES if promise.area == area]
    kept = [name for name in names if name in known and known[name].is_kept]
    return "passed" if len(kept) == len(names) else f"{len(kept)} of {len(names)}"


def promises() -> Iterator[str]:
    yield "| area | promise |"
    yield "|---|---|"
    for promise in PROMISES:
        yield row([promise.area, promise.name])


def written() -> str:
    return "\n".join(["", *table(), "", "What each area consists of:", "", *promises(), ""])


def test_the_page_shows_the_reports_on_record() -> None:
    told, _, found = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    if "LAKEFEED_WRITE_DOCS" in os.environ:
        PAGE.write_text(f"{told}{BEGIN}{written()}", encoding="utf-8")
        return

    assert found == written(), "write the page anew: make docs"


def test_a_file_and_a_lake_are_on_record_with_every_promise_kept() -> None:
    passed = {report.type for report in recorded_reports() if report.is_passed}

    assert passed >= {"duckdb", "ducklake"}
