"""`lakefeed trace`: follows one row from its versions in raw to its rows in the warehouse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import BuildFailed
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load, complete, unfinished
from lakefeed.loading.raw.row_key import Key, parse_key
from lakefeed.loading.raw.row_versions import Change, RowVersion, raw_versions
from lakefeed.loading.sessions.duckdb_engine import engine_for
from lakefeed.orchestration.build.rollback import read_rollback
from lakefeed.orchestration.inspect.version_precedence import Judgement, absent_from, judge
from lakefeed.orchestration.project.selection import table_named
from lakefeed.source.inspection.types import lake_type
from lakefeed.source.statement import tables_read
from lakefeed.transformation.generate.generated_files import is_generated
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.lineage.downstream_rows import (
    DownstreamRows,
    ModelRows,
    downstream_rows,
)
from lakefeed.transformation.warehouse.base.publication_state import HeldBack
from lakefeed.transformation.warehouse.declared import warehouse_of


@dataclass(frozen=True)
class Trace:
    """One row of a table: its versions in raw, the one in staging, and the downstream rows.

    Attributes:
        folder: the table's raw folder, as declared; files of versions are relative to it.
        absent_from: loads of the whole table without the row.
        committed_at: commit times by load id.
        judgement: None if the staging model is hand-written.
        made: None if no warehouse could be read; `notes` then say why.
        notes: whatever else affects how to read the result.
    """

    table: Table
    key: dict[str, str]
    folder: str
    loads: int
    versions: tuple[RowVersion, ...]
    absent_from: tuple[Load, ...]
    committed_at: dict[str, str]
    judgement: Judgement | None
    made: DownstreamRows | None
    notes: tuple[str, ...]

    @property
    def is_found(self) -> bool:
        """Whether raw or the warehouse has the row."""
        return bool(self.versions) or any(rows.total for rows in self.rows)

    @property
    def kept_as_text(self) -> list[str]:
        """Key columns that the lake stores as PostgreSQL's text representation."""
        columns = [self.table.column(name) for name in self.key]
        return [column.name for column in columns if column and lake_type(column.type).as_text]

    @property
    def reads(self) -> tuple[str, ...]:
        """The source's tables that a declared query reads; empty for a table."""
        return tables_read(self.table)

    @property
    def rows(self) -> list[ModelRows]:
        """The rows of every model, staging first."""
        made = self.made
        return (
            [] if made is None else [r for r in (made.staging, made.history) if r] + [*made.below]
        )


def trace(project: Project, name: str, values: Sequence[str]) -> Trace:
    """Traces the row with this key. Reads raw and the published warehouse; changes nothing.

    Raises:
        DeclarationError: there is no such table, it has no key, or the values don't fit its key.
    """
    table = table_named(project, name)
    log = CommitLog(project.raw, table.lake_name)
    with engine_for(project) as engine:
        key = parse_key(engine, table, values)
        loads = log.loads()
        versions = tuple(raw_versions(engine, log, loads, table, key))
    traced = Trace(
        table=table,
        key={part.column.name: part.text for part in key},
        folder=f"{project.declaration.raw.url.rstrip('/')}/{table.lake_name}",
        loads=len(loads),
        versions=versions,
        absent_from=tuple(absent_from(versions, loads)),
        committed_at=log.committed_at({version.load.load_id for version in versions}),
        judgement=None,
        made=None,
        notes=(),
    )
    return _with_warehouse(project, traced, key, loads)


def _with_warehouse(project: Project, traced: Trace, key: Key, loads: Sequence[Load]) -> Trace:
    """Adds what the published warehouse has, if it can be read."""
    table = traced.table
    model, published = staging_model_name(table), warehouse_of(project).published
    try:
        # Everything reads the version that is open here, even if another is published meanwhile.
        with published.open() as session:
            staged = published.staged_load_ids().get(model, set())
            has_rows = session is not None
            made = downstream_rows(published, project, table, key) if has_rows else None
            held = published.state().held
    except BuildFailed as error:
        return replace(traced, notes=(f"{error.what}: rows in the warehouse aren't shown",))
    kept = [
        f"{rows.relation} is held back at its last published version: {held[rows.model].because}"
        for rows in (made.below if made else ())
        if rows.model in held
    ]
    if is_generated(project, table) is False:
        note = f"{model} is hand-written, so Lakefeed can't say which version it takes"
        return replace(traced, made=made, notes=(note, *kept))
    judgement = judge(traced.versions, loads, staged, table.settings.deletes)
    unstaged = sum(load.load_id not in staged for load in complete(loads))
    why_not = [_why_not_staged(project, model, unstaged, held.get(model))] if unstaged else []
    why_not += [
        f"the first load is incomplete ({load.range.shown}): staging shows it when the last is in"
        for load in unfinished(loads)[-1:]
        if load.range
    ]
    known = {load.load_id for load in loads}
    notes = [
        *why_not,
        *_pruned_versions(project, table),
        *_unseen_changes(table),
        *_disagreement(judgement, made, model, known),
        *kept,
    ]
    return replace(traced, made=made, judgement=judgement, notes=tuple(notes))


