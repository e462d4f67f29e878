"""The statements that make a publication what is declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.source.log.publications import OPERATIONS, LoggedTable, Publication
from lakefeed.sql import quote

# From 18 on, a publication can send generated columns that are stored.
_GENERATED_SINCE = 18
_LOCK_TIMEOUT = "10s"


@dataclass(frozen=True)
class Options:
    """The options of a publication. `sends_generated` is None where the server has no such one."""

    via_root: bool
    sends_generated: bool | None


def wanted_options(version: int, tables: Sequence[LoggedTable]) -> Options:
    """The options that these tables need on a server of this version."""
    return Options(
        via_root=any(table.kind == "p" for table in tables),
        sends_generated=True if version >= _GENERATED_SINCE else None,
    )


def adopting(
    before: Publication | None,
    name: str,
    tables: Sequence[LoggedTable],
    options: Options,
    *,
    waits_for_writers: bool,
) -> list[str]:
    """The statements after which a publication has these tables and no others, as one transaction;
    empty if it has them already.

    Args:
        waits_for_writers: lock the tables that are added until no transaction is writing to them.
            Of one that began before, a slot may miss what it writes afterwards.
    """
    added = [table for table in tables if not (before and _is_sent_whole(before, table))]
    quoted, kept = quote(name), {table.oid for table in tables}
    if before is None:
        if not tables:
            return []
        changes = [f"create publication {quoted} for table {_names(tables)} with ({_all(options)})"]
    else:
        again = {table.oid for table in added if table.oid in before.members}
        gone = [named for oid, named in before.members.items() if oid in again or oid not in kept]
        changes = _settings(before, quoted, options)
        changes += [f"alter publication {quoted} drop table {', '.join(gone)}"] if gone else []
        changes += [f"alter publication {quoted} add table {_names(added)}"] if added else []
    if added and waits_for_writers:
        changes = [
            f"set local lock_timeout = '{_LOCK_TIMEOUT}'",
            f"lock table {_names(added)} in share row exclusive mode",
            *changes,
        ]
    if len(changes) > 1:
        changes = ["begin", *changes, "commit"]
    return [f"{change};" for change in changes]


def _is_sent_whole(before: Publication, table: LoggedTable) -> bool:
    """Whether it is published by name, or with its schema, with all of its rows and columns."""
    is_member = table.oid in before.members or table.schema in before.schemas
    found = before.tables.get(table.oid)
    if not is_member or found is None:
        # A root that is a member isn't sent before `via_root` is set, as it is as well.
        return is_member and not before.via_root
    return not found.is_filtered and all(found.sends(column, table) for column in table.columns)


def _settings(before: Publication, quoted: str, options: Options) -> list[str]:
    wanted = []
    if before.operations != frozenset(OPERATIONS):
        wanted.append(_PUBLISH)
    if options.via_root and not before.via_root:
        wanted.append("publish_via_partition_root = true")
    if options.sends_generated and not before.sends_generated:
        wanted.append("publish_generated_columns = stored")
    return [f"alter publication {quoted} set ({', '.join(wanted)})"] if wanted else []


_PUBLISH = f"publish = '{', '.join(OPERATIONS)}'"


def _all(options: Options) -> str:
    wanted = [_PUBLISH]
    wanted += ["publish_via_partition_root = true"] if options.via_root else []
    wanted += ["publish_generated_columns = stored"] if options.sends_generated else []
    return ", ".join(wanted)


def _names(tables: Sequence[LoggedTable]) -> str:
    return ", ".join(table.name for table in tables)
