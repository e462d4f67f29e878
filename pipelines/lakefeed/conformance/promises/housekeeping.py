"""Housekeeping removes what no kept version needs, and an erased row from all of them."""

from __future__ import annotations

from lakefeed.conformance.promises.history import HISTORY
from lakefeed.conformance.promises.publication import everything, move, refuse_other
from lakefeed.conformance.trial import SOURCE, PromiseBroken, Trial
from lakefeed.orchestration.build.rollback import resume, roll_back
from lakefeed.orchestration.maintenance.erase import erase_key
from lakefeed.orchestration.maintenance.prune import PruneRequest, plan_prune, prune


def prune_keeps_versions(trial: Trial) -> None:
    """After a prune, the published version and the one before can be read whole."""
    before = everything(trial)
    move(trial, 3)
    trial.run()
    after = everything(trial)
    request = PruneRequest()
    report = prune(trial.project, request, plan_prune(trial.project, request))
    if report.exit_code:
        raise PromiseBroken(f"prune failed: {report.errors}")
    refuse_other("after a prune", everything(trial), after)
    roll_back(trial.project)
    refuse_other("after a prune and a rollback", everything(trial), before)
    resume(trial.project)
    move(trial, 1)
    trial.run()
    trial.refuse_difference("accounts", "orders")


def an_erased_row_is_gone(trial: Trial) -> None:
    """An erased row is in no model and in no earlier version; all other rows are there."""
    before = everything(trial)
    trial.execute("delete from customers where id = 7")
    report = erase_key(trial.project, f"{SOURCE}.customers", ["7"])
    if report.exit_code:
        raise PromiseBroken(f"the row couldn't be erased: {report.error or report.failures}")
    staged = f"staging.stg_{SOURCE}__customers"
    expected = {
        **before,
        **{name: [row for row in before[name] if row[0] != 7] for name in (staged, HISTORY)},
    }
    refuse_other("after an erasure", everything(trial), expected)
    warehouse = trial.warehouse
    if warehouse.version_before(warehouse.current()):
        raise PromiseBroken("an earlier version, which may have the erased row, can still be read")
