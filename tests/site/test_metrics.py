"""`lakefeed metrics` on a small lake with a past, read by Prometheus' own parser."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from lakefeed.transformation.generate.generated_files import write_generated
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, copy_of
from tests.site.conftest import CANARY

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


class Scraped:
    """What Prometheus makes of a text."""

    def __init__(self, text: str) -> None:
        self.families: list[Metric] = list(text_string_to_metric_families(text))

    def values(self, name: str, **labels: str) -> list[float]:
        return [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float:
        (value,) = self.values(name, **labels)
        return value


def scraped(lake: Lake) -> Scraped:
    ended = lake.command("metrics")
    assert ended.returncode == 0, ended
    return Scraped(ended.stdout)


@pytest.fixture(scope="module")
def text(lake: Lake) -> str:
    # Its variables aren't set: nothing connects to a source.
    ended = lake.command("metrics")
    assert ended.returncode == 0, ended
    return ended.stdout


@pytest.fixture(scope="module")
def seen(text: str) -> Scraped:
    return Scraped(text)


def test_each_metric_has_a_type_a_description_and_the_project(seen: Scraped) -> None:
    assert all(family.type == "gauge" for family in seen.families)
    assert all(family.documentation.endswith(".") for family in seen.families)
    assert {s.labels["project"] for f in seen.families for s in f.samples} == {"lake"}
    assert len({f.name for f in seen.families}) == len(seen.families)


def test_an_environment_has_metrics_of_its_own(lake: Lake) -> None:
    (lake.root / ".env.prod").touch()
    ended = lake.command("--env", "prod", "metrics")
    (lake.root / ".env.prod").unlink()

    labels = [s.labels for f in Scraped(ended.stdout).families for s in f.samples]
    assert {(each["project"], each["environment"]) for each in labels} == {("lake", "prod")}


def test_rows_of_a_table_are_those_of_its_staging_model(lake: Lake, seen: Scraped) -> None:
    ((staged,),) = lake.query("select count(*) from staging.stg_shop__orders")

    assert seen.value("lakefeed_table_rows", source="shop", table="orders") == staged
    assert seen.value("lakefeed_table_raw_rows", table="orders") >= int(str(staged))
    assert seen.value("lakefeed_model_rows", model="fct_orders") == staged


def test_times_are_seconds_since_1970(lake: Lake, seen: Scraped) -> None:
    # epoch_us, since epoch's double may be one bit below the time it stands for
    ((newest,),) = lake.query("select epoch_us(max(updated_at)) from staging.stg_shop__orders")

    for name in ("newest_load", "complete_through", "checkpoint"):
        ago = time.time() - seen.value(f"lakefeed_table_{name}_timestamp_seconds", table="orders")
        assert 0 < ago + 1 < 3600
    checkpoint = seen.value("lakefeed_table_checkpoint_timestamp_seconds", table="orders")
    assert round(checkpoint * 1_000_000) <= int(str(newest))
    assert seen.values("lakefeed_table_checkpoint_timestamp_seconds", table="kinds") == []


def test_a_table_that_was_never_loaded_has_no_age_and_failed(seen: Scraped) -> None:
    things = {"source": "gone", "table": "things"}

    assert seen.values("lakefeed_table_newest_load_timestamp_seconds", **things) == []
    assert seen.value("lakefeed_table_loads", **things) == 0
    assert seen.value("lakefeed_table_last_run_failed", **things) == 1
    assert seen.value("lakefeed_table_last_run_failed", table="orders") == 0


def test_late_rows_are_counted(seen: Scraped) -> None:
    assert seen.value("lakefeed_table_late_rows", table="orders") == 3
    assert seen.value("lakefeed_table_late_rows_beyond_lookback", table="orders") == 0


def test_the_declared_freshness_is_there_to_compare_with(seen: Scraped) -> None:
    limit = "lakefeed_table_freshness_limit_seconds"

    assert seen.value(limit, table="orders", severity="error") == 1
    assert seen.values(limit, table="orders", severity="warn") == []
    assert seen.values(limit, table="kinds") == []


def test_the_last_run_is_told_and_the_last_without_a_failure(seen: Scraped) -> None:
    assert seen.value("lakefeed_last_run_failed") == 1
    assert seen.value("lakefeed_last_run_failed_tables") == 1
    assert seen.value("lakefeed_last_run_tables") == 5
    assert seen.value("lakefeed_last_run_duration_seconds") > 0
    assert (
        seen.value("lakefeed_last_success_start_timestamp_seconds")
        < seen.value("lakefeed_last_run_start_timestamp_seconds")
        < time.time()
    )


def test_tests_are_counted_by_their_latest_result(seen: Scraped) -> None:
    assert seen.value("lakefeed_tests", result="warn") == 1
    assert seen.value("lakefeed_tests", result="fail") == 0
    assert seen.value("lakefeed_tests", result="pass") > 0


def test_a_model_held_back_by_a_failed_test_is_told(lake: Lake, tmp_path: Path) -> None:
    copy = copy_of(lake, tmp_path / "copy")
    declared = copy.root / "sources.yaml"
    declared.write_text(declared.read_text().replace("severity: warn", "severity: error"))
    write_generated(copy.project)
    assert copy.command("build").returncode == 1

    after = scraped(copy)

    assert after.value("lakefeed_tests", result="fail") == 1
    assert after.value("lakefeed_model_held_back", model="fct_orders") == 1
    assert after.value("lakefeed_model_held_back", model="stg_shop__kinds") == 0


def test_metrics_of_a_lake_without_a_warehouse_are_those_of_raw(lake: Lake, tmp_path: Path) -> None:
    copy = copy_of(lake, tmp_path / "copy")
    for file in (copy.root / "data").glob("warehouse*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()

    after = scraped(copy)

    assert after.values("lakefeed_table_rows") == []
    assert after.value("lakefeed_table_raw_rows", table="kinds") > 0


def test_a_warehouse_that_is_damaged_is_told_with_what_raw_knows(
    lake: Lake, tmp_path: Path
) -> None:
    copy = copy_of(lake, tmp_path / "copy")
    (copy.root / "data/warehouse.duckdb").write_bytes(b"nothing that DuckDB wrote" * 1000)

    after = scraped(copy)

    assert after.value("lakefeed_warehouse_unreadable") == 1
    assert after.value("lakefeed_table_raw_rows", table="kinds") > 0


def test_a_new_project_has_metrics_as_well(database: Database, tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.declare("orders: {mode: full_refresh}")

    after = scraped(lake)

    assert CONNECTION_VARIABLE in (tmp_path / "sources.yaml").read_text()
    assert after.value("lakefeed_table_loads", table="orders") == 0
    assert after.values("lakefeed_last_run_failed") == []


def test_a_file_is_replaced_as_a_whole(lake: Lake, tmp_path: Path, text: str) -> None:
    file = tmp_path / "collector" / "lakefeed.prom"
    file.parent.mkdir()
    file.write_text("old")

    ended = lake.command("metrics", "--output", str(file))

    assert (ended.returncode, ended.stdout) == (0, "")
    assert Scraped(file.read_text()).families
    assert list(file.parent.iterdir()) == [file]
    assert file.read_text().count("\n") == text.count("\n")


def test_metrics_contain_no_secret(text: str) -> None:
    assert CANARY not in text


def test_the_page_lists_each_metric_and_no_other(text: str) -> None:
    named = set(re.findall(r"lakefeed_[a-z_]+", PAGE.read_text(encoding="utf-8")))

    assert named == set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
