"""Which models keep their last published version after a build, and why: from plain data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from lakefeed.declaration.tables import Table
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult
from lakefeed.transformation.generate.history_models import models_over_raw
from lakefeed.transformation.manifest import Model, with_those_below
from lakefeed.transformation.warehouse.publication_state import HeldBack

_SKIPPED = "a test of what it reads failed"


def hold_back(
    models: Sequence[Model],
    result: BuildResult,
    news: Collection[str],
    failed_tables: Sequence[Table],
    before: Mapping[str, HeldBack],
) -> dict[str, HeldBack]:
    """The models that stay behind once a build has ended, each with the reason.

    Those whose build failed; all that a failed test has read, since nobody knows which of them is
    wrong; those below tables that failed to load, where there is news for them; those that stayed
    behind `before` and still aren't built; and every model below any of these.

    Args:
        news: models that the build had a reason to build, of those that nothing held back.
    """
    below = [(t, with_those_below(models, models_over_raw(t))) for t in failed_tables]
    with_news = with_those_below(models, news)
    reasons = _still_behind(result, before)
    for table, waiting in below:
        reasons |= dict.fromkeys(waiting & with_news, f"{table.shown} failed to load")
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
    """Each model that stays behind: for a reason of its own, else for that of one above it."""
    spread: dict[str, str] = {}
    for model in models:
        above = [spread[name] for name in model.reads_models if name in spread]
        why = [reasons.get(model.name), *above, skipped.get(model.name)]
        if found := next((one for one in why if one), None):
            spread[model.name] = found
            yield model.name, found
