"""How `lakefeed init` tells what it made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lakefeed.render.wording import counted

if TYPE_CHECKING:
    from lakefeed.orchestration.project.init import InitReport


def render_init(report: InitReport) -> str:
    """What was written, and the next step."""
    return "\n".join(
        [
            *(f"  wrote {name}" for name in report.files),
            *(f"  kept {name}: it was there, and differs from Lakefeed's" for name in report.kept),
            *([f"  added to .gitignore: {' '.join(report.ignored)}"] if report.ignored else []),
            *(f"  left out {_on_one_line(name)}: {why}" for name, why in report.left_out),
            *(f"  note: {_on_one_line(warning)}" for warning in report.warnings),
            *_other_schemas(report),
            f"{counted(report.tables, 'table')}: {report.incremental} incremental, "
            f"{report.tables - report.incremental} read whole. Look at sources.yaml, then:",
            "  lakefeed run",
        ]
    )


def _other_schemas(report: InitReport) -> Iterator[str]:
    if report.elsewhere:
        listed = ", ".join(f"{name} ({count})" for name, count in report.elsewhere.items())
        yield (
            f"  note: other schemas have tables, too: {_on_one_line(listed)}; declare them in "
            'sources.yaml, such as `audit.events` or `"audit.*"`'
        )


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
