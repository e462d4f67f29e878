"""Metrics in Prometheus' text format, read back by Prometheus' own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lakefeed.orchestration.inspect.metrics import Metric, Sample
from lakefeed.render.metrics import metrics_text


def read_back(metric: Metric) -> list[tuple[str, str, str, dict[str, str], float]]:
    return [
        (family.name, family.type, family.documentation, sample.labels, sample.value)
        for family in text_string_to_metric_families(metrics_text([metric]))
        for sample in family.samples
    ]


@pytest.mark.parametrize("value", ['say "hi"', r"a\n", "two\nlines", "{a=1}, b", "Größe"])
def test_a_label_is_read_back_as_it_was(value: str) -> None:
    metric = Metric("rows", "Rows.", (Sample((("table", value),), 1.0),))

    assert read_back(metric) == [("rows", "gauge", "Rows.", {"table": value}, 1.0)]


def test_a_description_of_several_lines_stays_one_line() -> None:
    metric = Metric("rows", "One\nand \\ two.", (Sample((("table", "t"),), 1.0),))

    assert read_back(metric)[0][2] == "One\nand \\ two."


@pytest.mark.parametrize("value", [0.0, 1795463920.23, 24_000_000.0, 0.001, 1e-7])
def test_a_value_is_read_back_exactly(value: float) -> None:
    metric = Metric("rows", "Rows.", (Sample((("table", "t"),), value),))

    assert read_back(metric)[0][4] == value
