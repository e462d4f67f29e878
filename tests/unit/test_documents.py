"""Documents are read by other versions than the one that wrote them."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from lakefeed.conformance.report import REPORT, ConformanceReport, PromiseReport
from lakefeed.documents import Format, from_fields, to_fields
from lakefeed.errors import LakefeedError, NewerFormat, SourceUnreachable
from lakefeed.loading.forecast.planned_load import Estimate, LoadPreview
from lakefeed.loading.locks.lock_file import HOLDER, Process
from lakefeed.loading.maintenance.builders import BUILDER, Builder
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.load_manifest import MANIFEST
from lakefeed.loading.raw.manifest_pack import PACK
from lakefeed.loading.raw.profile import PROFILE, ColumnProfile, Profile
from lakefeed.loading.raw.pruning_record import PRUNED
from lakefeed.orchestration.build.build_plan import BuildPlan
from lakefeed.orchestration.build.rollback import ROLLBACK, Rollback
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.ingest.run_plan import PLAN, RunPlan
from lakefeed.orchestration.notifications.news import Told
from lakefeed.orchestration.notifications.told import TOLD
from lakefeed.orchestration.reports.run_history import RUN, KeptRun, TableOutcome
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult
from lakefeed.transformation.warehouse.base.contents import StagedTable
from lakefeed.transformation.warehouse.base.format import FORMAT as WAREHOUSE
from lakefeed.transformation.warehouse.duckdb_file.candidate import MARK
from tests.unit.loading.test_load_manifest import LOAD

AT = "2026-01-01T00:00:00+00:00"
NODE = NodeResult("stg_t", "model", "success", seconds=0.5)
EVERY_KIND: dict[str, tuple[Format[Any], Any]] = {
    "load manifest": (MANIFEST, LOAD),
    "profile": (PROFILE, Profile(3, 900, {"id": ColumnProfile(0, 3, "1", "3")}, 1.5)),
    "pruning record": (PRUNED, from_fields(PRUNED.kind, {"complete_since": AT})),
    "run record": (
        RUN,
        KeptRun(
            *("run", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), 2.0, 0),
            tables=(TableOutcome("shop.t", "loaded", 3),),
            nodes=(NODE,),
        ),
    ),
    "rollback mark": (ROLLBACK, Rollback("2026-01-01", None)),
    "candidate mark": (
        MARK,
        from_fields(MARK.kind, {"build": "a", "copied_from": [1, 2, 3], "is_whole": True}),
    ),
    "plan": (
        PLAN,
        RunPlan(
            LoadRequest(("shop.t",), full_refresh=True),
            (LoadPreview("shop.t", "shop__t", "full_refresh", estimate=Estimate(3, 900, True)),),
            ("stg_shop__t",),
        ),
    ),
    "notification record": (
        TOLD,
        Told({"shop.t": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, ("shop.public.t: a change",)),
    ),
    "record of a warehouse": (BUILDER, Builder("/w.duckdb", "here", AT, {"shop__t": "1.2"})),
    "lock holder record": (HOLDER, Process(7, "here", "2026-01-01")),
    "conformance report": (
        REPORT,
        ConformanceReport(
            lakefeed="0.2",
            type="duckdb",
            engine="DuckDB 1.5.5",
            adapter="dbt-duckdb 1.11.1",
            raw="folder",
            platform="Linux x86_64, Python 3.11.9",
            tested_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            promises=(
                PromiseReport("rows are added", "staging", is_kept=False, seconds=1.5, why="lost"),
            ),
        ),
    ),
}
each_kind = pytest.mark.parametrize("name", EVERY_KIND)


def with_news(fields: Any) -> Any:
    """The same with a field more in every object that has fields of ours."""
    if isinstance(fields, list):
        return [with_news(one) for one in fields]
    if not isinstance(fields, dict):
        return fields
    return {key: with_news(value) for key, value in fields.items()} | {"new": ["fact"]}


@each_kind
def test_a_document_is_read_as_it_was_written_and_carries_its_format(name: str) -> None:
    form, document = EVERY_KIND[name]

    text = form.text(document)

    assert form.read(text, "a.json") == document
    assert (json.loads(text)["format"], form.name) == (form.version, name)


@each_kind
def test_unknown_fields_of_a_newer_minor_format_are_ignored(name: str) -> None:
    form, document = EVERY_KIND[name]
    fields = {**json.loads(form.text(document)), "format": "1.999", "new": {"fact": 1}}
    for inner in ("tables", "nodes"):
        fields |= {inner: with_news(fields[inner])} if inner in fields else {}

    read = form.read(json.dumps(fields), "a.json")

    assert {**asdict(read), "format": ""} == {**asdict(document), "format": ""}


def test_the_page_on_formats_lists_every_kind_with_its_version() -> None:
    page = Path("docs/formats.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    told = {row[0].split(":")[0].split(".")[0].split(",")[0].lower(): row[-1] for row in rows}

    kinds = [form for form, _ in EVERY_KIND.values()] + [PACK]
    expected = {form.name: form.version for form in kinds} | {"warehouse": WAREHOUSE}

    assert {name: told.get(name) for name in expected} == expected


def test_the_macros_write_the_format_of_the_warehouse_that_is_read() -> None:
    macros = Path("pipelines/lakefeed/transformation/dbt_package/macros/staging.sql").read_text()

    assert f"_lakefeed.format as select '{WAREHOUSE}' as version" in macros


@each_kind
@pytest.mark.parametrize("version", ["2.0", "2", 2, "10.1"])
def test_a_newer_major_format_is_refused_by_name(name: str, version: object) -> None:
    form, document = EVERY_KIND[name]
    fields = {**json.loads(form.text(document)), "format": version}

    with pytest.raises(NewerFormat) as refused:
        form.read(json.dumps(fields), "data/a.json")

    assert str(refused.value) == (
        f"data/a.json: this {name} was written by a newer version of Lakefeed (format "
        f"{version}; this one reads {form.version})\n  upgrade Lakefeed"
    )


@each_kind
def test_a_document_without_a_format_has_the_oldest_format(name: str) -> None:
    form, document = EVERY_KIND[name]
    fields = json.loads(form.text(document))
    del fields["format"]

    assert form.from_fields(fields, "a.json") is not None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"pid": "x"}'])
def test_other_content_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        HOLDER.read(text, "a.json")


def test_a_field_missing_in_an_older_document_has_its_default() -> None:
    @dataclass(frozen=True)
    class Grown:
        old: int
        new: tuple[str, ...] = ("one",)

    assert Format(Grown, "thing", "1.1").read('{"old": 1}', "a.json") == Grown(1)


def test_airflow_tasks_hand_over_reports_and_plans_unchanged() -> None:
    report = RunReport(
        (TableReport("shop.t", "shop__t", "failed", error=SourceUnreachable("it is gone")),),
        ("a warning",),
        build=BuildResult((NODE,), 2.0),
        build_error=LakefeedError("no room", where="/disk", do="make some"),
        staged={"shop__t": StagedTable(3, 1)},
    )
    plan = BuildPlan(("shop__t",), (), False, complete_through={"shop__t": AT})

    told = from_fields(RunReport, json.loads(json.dumps(to_fields(report))))

    assert to_fields(told) == to_fields(report)
    assert (told.build, told.staged) == (report.build, report.staged)
    assert str(told.build_error) == "/disk: no room\n  make some"
    assert from_fields(BuildPlan, json.loads(json.dumps(to_fields(plan)))) == plan


def test_numeric_keys_survive_json() -> None:
    contract = ReadContract(
        cursor="at",
        key=("id",),
        where=None,
        initial_value=None,
        columns={"id": "integer"},
        identity=16395,
        parts={16395: 16396},
    )

    assert from_fields(ReadContract, json.loads(json.dumps(to_fields(contract)))) == contract
