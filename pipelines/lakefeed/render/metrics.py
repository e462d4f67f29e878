"""How metrics are written: Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakefeed.orchestration.inspect.metrics import Metric, Sample

# https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_IN_LABELS = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def metrics_text(metrics: Sequence[Metric]) -> str:
    """These metrics in Prometheus' text format, version 0.0.4."""
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help.translate(_IN_HELP)}"
    yield f"# TYPE {metric.name} gauge"
    yield from (
        f"{metric.name}{_labels(sample)} {_number(sample.value)}" for sample in metric.samples
    )


def _labels(sample: Sample) -> str:
    written = (f'{name}="{value.translate(_IN_LABELS)}"' for name, value in sample.labels)
    return f"{{{','.join(written)}}}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)
