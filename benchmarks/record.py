"""The ratios that were last recorded, and whether those of now are worse."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.rounds import Row

# Medians of three runs on a shared machine vary by a tenth; a quarter is no chance.
TOLERANCE = 0.25
_OURS = "Lakefeed"
# Ratios to a base that is over sooner say how the base happened to fare.
SHORTEST_BASE = 0.15


@dataclass(frozen=True)
class Record:
    """What one case came to: ratios by row. Seconds differ from machine to machine: none here."""

    date: str
    commit: str
    machine: str
    scale: float
    ratios: dict[str, float]


def ratios_of(rows: Sequence[Row], *, shortest_base: float = 0.0) -> dict[str, float]:
    """The ratios of each row that has any, by group and contender: of wall time and of CPU time.

    Args:
        shortest_base: leaves out ratios to a base that took less, in seconds.
    """
    ratios = {}
    for row in rows:
        for what, seconds, ratio in (
            ("", row.wall, row.ratio),
            (", CPU", row.client_cpu, row.cpu_ratio),
        ):
            if ratio and seconds and seconds / ratio >= shortest_base:
                ratios[f"{row.group} | {row.contender}{what}"] = round(ratio, 3)
    return ratios


def regressions(
    recorded: Mapping[str, float], now: Mapping[str, float], tolerance: float = TOLERANCE
) -> list[str]:
    """In words, each ratio of Lakefeed's that is worse than recorded, or missing."""
    said = []
    for name, before in recorded.items():
        if not name.partition(" | ")[2].startswith(_OURS):
            continue
        ratio = now.get(name)
        if ratio is None:
            said.append(f"{name}: was {before:.2f} × its base, now has no result")
        elif ratio > before * (1 + tolerance):
            worse = ratio / before - 1
            said.append(f"{name}: was {before:.2f} × its base, now {ratio:.2f} × ({worse:+.0%})")
    return said


def read_records(path: Path) -> dict[str, Record]:
    """All recorded cases; none where nothing was recorded yet."""
    if not path.exists():
        return {}
    return {
        case: Record(**found)
        for case, found in json.loads(path.read_text(encoding="utf-8")).items()
    }


def write_record(path: Path, case: str, record: Record) -> None:
    """Replaces what is recorded of a case."""
    records = {**read_records(path), case: record}
    text = json.dumps({name: asdict(records[name]) for name in sorted(records)}, indent=2)
    path.write_text(f"{text}\n", encoding="utf-8")
