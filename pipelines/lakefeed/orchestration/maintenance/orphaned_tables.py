"""Finds and removes orphaned tables: data of tables that sources.yaml no longer declares."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lakefeed.declaration.project import Project
from lakefeed.declaration.table_names import wildcards_of
from lakefeed.loading.maintenance.builders import Builder
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.inventory import Inventory
from lakefeed.loading.raw.table_folders import (
    RawFolders,
    remove_copies_of,
    remove_raw_folder,
    remove_working_directory,
    working_directories,
)
from lakefeed.transformation.warehouse.orphaned_relations import (
    OrphanedRelation,
    orphaned_relations,
)


@dataclass(frozen=True)
class OrphanedTables:
    """An orphaned table: its files in raw and its relations in the warehouse.

    `kept_because` says why it isn't removed; empty if it is.
    """

    name: str
    lake_name: str
    files: int
    size: int
    relations: tuple[OrphanedRelation, ...]
    kept_because: str = ""


def find_undeclared(
    project: Project, folders: RawFolders, others: Sequence[Builder], select: Sequence[str] = ()
) -> tuple[OrphanedTables, ...]:
    """Finds all orphaned tables, or the selected ones.

    In a source with wildcards, a table that is missing from the catalogue may still be declared
    and just not have been found in the database. So it is kept unless it is named. One that another
    warehouse has is kept in any case.

    Args:
        others: the other warehouses that are built from this raw layer.
    """
    declared = {table.lake_name for table in project.tables}
    relations: dict[str, list[OrphanedRelation]] = {}
    for relation in orphaned_relations(project):
        relations.setdefault(relation.lake_name, []).append(relation)
    # A table that is still declared may have an orphaned history model.
    names = ({*folders.ours, *working_directories(project)} - declared) | relations.keys()
    chosen = [name for name in sorted(names) if not select or is_selected(name, select)]
    return tuple(
        _orphaned(
            project, name, folders, relations.get(name, ()), _doubt(project, name, others, select)
        )
        for name in chosen
    )


def is_selected(lake_name: str, select: Iterable[str]) -> bool:
    """Whether any selector matches this folder, by its name or as `source.table`."""
    names = (lake_name, shown(lake_name))
    return any(fnmatchcase(name, selector) for name in names for selector in select)


def shown(lake_name: str) -> str:
    """The `source.table` form of a lake name: `shop.old` for `shop__old`."""
    return lake_name.replace("__", ".", 1)


def remove_undeclared(
    project: Project,
    tables: Iterable[OrphanedTables],
    lock: Callable[[str], AbstractContextManager[None]],
) -> None:
    """Removes all that loads of these tables wrote, each table's under its lock."""
    declared = {table.lake_name for table in project.tables}
    for table in tables:
        if table.lake_name not in declared:
            with lock(table.lake_name):
                remove_copies_of(project, table.lake_name)
                remove_working_directory(project, table.lake_name)
                remove_raw_folder(CommitLog(project.raw, table.lake_name))


def _orphaned(
    project: Project,
    name: str,
    folders: RawFolders,
    relations: Sequence[OrphanedRelation],
    doubt: str,
) -> OrphanedTables:
    is_declared = any(table.lake_name == name for table in project.tables)
    has_folder = name in folders.ours and not is_declared
    sizes = Inventory.of(CommitLog(project.raw, name)).sizes if has_folder else {}
    return OrphanedTables(
        name=shown(name),
        lake_name=name,
        files=len(sizes),
        size=sum(sizes.values()),
        relations=tuple(relations),
        kept_because="" if is_declared else doubt,
    )


def _doubt(
    project: Project, lake_name: str, others: Sequence[Builder], select: Collection[str]
) -> str:
    """Why a table may still be declared; empty if it certainly isn't, or if it was named."""
    for other in others:
        if lake_name in other.newest_loads:
            return (
                f"{other.shown} has it; if that is gone, delete {other.file} in raw, else remove "
                "the table there first"
            )
    if lake_name in select or shown(lake_name) in select:
        return ""
    for name, source in project.declaration.sources.items():
        if lake_name.startswith(f"{name}__") and wildcards_of(source):
            return (
                f"a wildcard of `{name}` may still declare this table; to remove it anyway: "
                f"lakefeed prune --undeclared --select {shown(lake_name)}"
            )
    return ""
