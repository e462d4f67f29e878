"""Readers see what was tested, whole, and can return to an earlier version."""

from __future__ import annotations

from lakefeed.conformance.promises.history import HISTORY
from lakefeed.conformance.readers import Seen, seen_by_readers
from lakefeed.conformance.trial import SOURCE, PromiseBroken, Trial, refuse_unequal
from lakefeed.orchestration.build.build import build_from_scratch
from lakefeed.orchestration.build.rollback import resume, roll_back

BALANCES = "marts.balances"
TOTAL = "marts.total"
_RELATIONS = {
    **{
        f"staging.stg_{SOURCE}__{name}": columns
        for name, columns in (
            ("orders", "id, amount, note"),
            ("lines", "order_id, line, item"),
            ("customers", "id, city"),
            ("changing", "id, size, price"),
            ("accounts", "id, balance"),
        )
    },
    HISTORY: "id, city, is_current",
    BALANCES: "id, balance",
    TOTAL: "accounts, total",
    "marts.in_credit": "id, balance",
}


def everything(trial: Trial) -> Seen:
    """What readers see, by relation."""
    return seen_by_readers(trial.project, _RELATIONS)


def refuse_other(what: str, found: Seen, expected: Seen) -> None:
    """Compares what readers see.

    Raises:
        PromiseBroken: it differs.
    """
    for relation, rows in expected.items():
        refuse_unequal(f"{what}: {relation}", found[relation], rows)


def move(trial: Trial, amount: int) -> None:
    """Moves an amount from one account to another: the total stays 0."""
    trial.execute(
        "update accounts set balance = balance + case id when 1 then "
        f"{amount} when 2 then -{amount} else 0 end where id in (1, 2)"
    )


def a_failing_test_holds_its_model_back(trial: Trial) -> None:
    """Readers keep the last tested version of a model and of those below it; others go on."""
    before = everything(trial)
    trial.execute(
        "update accounts set balance = null where id = 3",
        "update orders set note = 'meanwhile', at = clock_timestamp() where id = 1",
    )
    report = trial.try_run()
    if not (report.build and report.build.failures):
        raise PromiseBroken("a test that must fail passed")
    held = {name: before[name] for name in before if name.startswith("marts.")}
    refuse_other("a model that failed its test was published", everything(trial), held)
    trial.refuse_difference("orders")
    trial.execute("update accounts set balance = -10 where id = 3")
    trial.run()
    trial.refuse_difference("accounts")
    refuse_other("once the test passes", everything(trial), held)


def readers_never_see_a_build(trial: Trial) -> None:
    """What readers see changes when a build is published, not before."""
    before = everything(trial)
    move(trial, 7)
    trial.load()
    with trial.building() as candidate:
        refuse_other("readers see an unpublished build", everything(trial), before)
        _, built = candidate.contents.query("select balance from marts.balances where id = 1")
    refuse_other("readers see a discarded build", everything(trial), before)
    trial.run()
    published = [(balance,) for key, balance in trial.seen(BALANCES, "id, balance") if key == 1]
    refuse_unequal("the published balance", published, built)


def rollback_and_resume(trial: Trial) -> None:
    """A rollback shows all of the version before, and runs publish again once it is resumed."""
    before = everything(trial)
    move(trial, 5)
    trial.execute("update orders set note = 'rolled back', at = clock_timestamp() where id <= 5")
    trial.run()
    after = everything(trial)
    roll_back(trial.project)
    refuse_other("after a rollback", everything(trial), before)
    move(trial, 0)
    trial.execute("update orders set note = 'meanwhile', at = clock_timestamp() where id = 6")
    if trial.try_run().published_at:
        raise PromiseBroken("a run published although the warehouse is rolled back")
    refuse_other("a run after a rollback", everything(trial), before)
    resume(trial.project)
    trial.run()
    trial.refuse_difference("orders", "accounts")
    marts = {name: rows for name, rows in after.items() if name.startswith("marts.")}
    refuse_other("once building is resumed", everything(trial), marts)


def a_rebuild_equals_what_grew(trial: Trial) -> None:
    """All models built from raw at once equal those that grew load by load."""
    before = everything(trial)
    report = build_from_scratch(trial.project)
    if report.published_at is None:
        raise PromiseBroken("the rebuild published nothing")
    refuse_other("after a rebuild", everything(trial), before)
