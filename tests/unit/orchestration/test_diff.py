"""Each file in `edits/` has a declaration before and now, and the expected output as comments."""

from __future__ import annotations

import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from lakefeed.declaration.models.declaration import Airflow, Raw, SourceDeclaration, Warehouse
from lakefeed.declaration.models.table_settings import TableDeclaration
from lakefeed.declaration.models.wal import WalSettings
from lakefeed.declaration.project import Project, open_project
from lakefeed.orchestration.impact.change_impact import DESCRIBED_BY_NEXT_RUN
from lakefeed.orchestration.impact.diff import DiffReport, report_of
from lakefeed.orchestration.impact.git_revision import Revision
from lakefeed.render.diff import render_diff
from lakefeed.transformation.dbt_adapter.state_diff import Comparison
from lakefeed.transformation.generate.generated_files import stale_files, write_generated

FOLDER = Path(__file__).with_name("edits")
EDITS = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "sources.lock.yaml")
NOW, EXPECTED = "\n# now\n", "\n# expected\n"


def project(declared: str, folder: Path) -> Project:
    folder.mkdir(parents=True)
    (folder / "sources.yaml").write_text(declared, encoding="utf-8")
    shutil.copy(FOLDER / "sources.lock.yaml", folder)
    return open_project(folder)


def before_and_now(file: Path, folder: Path) -> tuple[Project, Project]:
    before, _, rest = file.read_text(encoding="utf-8").partition(NOW)
    now, _, _ = rest.partition(EXPECTED)
    return project(before, folder / "before"), project(now, folder / "now")


def report(file: Path, folder: Path) -> DiffReport:
    before, now = before_and_now(file, folder)
    return report_of(Revision("main", "0123456789", before), now, Comparison())


@pytest.mark.parametrize("file", EDITS, ids=lambda file: file.stem)
def test_describes_each_edit_as_expected(file: Path, tmp_path: Path) -> None:
    lines = "\n".join(render_diff(report(file, tmp_path))).splitlines()

    _, _, expected = file.read_text(encoding="utf-8").partition(EXPECTED)
    assert lines == [line.removeprefix("#").removeprefix(" ") for line in expected.splitlines()]


def test_every_setting_is_covered_by_an_edit(tmp_path: Path) -> None:
    reports = [report(file, tmp_path / file.stem) for file in EDITS]
    of_tables = [change for r in reports for table in r.tables for change in table.settings]
    of_files = [change for r in reports for change in r.settings]

    assert {change.setting.partition(".")[0] for change in of_tables} == {
        *TableDeclaration.model_fields,
        "relation",
    }
    assert {change.setting for change in of_files} == {
        *(f"raw.{name}" for name in Raw.model_fields),
        *(f"warehouse.{name}" for name in Warehouse.model_fields),
        *(f"airflow.{name}" for name in Airflow.model_fields),
        "notify",
        *("sources.shop.connection", "sources.shop.schema", "sources.shop.max_connections"),
        *(f"sources.shop.wal.{field.name}" for field in fields(WalSettings)),
    }
    assert len(SourceDeclaration.model_fields) == len(
        {"connection", "schema", "max_connections", "wal", "defaults", "tables"}
    )
    without_meaning = {change.setting for change in of_tables + of_files if not change.means}
    of_columns = {setting for setting in without_meaning if setting.startswith("columns.")}
    assert without_meaning - of_columns == set(DESCRIBED_BY_NEXT_RUN)


def test_a_changed_retention_leaves_generated_files_up_to_date(tmp_path: Path) -> None:
    before, now = before_and_now(FOLDER / "retention.yaml", tmp_path)
    write_generated(before)
    shutil.copytree(before.dbt, now.dbt, symlinks=True)

    assert [table.settings.retention for table in now.tables] != [
        table.settings.retention for table in before.tables
    ]
    assert stale_files(now).names == []


def test_reports_changes_in_the_database_from_the_catalogue(tmp_path: Path) -> None:
    declared = (
        "version: 1\nsources:\n  shop:\n    connection: ${URL}\n    tables:\n"
        "      orders: {cursor: updated_at}\n"
    )
    before, now = project(declared, tmp_path / "before"), project(declared, tmp_path / "now")
    lock = now.root / "sources.lock.yaml"
    changed = lock.read_text().replace("status: text", "status: integer\n        note: text")
    lock.write_text(changed)
    now = open_project(now.root)

    (table,) = report_of(Revision("main", "0123456789", before), now, Comparison()).tables

    assert table.source == (
        "column `status` changed from text to integer",
        "column `note` (text) was added",
    )
    assert table.next_run == (
        "column `status` was varchar and is integer, so the table is read in full",
    )


def test_the_summary_is_markdown_with_values_as_code(tmp_path: Path) -> None:
    where_changed = report(FOLDER / "where.yaml", tmp_path)

    assert (
        "\n".join(render_diff(where_changed, as_markdown=True))
        == """\
### Lakefeed: affected since `main` (012345678)

#### Tables

- changed `shop.orders` (sources.yaml:6)
  - `where` none → `status <> 'draft'` (sources.yaml:6)
  - the next run: `where` changed and applies to rows read from now on; to apply it to all rows: \
lakefeed run --select shop.orders --full-refresh"""
    )
