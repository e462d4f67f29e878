"""How `lakefeed trace` prints the versions of a row and what was built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
from rich.console import Console, RenderableType
from rich.text import Text

from lakefeed.render.parts.rows import pairs, render_rows, shown
from lakefeed.render.parts.wording import short
from lakefeed.render.report import console
from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.loading.raw.load_manifest import Load
    from lakefeed.loading.raw.row_versions import RowVersion
    from lakefeed.orchestration.inspect.trace import Trace
    from lakefeed.orchestration.inspect.version_precedence import Precedence
    from lakefeed.transformation.lineage.downstream_rows import ModelRows

_MOST_VERSIONS = 20
_STYLES = {"wins": "green", "deletes": "red"}


def show_trace(traced: Trace, *, as_json: bool, whole: bool) -> None:
    """Prints a trace: the versions in raw, the row in staging, and the rows built from it."""
    if as_json:
        from lakefeed.orchestration.inspect.trace import as_json as trace_as_json

        click.echo(json.dumps(trace_as_json(traced), indent=2))
        return
    out = console()
    if not traced.is_found:
        for line in _not_found(traced):
            _print(out, line)
        return
    for part in (*_raw(traced, whole), *_staging(traced), *_made(traced), *_notes(traced)):
        _print(out, part)


def _print(out: Console, part: RenderableType) -> None:
    out.print(part, soft_wrap=isinstance(part, str | Text), markup=False)


def _raw(traced: Trace, whole: bool) -> Iterator[RenderableType]:
    count = counted(len(traced.versions), "version")
    yield f"{_asked_for(traced)}: {count} in {counted(traced.loads, 'load')}"
    if traced.reads:
        yield f"rows of a query of {', '.join(traced.reads)}"
    shown = range(len(traced.versions)) if whole else _worth_showing(traced)
    hidden = 0
    for place, version in enumerate(traced.versions):
        if place in shown:
            if hidden:
                yield f"\n     … {counted(hidden, 'version')} hidden; show them with --all"
            hidden = 0
            yield from _version(traced, place)
        else:
            hidden += 1
        for load in _absent_after(traced, version, place):
            yield _absence(traced, load)


def _worth_showing(traced: Trace) -> set[int]:
    """The first and the newest versions; of equal ones in a row, the first and the last."""
    versions = traced.versions
    judged = traced.judgement
    winner = judged.winner if judged else None
    changed = {0, len(versions) - 1} | {
        place
        for place, version in enumerate(versions)
        if version is winner
        or version.deleted_at
        or (place and _changes(versions[place - 1], version))
    }
    return {0, *sorted(changed)[-_MOST_VERSIONS:]}


def _version(traced: Trace, place: int) -> Iterator[RenderableType]:
    version = traced.versions[place]
    yield Text(f"\n{place + 1:>4} {_load_line(traced, version.load)}")
    yield f"     {traced.folder}/{version.file}"
    if change := version.change:
        at = short(change.committed_at)
        yield f"     {change.operation} at {change.shown} in the log, committed {at}"
    yield from _what_is_new(traced, place)
    if traced.judgement:
        yield _precedence_line(traced.judgement.verdicts[place])


def _precedence_line(found: Precedence) -> Text:
    mark = {"wins": "✓", "deletes": "✗"}.get(found.standing, "·")
    style = _STYLES.get(found.standing, "dim")
    return Text.assemble("     ", (f"{mark} {found.standing}", style), f": {found.why}")


def _load_line(traced: Trace, load: Load) -> str:
    kind = ", full read" if load.is_whole else ", backfill" if load.is_backfill else ""
    committed = traced.committed_at.get(load.load_id)
    arrived = f", committed {short(committed)}" if committed else ""
    return f"snapshot {short(load.snapshot_at)}, load {load.load_id}{arrived}{kind}"


def _what_is_new(traced: Trace, place: int) -> Iterator[Text]:
    version = traced.versions[place]
    if version.deleted_at and version.change:
        return
    if version.deleted_at:
        found = f"found deleted in the source at {shown(version.deleted_at)}"
        yield Text(f"     {found}{_or_by_where(traced)}")
        return
    if place == 0:
        yield from pairs(version.values, 5)
        return
    changes = _changes(traced.versions[place - 1], version)
    for name, (old, new) in changes.items():
        yield Text.assemble("     ", (f"{name} ", "dim"), f"{shown(old)} → {shown(new)}")
    if not changes:
        yield Text("     same values")


def _or_by_where(traced: Trace) -> str:
    return ", or no longer matches `where`" if traced.table.settings.where else ""


def _changes(before: RowVersion, now: RowVersion) -> dict[str, tuple[str | None, str | None]]:
    return {
        name: (before.values.get(name), value)
        for name, value in now.values.items()
        if before.values.get(name) != value
    }


def _absent_after(traced: Trace, version: RowVersion, place: int) -> list[Load]:
    following = traced.versions[place + 1 :]
    return [
        load
        for load in traced.absent_from
        if load.order > version.load.order
        and not any(later.load.order < load.order for later in following)
    ]


def _absence(traced: Trace, load: Load) -> Text:
    return Text(
        f"\n   - {_load_line(traced, load)}\n"
        f"     without the row: deleted in the source{_or_by_where(traced)}"
    )


def _staging(traced: Trace) -> Iterator[RenderableType]:
    made, judged = traced.made, traced.judgement
    winner = judged.winner if judged else None
    if judged:
        name = made.staging.relation if made and made.staging else "staging"
        yield f"\n{name} {judged.told}"
    if made and made.staging and not (winner and _has_only(made.staging, winner)):
        yield from render_rows(made.staging)
    if made and made.history:
        yield from render_rows(
            made.history, but=traced.versions[-1].values if traced.versions else {}
        )


def _has_only(rows: ModelRows, winner: RowVersion) -> bool:
    """Whether staging holds exactly this version, value by value."""
    found = rows.rows[0] if rows.total == 1 else {}
    return bool(found) and all(found.get(name, v) == v for name, v in winner.values.items())


def _made(traced: Trace) -> Iterator[RenderableType]:
    below = traced.made.below if traced.made else ()
    for rows in below:
        if not rows.unasked:
            yield from render_rows(rows)
    unasked = [rows for rows in below if rows.unasked]
    if unasked:
        yield "\nalso built from this table, but not searchable by row"
    for rows in unasked:
        yield f"  {rows.relation}: {rows.unasked}"


def _notes(traced: Trace) -> Iterator[RenderableType]:
    yield from (f"\nnote: {note}" for note in traced.notes)


def _not_found(traced: Trace) -> Iterator[str]:
    nor = ", nor in the warehouse" if traced.made else ""
    yield f"{_asked_for(traced)}: no row in {counted(traced.loads, 'load')}{nor}"
    for name in traced.kept_as_text:
        yield f"  `{name}` is compared as PostgreSQL prints it: {name}::text"
    yield from (f"note: {note}" for note in traced.notes)


def _asked_for(traced: Trace) -> str:
    key = ", ".join(f"{name} {value}" for name, value in traced.key.items())
    return f"{traced.table.shown}, {key}"
