"""What was in flight at the source when a table was read: kept with each load, for the next one.

A prepared transaction shows when it was prepared, not when it began. But it began after the
horizon of the last load that did not see it prepared: it was running then, and held that horizon
back, or had not begun.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.snapshot import Snapshot


@dataclass(frozen=True)
class OpenTransactions:
    """The transactions in flight at one snapshot.

    `horizon` is the start of the earliest one that runs; `prepared` has the bound for each prepared
    one, None where no load was there before it. Times are ISO 8601 in UTC; `transactions` is
    PostgreSQL's `xmin:xmax:xip,…`; its numbers can be compared within one `history` of the server.
    """

    snapshot_at: str
    horizon: str
    prepared: dict[str, str | None]
    transactions: str
    history: str | None = None

    @property
    def safe_until(self) -> dt.datetime | None:
        """How far the checkpoint may go; None where it may not move at all."""
        bounds = [self.horizon, *self.prepared.values()]
        known = [bound for bound in bounds if bound is not None]
        return min(map(dt.datetime.fromisoformat, known)) if len(known) == len(bounds) else None

    @property
    def writing(self) -> tuple[int, ...]:
        """Numbers of the transactions that were open and had written."""
        return tuple(int(one) for one in self.transactions.split(":")[2].split(",") if one)

    @property
    def oldest_unfinished(self) -> int:
        """Every transaction with a smaller number had ended."""
        return int(self.transactions.split(":")[0])

    @property
    def next_number(self) -> int:
        """No transaction had this number yet, or a larger one."""
        return int(self.transactions.split(":")[1])

    def continues(self, before: OpenTransactions) -> bool:
        """Whether transactions are numbered on from there: no backup was restored in between."""
        known = before.history and self.history
        return self.next_number >= before.next_number and (
            not known or before.history == self.history
        )

    def had_begun(self, transaction: int) -> bool:
        """Whether a transaction had its number at this snapshot."""
        return transaction < self.next_number


def in_flight_at(snapshot: Snapshot, last: OpenTransactions | None) -> OpenTransactions:
    """What this load keeps, given what the one before it kept."""
    bounds = {
        one: last.prepared.get(one, last.horizon) if last else None
        for one in snapshot.horizon.prepared
    }
    return OpenTransactions(
        snapshot.taken_at.isoformat(),
        snapshot.horizon.at.isoformat(),
        bounds,
        snapshot.transactions,
        snapshot.history,
    )


def committed_too_late(
    session: SourceSession,
    before: Sequence[OpenTransactions],
    now: OpenTransactions,
    reach: dt.datetime,
) -> Iterator[str]:
    """Transactions that were open longer than the lookback covers, and have committed since.

    For roles that can't see other sessions: what held a number at the last load and has committed
    is known all the same, and that it had begun by an earlier one.

    Args:
        before: what each load that counts kept, the oldest first. Of another history nothing is
            known, and the server refuses numbers that it didn't give yet.
        reach: how far back this load reads.
    """
    before = [kept for kept in before if now.continues(kept)]
    candidates = before[-1].writing if before else ()
    for transaction in _committed(session, candidates):
        had_begun = (kept for kept in before if kept.had_begun(transaction))
        first = dt.datetime.fromisoformat(next(had_begun).snapshot_at)
        if first < reach:
            yield (
                f"transaction {transaction} was open at {first:%Y-%m-%d %H:%M:%S} UTC and has "
                "committed since the last load: its rows may lie below the lookback"
            )


def _committed(session: SourceSession, transactions: Sequence[int]) -> list[int]:
    if not transactions:
        return []
    listed = ", ".join(map(str, transactions))
    query = (
        f"select one from unnest(array[{listed}]::bigint[]) as one "
        "where txid_status(one) = 'committed'"
    )
    return [row[0] for row in session.fetch(query)]
