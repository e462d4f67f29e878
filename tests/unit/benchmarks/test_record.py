"""The guard compares ratios, and Lakefeed's alone."""

from __future__ import annotations

from pathlib import Path

from benchmarks.record import Record, ratios_of, read_records, regressions, write_record
from benchmarks.rounds import Row

RECORDED = {"6 rows | Lakefeed": 1.0, "6 rows | Sling": 14.0}


def test_a_ratio_within_the_tolerance_is_no_regression() -> None:
    assert regressions(RECORDED, {"6 rows | Lakefeed": 1.25}) == []


def test_a_worse_ratio_is_told_with_both_numbers() -> None:
    (said,) = regressions(RECORDED, {"6 rows | Lakefeed": 1.5})

    assert said == "6 rows | Lakefeed: was 1.00 × its base, now 1.50 × (+50%)"


def test_a_ratio_that_is_gone_is_a_regression() -> None:
    (said,) = regressions(RECORDED, {})

    assert "now has no result" in said


def test_a_contender_that_became_slower_is_none_of_ours() -> None:
    now = {"6 rows | Lakefeed": 1.0, "6 rows | Sling": 99.0}

    assert regressions(RECORDED, now) == []


def test_ratios_to_a_base_that_is_over_at_once_are_not_kept() -> None:
    rows = [
        Row(name, "Lakefeed", "1", 3, wall, 2.0, 1.0, None, 0.5, 1, 0.25, 1, "")
        for name, wall in (("long", 2.0), ("short", 0.02))
    ]

    assert ratios_of(rows, shortest_base=0.15) == {"long | Lakefeed": 2.0}


def test_recording_a_case_leaves_the_others(tmp_path: Path) -> None:
    path, record = tmp_path / "recorded.json", Record("2026-11-24", "abc", "2 cores", 1.0, RECORDED)
    write_record(path, "wide", record)
    write_record(path, "many", record)

    assert read_records(path) == {"wide": record, "many": record}
