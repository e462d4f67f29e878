"""Which models are held back after a build, decided from plain data."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from lakefeed.orchestration.build.hold_back import hold_back
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult
from lakefeed.transformation.manifest import Model
from lakefeed.transformation.warehouse.base.publication_state import (
    HeldBack,
    ModelState,
    PublicationState,
)

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def model(name: str, *reads: str) -> Model:
    tables = (name.removeprefix("stg_"),) if name.startswith("stg_") else ()
    return Model(
        name=name, is_staging=bool(tables), description="", reads_models=reads, reads_tables=tables
    )


# Upstream models first.
MODELS = (
    model("stg_shop__a"),
    model("stg_shop__b"),
    model("of_a", "stg_shop__a"),
    model("of_b", "stg_shop__b"),
    model("of_both", "of_a", "of_b"),
    model("below", "of_both"),
)
ROOTS = {"stg_shop__a", "stg_shop__b"}


def built(*names: str, **failed: tuple[str, ...]) -> BuildResult:
    """Models that were built; keywords are failed tests with the models that they read."""
    nodes = [
        NodeResult(
            name=name,
            kind="model",
            status="success",
            message="",
            seconds=0.1,
            selectors=(name,),
            model=name,
        )
        for name in names
    ]
    nodes += [
        NodeResult(name=name, kind="test", status="fail", message="", seconds=0.1, selectors=read)
        for name, read in failed.items()
    ]
    return BuildResult(tuple(nodes), 0.0)


def held(result: BuildResult, **options: Any) -> dict[str, str]:
    arguments = {"roots": ROOTS, "failed_tables": (), "before": {}} | options
    found = hold_back(MODELS, result, **arguments)
    return {name: reason.because for name, reason in found.items()}


def test_nothing_is_held_back_after_a_successful_build() -> None:
    assert held(built(*(model.name for model in MODELS))) == {}


def test_a_failed_test_holds_back_the_models_it_read_and_their_descendants() -> None:
    result = built("stg_shop__a", "stg_shop__b", "of_a", "of_b", short=("of_a",))

    assert held(result) == dict.fromkeys(("of_a", "of_both", "below"), "test short failed")


def test_a_failed_test_of_two_models_holds_back_both() -> None:
    result = built(*(model.name for model in MODELS), fits=("of_a", "of_b"))

    assert held(result).keys() == {"of_a", "of_b", "of_both", "below"}


def test_a_failed_source_test_holds_back_the_models_that_dbt_skipped() -> None:
    result = built("stg_shop__b", "of_b", fresh=("source:shop.a",))
    skipped = NodeResult(
        name="stg_shop__a",
        kind="model",
        status="skipped",
        message="",
        seconds=0.0,
        selectors=("stg_shop__a",),
    )

    assert held(BuildResult((*result.nodes, skipped), 0.0)) == dict.fromkeys(
        ("stg_shop__a", "of_a", "of_both", "below"), "a test on an upstream model failed"
    )


def test_a_model_is_held_back_until_it_is_built() -> None:
    before = {"of_a": HeldBack("test short failed"), "gone": HeldBack("its build failed")}

    assert held(built("stg_shop__b", "of_b"), before=before).keys() == {"of_a", "of_both", "below"}
    assert held(built("of_a", "of_both", "below"), before=before) == {}


@pytest.mark.parametrize(
    ("failed", "due"),
    [((), {"of_a", "of_b"}), (("shop__b",), {"of_a"}), (("shop__c",), {"of_a", "of_b"})],
)
def test_a_model_is_due_unless_it_waits_for_a_table_that_still_fails(
    failed: tuple[str, ...], due: set[str]
) -> None:
    state = PublicationState(models={
        "of_a": ModelState(held=HeldBack("test short failed")),
        "of_b": ModelState(held=HeldBack("shop.b failed to load", ("shop__b",))),
        "of_both": ModelState(built_at=NOW),
    })  # fmt: skip

    assert state.due(failed) == due


def test_a_published_model_keeps_its_time_of_publication() -> None:
    old = ModelState(built_at=NOW, published_at=NOW)
    later = NOW + dt.timedelta(hours=1)
    state = PublicationState(
        models={"old": old, "new": ModelState(built_at=NOW), "never": ModelState()}
    )

    published = state.published(later)

    assert [published.models[n].published_at for n in ("old", "new", "never")] == [NOW, later, None]
