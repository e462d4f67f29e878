"""`lakefeed trace`: one row, from every version in raw to what the warehouse made of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import BuildFailed
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.row_key import Key, parse_key
from lakefeed.loading.raw.row_versions import RowVersion, raw_versions
from lakefeed.loading.sessions.duckdb_engine import engine_for
from lakefeed.orchestration.build.rollback import read_rollback
from lakefeed.orchestration.inspect.version_precedence import Judgement, absent_from, judge
from lakefeed.orchestration.project.selection import table_named
from lakefeed.source.inspection.types import lake_type
from lakefeed.transformation.generate.generated_files import is_generated
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.lineage.downstream_rows import (
    DownstreamRows,
    ModelRows,
    downstream_rows,
)
from lakefeed.transformation.warehouse.connection import staged_load_ids
from lakefeed.transformation.warehouse.open_file import reading
from lakefeed.transformation.warehouse.publication_state import HeldBack, read_publication_state


@dataclass(frozen=True)
class Trace:
    """One row of one table: its versions in raw, staging's choice, and the rows made from it.

    `folder` is the table's raw folder, as declared, below which the files of versions lie.
    `absent_from` are loads of the whole table that lacked the row. `committed_at` has times by load
    id. `judgement` is None where staging is a user's own model. `made` is None where no warehouse
    could be read; `notes` say why, and what else should be known.
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
        """Columns of the key that the lake keeps as PostgreSQL's text."""
        found = self.table.catalogue
        columns = [found.column(name) for name in self.key] if found else []
        return [one.name for one in columns if one and lake_type(one.type).as_text]

    @property
    def rows(self) -> list[ModelRows]:
        """The rows of every model, staging first."""
        made = self.made
        return (
            [] if made is None else [r for r in (made.staging, made.history) if r] + [*made.below]
        )


def trace(project: Project, name: str, values: Sequence[str]) -> Trace:
    """Follows the row with this key. Reads raw and the published warehouse; changes nothing.

    Raises:
        DeclarationError: no such table, a table without key, or values that can't be its key.
    """
    table = table_named(project, name)
    log = CommitLog(project.raw_url, table.lake_name)
    with engine_for(project) as engine:
        key = parse_key(engine, table, values)
        loads = log.loads()
        versions = tuple(raw_versions(engine, log, loads, table, key))
    traced = Trace(
        table,
        {part.column.name: part.text for part in key},
        f"{project.declaration.raw.url.rstrip('/')}/{table.lake_name}",
        len(loads),
        versions,
        tuple(absent_from(versions, loads)),
        log.committed_at({version.load.load_id for version in versions}),
        None,
        None,
        (),
    )
    return _with_warehouse(project, traced, key, loads)


def _with_warehouse(project: Project, traced: Trace, key: Key, loads: Sequence[Load]) -> Trace:
    """The same, with what the published warehouse has, if one can be read."""
    table = traced.table
    model = staging_model_name(table)
    try:
        # While it is open, all that reads the file reads this one, be another published or not.
        with reading(project.warehouse) as session:
            staged = staged_load_ids(project.warehouse).get(model, set())
            made = downstream_rows(session, project, table, key) if session else None
            held = read_publication_state(project.warehouse).held
    except BuildFailed as error:
        return replace(traced, notes=(f"{error.what}: what it made of the row isn't shown",))
    kept = [
        f"{rows.relation} is kept as last published, since {held[rows.model].because}"
        for rows in (made.below if made else ())
        if rows.model in held
    ]
    if is_generated(project, table) is False:
        note = f"{model} is a model of your own: which version it takes is for it to say"
        return replace(traced, made=made, notes=(note, *kept))
    judgement = judge(traced.versions, loads, staged, table.settings.deletes)
    waiting = sum(load.load_id not in staged for load in loads)
    why_not = [_why_not_staged(project, model, waiting, held.get(model))] if waiting else []
    known = {load.load_id for load in loads}
    notes = [
        *why_not,
        *_forgotten(project, table),
        *_unseen(table),
        *_disagreement(judgement, made, model, known),
        *kept,
    ]
    return replace(traced, made=made, judgement=judgement, notes=tuple(notes))


def _why_not_staged(project: Project, model: str, waiting: int, held: HeldBack | None) -> str:
    count = "1 load is" if waiting == 1 else f"{waiting} loads are"
    rolled_back = read_rollback(project)
    if rolled_back:
        return f"{count} not staged: {rolled_back.warning}"
    if held:
        return f"{count} not staged: {model} is kept as last published, since {held.because}"
    if not project.warehouse.exists():
        return "nothing is built yet: lakefeed build"
    return f"{count} not staged yet: the next run does it, or lakefeed build"


def _forgotten(project: Project, table: Table) -> Iterator[str]:
    since = CommitLog(project.raw_url, table.lake_name).complete_since()
    if since:
        yield (
            f"`lakefeed prune` removed what had been replaced before {since:%Y-%m-%d %H:%M:%S} UTC"
        )


def _unseen(table: Table) -> Iterator[str]:
    """What may have become of the row without a load that could see it."""
    settings = table.settings
    if settings.where and settings.deletes == "ignore" and table.mode == "incremental":
        yield (
            f"once a row no longer meets `where` ({table.where_of('where')}) it is not loaded any "
            "more, and stays as it was"
        )


def _disagreement(
    judgement: Judgement, made: DownstreamRows | None, model: str, known: set[str]
) -> Iterator[str]:
    """Rows that aren't where the rules have them: the declaration is another than at the build."""
    if made is None or made.staging is None or made.staging.unasked:
        return
    expected = judgement.winner.load.load_id if judgement.winner else ""
    found = {row.get("_dlt_load_id") or "" for row in made.staging.rows} or {""}
    if not found <= known | {""}:
        yield f"{model} has a load that was committed meanwhile: ask again"
    elif found != {expected}:
        held = f"load {max(found)}" if any(found) else "no row"
        yield (
            f"{model} was built by other rules than those of sources.yaml now, and holds {held}: "
            "lakefeed rebuild"
        )


def as_json(traced: Trace) -> dict[str, Any]:
    """All of it as JSON types, for `--json`; values are DuckDB's texts."""
    verdicts = traced.judgement.verdicts if traced.judgement else ()
    winner = traced.judgement.winner if traced.judgement else None
    return {
        "table": traced.table.shown,
        "key": traced.key,
        "loads": traced.loads,
        "versions": [
            {
                "load_id": one.load.load_id,
                "snapshot_at": one.load.snapshot_at,
                "committed_at": traced.committed_at.get(one.load.load_id),
                "whole_table": one.load.supersedes,
                "backfill": one.load.is_backfill,
                "file": f"{traced.folder}/{one.file}",
                "cursor": one.cursor,
                "deleted_at": one.deleted_at,
                "standing": verdicts[place].standing if verdicts else None,
                "why": verdicts[place].why if verdicts else None,
                "values": one.values,
            }
            for place, one in enumerate(traced.versions)
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


def _rows_as_json(rows: ModelRows) -> dict[str, Any]:
    return {
        "model": rows.model,
        "relation": rows.relation,
        "by": list(rows.by),
        "total": rows.total,
        "rows": list(rows.rows),
        "pointing": [vars(one) for one in rows.pointing],
        "unasked": rows.unasked or None,
    }
