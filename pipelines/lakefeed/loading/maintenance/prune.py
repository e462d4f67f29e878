"""Prunes the raw folder of one table: removes loads and row versions, and compacts files.

plan_pruning   reads the folder and decides; changes nothing
prune_raw      carries it out, under the table's lock
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lakefeed.declaration.catalogue import Column
from lakefeed.loading.maintenance.compact import Group, find_groups, with_stale_rows
from lakefeed.loading.maintenance.expire import Removal, loads_by, plan_removal, remove
from lakefeed.loading.maintenance.retention import Replaced, find_replaced
from lakefeed.loading.maintenance.rewrite import Rewriting, rewrite
from lakefeed.loading.maintenance.scratch_engine import ScratchEngine
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.inventory import Inventory


@dataclass(frozen=True)
class Rules:
    """What a table needs from its raw folder.

    `keeps_superseded`: superseded loads are still needed. Loads and row versions that were
    superseded or replaced by the `cutoff` are removed nevertheless; None keeps them forever.
    """

    keeps_superseded: bool
    cutoff: dt.datetime | None = None
    key: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Pruning:
    """The loads and files to remove, the rows to remove from kept files, and the files to compact.

    `mended` are compacted files with rows of removed loads, to be rewritten without them.
    """

    removal: Removal
    replaced: Replaced
    compacted: tuple[Group, ...]
    mended: tuple[Group, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """Groups of files, each to be rewritten as one file."""
        grouped = {file for group in self.compacted for file in group}
        single = dict.fromkeys([*((file,) for file in self.replaced.files), *self.mended])
        return (*self.compacted, *(group for group in single if group[0] not in grouped))


def plan_pruning(log: CommitLog, at: ScratchEngine, rules: Rules) -> Pruning:
    """Plans the pruning. Reads the keys of rows that may be past retention; changes nothing."""
    loads, contents = log.loads(), Inventory.of(log)
    removal = plan_removal(
        loads, contents, keeps_superseded=rules.keeps_superseded, cutoff=rules.cutoff
    )
    kept = loads[len(removal.loads) :]
    outdated = loads_by(kept, rules.cutoff) if rules.cutoff else []
    replaced = find_replaced(log, kept, rules.cutoff, rules.key, at) if rules.cutoff else Replaced()
    if replaced.files or (removal.loads and outdated):
        latest_outdated = dt.datetime.fromisoformat(outdated[-1].snapshot_at)
        removal = removal.complete_from(latest_outdated)
    groups = find_groups(log, kept, contents, at)
    return Pruning(removal, replaced, tuple(groups), tuple(with_stale_rows(log, kept, at)))


def prune_raw(log: CommitLog, pruning: Pruning, at: ScratchEngine) -> None:
    """Carries out a planned pruning. The caller must hold the table's lock.

    If it is interrupted, raw still has the same content for every time since `complete_since`.

    Raises:
        LakefeedError: a rewritten file doesn't have the same rows as its originals.
    """
    remove(log, pruning.removal)
    loads = {load.load_id: load for load in log.loads()}
    for group in pruning.groups:
        has_replaced = not pruning.replaced.files.keys().isdisjoint(group)
        less = pruning.replaced.less if has_replaced else None
        described = rewrite(log, Rewriting.of(loads.values(), group), at, less)
        loads.update({load.load_id: load for load in described})
    if pruning.groups or pruning.removal.loads:
        log.bring_up_pack()
