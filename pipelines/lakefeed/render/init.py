"""How the result of `lakefeed init` is printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lakefeed.render.parts.grouping import grouped, of_named
from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.orchestration.project.init import InitReport


def render_init(report: InitReport) -> str:
    """The files that were written, the tables that were skipped, and the next step."""
    return "\n".join(
        [
            *(f"  wrote {name}" for name in report.files),
            *(
                f"  kept {name}: it already exists and differs from the template"
                for name in report.kept
            ),
            *([f"  added to .gitignore: {' '.join(report.ignored)}"] if report.ignored else []),
            *(f"  skipped {line}" for line in _grouped(report.left_out)),
            *(f"  note: {line}" for line in _grouped(report.warnings)),
            *(f"  not carried over: {line}" for line in _grouped(report.not_carried)),
            *_unnamed(report),
            *_other_schemas(report),
            _modes(report),
            *_deletes(report),
            *_next(report),
        ]
    )


def _next(report: InitReport) -> Iterator[str]:
    if report.needs is None:
        yield "Review sources.yaml, then run:"
    else:
        yield report.needs.to_do
        yield f"  pip install 'lakefeed[{','.join(report.needs.extras)}]'"
        yield "  lakefeed sync"
        yield "  lakefeed check --warehouse"
    yield "  lakefeed run"


def _grouped(about: Iterable[tuple[str, str]]) -> Iterator[str]:
    named = [(_on_one_line(name), _on_one_line(text)) for name, text in about]
    return (text.replace("\n", "\n  ") for text in grouped(of_named(named)))


def _paused(report: InitReport) -> str:
    return f" ({report.paused} paused)" if report.paused else ""


def _modes(report: InitReport) -> str:
    appended = f"{report.appended} append, " if report.appended else ""
    whole = report.tables - report.incremental - report.appended
    modes = f"{report.incremental} incremental, {appended}{whole} full refresh"
    return f"{counted(report.tables, 'table')}: {modes}{_paused(report)}."


def _deletes(report: InitReport) -> Iterator[str]:
    if report.incremental:
        yield (
            f"Rows deleted in the source stay in staging of {_incremental(report.incremental)}; to "
            "remove or mark them, set `deletes` (what that scans: lakefeed check --connect)."
        )


def _incremental(tables: int) -> str:
    return "the incremental table" if tables == 1 else f"the {tables:,} incremental tables"


def _unnamed(report: InitReport) -> Iterator[str]:
    if report.unnamed:
        yield (
            f"  note: the same schemas have {counted(report.unnamed, 'other table')} that the file "
            "doesn't load"
        )


def _other_schemas(report: InitReport) -> Iterator[str]:
    if report.elsewhere:
        listed = ", ".join(f"{name} ({count})" for name, count in report.elsewhere.items())
        yield (
            f"  note: other schemas contain tables: {_on_one_line(listed)}; to load them, declare "
            'them in sources.yaml, for example as `audit.events` or `"audit.*"`'
        )


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
