"""How the result of `lakefeed init` is printed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

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
            *(f"  skipped {_on_one_line(name)}: {why}" for name, why in report.left_out),
            *(f"  note: {_on_one_line(warning)}" for warning in report.warnings),
            *_other_schemas(report),
            f"{counted(report.tables, 'table')}: {report.incremental} incremental, "
            f"{report.tables - report.incremental} full refresh. Review sources.yaml, then run:",
            "  lakefeed run",
        ]
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
