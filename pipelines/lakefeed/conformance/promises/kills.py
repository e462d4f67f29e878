"""A run may be killed at any point: readers see one version, and the next run completes it."""

from __future__ import annotations

from lakefeed.conformance.deaths import deaths_of
from lakefeed.conformance.promises.publication import BALANCES, TOTAL, everything, move
from lakefeed.conformance.readers import Seen
from lakefeed.conformance.trial import SOURCE, PromiseBroken, Trial, refuse_unequal


def killed_runs_are_made_up_for(trial: Trial) -> None:
    """Kills runs at the ledger and at publication, one after the other, each with new rows."""
    for number, death in enumerate(deaths_of(trial.project.declaration.warehouse.type), start=1):
        before = everything(trial)
        trial.execute(
            f"insert into orders values ({1000 + number}, {number}, '{death}')",
            f"update customers set city = '{death}', at = clock_timestamp() where id = {number}",
            f"delete from orders where id = {100 + number}",
        )
        move(trial, number)
        trial.killed(death)
        _refuse_half(trial, death, everything(trial), before)
    # What is published may be complete already.
    trial.execute("update orders set note = 'last', at = clock_timestamp() where id = 200")
    trial.run()
    trial.refuse_difference("orders", "customers", "accounts")


def _refuse_half(trial: Trial, death: str, seen: Seen, before: Seen) -> None:
    """Readers see the version before, or all of the new one, in which every balance was moved.

    On Spark, each view is whole, but they are replaced one after the other.
    """
    totals = [(int(str(accounts)), int(str(total))) for accounts, total in seen[TOTAL]]
    refuse_unequal(f"killed {death}, the mart `total`", totals, [(100, 0)])
    changed = {name for name, rows in seen.items() if rows != before[name]}
    moved = {f"staging.stg_{SOURCE}__accounts", BALANCES}
    is_atomic = trial.project.declaration.warehouse.type not in ("spark", "bigquery")
    if is_atomic and changed and not moved <= changed:
        raise PromiseBroken(f"killed {death}: readers see half a build: {sorted(changed)} changed")
