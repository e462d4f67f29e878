"""The raw folder of one table put in order: loads and versions that go, and files put together.

plan_pruning   reads what there is and decides; changes nothing
prune_raw      does it, under the table's lock
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lakefeed.declaration.catalogue import Column
from lakefeed.loading.maintenance.compact import Group, find_groups, with_rows_of_others
from lakefeed.loading.maintenance.expire import Removal, loads_by, plan_removal, remove
from lakefeed.loading.maintenance.retention import Replaced, find_replaced
from lakefeed.loading.maintenance.rewrite import Rewriting, rewrite
from lakefeed.loading.maintenance.scratch_engine import ScratchEngine
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.inventory import Inventory


@dataclass(frozen=True)
class Rules:
    """What a table needs of its raw folder.

    `keeps_superseded`: something reads superseded loads too. What had been superseded or replaced
    by the `cutoff` goes nevertheless; nothing goes by age where it is None.
    """

    keeps_superseded: bool
    cutoff: dt.datetime | None = None
    key: tuple[Column, ...] = ()


@dataclass(frozen=True)
class Pruning:
    """Loads and files that go, rows that go from files that stay, and groups of files to be one.

    `mended` are files with rows of loads that are gone.
    """

    removal: Removal
    replaced: Replaced
    compacted: tuple[Group, ...]
    mended: tuple[Group, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """Groups of files, each of which is written anew as one."""
        grouped = {file for group in self.compacted for file in group}
        alone = dict.fromkeys([*((file,) for file in self.replaced.files), *self.mended])
        return (*self.compacted, *(group for group in alone if group[0] not in grouped))


def plan_pruning(log: CommitLog, at: ScratchEngine, rules: Rules) -> Pruning:
    """What is to be done. Reads the keys of what may be past its retention; changes nothing."""
    loads, contents = log.loads(), Inventory.of(log)
    removal = plan_removal(
        loads, contents, keeps_superseded=rules.keeps_superseded, cutoff=rules.cutoff
    )
    kept = loads[len(removal.loads) :]
    outdated = loads_by(kept, rules.cutoff) if rules.cutoff else []
    replaced = find_replaced(log, outdated, rules.key, at)
    if replaced.files or (removal.loads and outdated):
        known = dt.datetime.fromisoformat(outdated[-1].snapshot_at)
        removal = removal.complete_from(known)
    groups = find_groups(log, kept, contents, at)
    return Pruning(removal, replaced, tuple(groups), tuple(with_rows_of_others(log, kept, at)))


def prune_raw(log: CommitLog, pruning: Pruning, at: ScratchEngine) -> None:
    """Does what was planned; to be called by the holder of the table's lock.

    Killed anywhere, raw says what it said of every moment that it still can tell of.

    Raises:
        LakefeedError: a file that was written anew isn't what it was made of.
    """
    remove(log, pruning.removal)
    loads = {load.load_id: load for load in log.loads()}
    for group in pruning.groups:
        has_replaced = not pruning.replaced.files.keys().isdisjoint(group)
        less = pruning.replaced.less if has_replaced else None
        described = rewrite(log, Rewriting.of(loads.values(), group), at, less)
        loads.update({load.load_id: load for load in described})
    if pruning.groups:
        log.bring_up_pack()
