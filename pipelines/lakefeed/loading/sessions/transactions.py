"""The transactions in flight at a load's snapshot, recorded with the load for the next one.

PostgreSQL shows when a transaction was prepared, not when it began. But it can't have begun before
the horizon of the last load that didn't see it prepared: either it was running then, which limited
that horizon, or it hadn't begun.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.log.lsn import parse_lsn
from lakefeed.source.snapshot import Snapshot


@dataclass(frozen=True)
class OpenTransactions:
    """The transactions in flight at one snapshot.

    `horizon` is the start of the earliest running transaction; `prepared` maps each prepared one to
    a lower bound of its start, None if no earlier load gives one. Times are ISO 8601 in UTC.
    `transactions` is PostgreSQL's `xmin:xmax:xip,…`, with numbers that are comparable only within
    one `history` of the server.

    `replayed` and `written` are positions in the server's log. The snapshot shows each commit that
    begins before the first, which only a standby tells, and none that begins at the second or
    later, which is noted of tables that are read by the log.
    """

    snapshot_at: str
    horizon: str
    prepared: dict[str, str | None]
    transactions: str
    history: str | None = None
    replayed: str | None = None
    written: str | None = None

    @property
    def safe_until(self) -> dt.datetime | None:
        """How far the checkpoint may move; None if it may not move at all."""
        bounds = [self.horizon, *self.prepared.values()]
        known = [bound for bound in bounds if bound is not None]
        return min(map(dt.datetime.fromisoformat, known)) if len(known) == len(bounds) else None

    @property
    def writing(self) -> tuple[int, ...]:
        """Numbers of the open transactions that had written something."""
        return tuple(int(number) for number in self.transactions.split(":")[2].split(",") if number)

    @property
    def oldest_unfinished(self) -> int:
        """The lowest number not yet finished: all transactions with a smaller one had ended."""
        return int(self.transactions.split(":")[0])

    @property
    def next_number(self) -> int:
        """The next number to be assigned: no transaction had it, or a larger one, yet."""
        return int(self.transactions.split(":")[1])

    def continues(self, before: OpenTransactions) -> bool:
        """Whether transaction numbers continue from `before`: no backup was restored since."""
        known = before.history and self.history
        return self.next_number >= before.next_number and (
            not known or before.history == self.history
        )

    def shows(self, transaction: int) -> bool:
        """Whether the snapshot shows what a committed transaction did, by its number."""
        has_number = transaction < self.next_number and transaction not in self.writing
        return transaction < self.oldest_unfinished or has_number

    def shows_commit(self, transaction: int, position: int) -> bool:
        """Whether the snapshot shows what a transaction did that was committed there in the log.

        A standby doesn't tell which transactions are open. What it replays while the snapshot is
        taken isn't counted as shown: all commits from there on are applied again, in their order.
        """
        return position < parse_lsn(self.replayed) if self.replayed else self.shows(transaction)

    def had_begun(self, transaction: int) -> bool:
        """Whether a transaction already had its number at this snapshot."""
        return transaction < self.next_number


def in_flight_at(snapshot: Snapshot, last: OpenTransactions | None) -> OpenTransactions:
    """The transactions to record with a load, given those recorded with the load before it."""
    bounds = {
        name: last.prepared.get(name, last.horizon) if last else None
        for name in snapshot.horizon.prepared
    }
    return OpenTransactions(
        snapshot_at=snapshot.taken_at.isoformat(),
        horizon=snapshot.horizon.at.isoformat(),
        prepared=bounds,
        transactions=snapshot.transactions,
        history=snapshot.history,
        replayed=snapshot.replayed,
    )


def committed_too_late(
    session: SourceSession,
    before: Sequence[OpenTransactions],
    now: OpenTransactions,
    reach: dt.datetime,
) -> Iterator[str]:
    """Finds transactions that were open longer than the lookback and committed since the last load.

    This serves roles that can't see other sessions: even they can see which transactions were open
    at the last load, which of these have committed, and by which earlier load they had begun.

    Args:
        before: the transactions recorded with each effective load, oldest first. Those of another
            history are ignored, since the server rejects numbers that it hasn't assigned yet.
        reach: how far back this load reads.
    """
    before = [recorded for recorded in before if now.continues(recorded)]
    candidates = before[-1].writing if before else ()
    for transaction in _committed(session, candidates):
        had_begun = (recorded for recorded in before if recorded.had_begun(transaction))
        first = dt.datetime.fromisoformat(next(had_begun).snapshot_at)
        if first < reach:
            yield (
                f"transaction {transaction} was open at {first:%Y-%m-%d %H:%M:%S} UTC and has "
                "committed since the last load; its rows may be older than the lookback covers"
            )


def _committed(session: SourceSession, transactions: Sequence[int]) -> list[int]:
    if not transactions:
        return []
    listed = ", ".join(map(str, transactions))
    query = (
        f"select number from unnest(array[{listed}]::bigint[]) as number "
        "where txid_status(number) = 'committed'"
    )
    return [row[0] for row in session.fetch(query)]