def _why_not_staged(project: Project, model: str, unstaged: int, held: HeldBack | None) -> str:
    count = "1 load is" if unstaged == 1 else f"{unstaged} loads are"
    rolled_back = read_rollback(project)
    if rolled_back:
        return f"{count} not staged: {rolled_back.warning}"
    if held:
        return (
            f"{count} not staged: {model} is held back at its last published version: "
            f"{held.because}"
        )
    if not warehouse_of(project).exists():
        return "the warehouse isn't built yet; build it: lakefeed build"
    return f"{count} not staged yet; the next run stages them, or run: lakefeed build"


def _pruned_versions(project: Project, table: Table) -> Iterator[str]:
    since = CommitLog(project.raw, table.lake_name).complete_since()
    if since:
        yield (
            f"`lakefeed prune` removed the versions replaced before {since:%Y-%m-%d %H:%M:%S} UTC"
        )


def _unseen_changes(table: Table) -> Iterator[str]:
    """Changes in the source that no load can see."""
    settings = table.settings
    if settings.where and settings.deletes == "ignore" and table.mode == "incremental":
        yield (
            f"a row that no longer meets `where` ({table.where_of('where')}) isn't loaded again "
            "and keeps its last loaded version"
        )


def _disagreement(
    judgement: Judgement, made: DownstreamRows | None, model: str, known: set[str]
) -> Iterator[str]:
    """Reports a staging row that contradicts the rules: the declaration changed since the build."""
    if made is None or made.staging is None or made.staging.unasked:
        return
    expected = judgement.winner.load.load_id if judgement.winner else ""
    found = {row.get("_dlt_load_id") or "" for row in made.staging.rows} or {""}
    if not found <= known | {""}:
        yield f"{model} contains a load that was committed during the trace; run it again"
    elif found != {expected}:
        actual = f"the row of load {max(found)}" if any(found) else "no row"
        yield (
            f"{model} was built with other settings than sources.yaml has now and has {actual}; "
            "bring it up to date: lakefeed rebuild"
        )


def as_json(traced: Trace) -> dict[str, Any]:
    """The trace as JSON types, for `--json`; values are DuckDB's text representation."""
    verdicts = traced.judgement.verdicts if traced.judgement else ()
    winner = traced.judgement.winner if traced.judgement else None
    return {
        "table": traced.table.shown,
        "key": traced.key,
        "reads": list(traced.reads),
        "loads": traced.loads,
        "versions": [
            {
                "load_id": version.load.load_id,
                "snapshot_at": version.load.snapshot_at,
                "committed_at": traced.committed_at.get(version.load.load_id),
                "whole_table": version.load.is_whole,
                "backfill": version.load.is_backfill,
                "file": f"{traced.folder}/{version.file}",
                "cursor": version.cursor,
                "deleted_at": version.deleted_at,
                "change": _change_as_json(version.change),
                "standing": verdicts[place].standing if verdicts else None,
                "why": verdicts[place].why if verdicts else None,
                "values": version.values,
            }
            for place, version in enumerate(traced.versions)
        ],
        "absent_from": [
            {"load_id": load.load_id, "snapshot_at": load.snapshot_at}
            for load in traced.absent_from
        ],
        "staging": traced.judgement.told if traced.judgement else None,
        "winner": winner.load.load_id if winner else None,
        "made": [_rows_as_json(rows) for rows in traced.rows],
        "notes": list(traced.notes),
    }


def _change_as_json(change: Change | None) -> dict[str, Any] | None:
    if change is None:
        return None
    return {
        "operation": change.operation,
        "lsn": change.shown,
        "position": change.position,
        "committed_at": change.committed_at,
    }


def _rows_as_json(rows: ModelRows) -> dict[str, Any]:
    return {
        "model": rows.model,
        "relation": rows.relation,
        "by": list(rows.by),
        "total": rows.total,
        "rows": list(rows.rows),
        "pointing": [vars(pointing) for pointing in rows.pointing],
        "unasked": rows.unasked or None,
    }
