"""Decides, from plain data, which models a build holds back at their published version, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from lakefeed.declaration.table import Table
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult
from lakefeed.transformation.generate.history_models import models_over_raw
from lakefeed.transformation.manifest import Model, with_those_below
from lakefeed.transformation.warehouse.base.publication_state import HeldBack

_SKIPPED = "a test on an upstream model failed"


def hold_back(
    models: Sequence[Model],
    result: BuildResult,
    roots: Collection[str],
    failed_tables: Sequence[Table],
    before: Mapping[str, HeldBack],
) -> dict[str, HeldBack]:
    """Returns the models that are held back after a build, each with its reason.

    A model is held back if

    - its build failed;
    - a failed test reads it: any model that the test reads may be the wrong one;
    - it is downstream of a table that failed to load, and other tables upstream have new rows;
    - it was held back `before` and still isn't built;
    - it is downstream of such a model.

    Args:
        roots: the models that the build had a reason to build.
    """
    below = [(t, with_those_below(models, models_over_raw(t))) for t in failed_tables]
    to_build = with_those_below(models, roots)
    reasons = _still_behind(result, before)
    for table, waiting in below:
        reasons |= dict.fromkeys(waiting & to_build, f"{table.shown} failed to load")
    reasons |= dict(reason for node in result.failures for reason in _suspects(node))
    skipped = {node.name: _SKIPPED for node in result.nodes if node.status == "skipped"}
    return {
        name: HeldBack(why, tuple(sorted(t.lake_name for t, waiting in below if name in waiting)))
        for name, why in _spread(models, reasons, skipped)
    }


def _still_behind(result: BuildResult, before: Mapping[str, HeldBack]) -> dict[str, str]:
    built = {node.name for node in result.nodes if node.status == "success"}
    return {name: held.because for name, held in before.items() if name not in built}


def _suspects(node: NodeResult) -> Iterator[tuple[str, str]]:
    if node.is_test:
        yield from ((name, f"test {node.name} failed") for name in node.selectors)
    else:
        yield node.name, "its build failed"


def _spread(
    models: Sequence[Model], reasons: Mapping[str, str], skipped: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Each held-back model with its own reason, or else an upstream model's."""
    spread: dict[str, str] = {}
    for model in models:
        above = [spread[name] for name in model.reads_models if name in spread]
        why = [reasons.get(model.name), *above, skipped.get(model.name)]
        if reason := next(filter(None, why), None):
            spread[model.name] = reason
            yield model.name, reason
