"""Steps that are measured in turn, A B C A B C, so that a slow minute doesn't hit one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.process import Command, Usage, run_measured
from benchmarks.watch import Watch

Listener = Callable[[str], None]


@dataclass(frozen=True)
class Checked:
    """What a run left behind: its size, what is wrong with it, and what to say where nothing is."""

    written_bytes: int
    wrong: str
    right: str = "values exact"


@dataclass(frozen=True)
class Step:
    """Something that is measured.

    Steps of one `group` do the same work; ratios are taken to the step of the group that is its
    `base`. `start` prepares, unmeasured. `check` looks at what the first run left.
    """

    group: str
    contender: str
    version: str
    start: Callable[[], Command]
    check: Callable[[], Checked] | None
    base: bool = False
    remark: str = ""
    limit_seconds: float = 300


@dataclass(frozen=True)
class Measured:
    """One run."""

    usage: Usage
    server_cpu: float
    longest: float


@dataclass(frozen=True)
class Base:
    """What ratios are taken to: the medians of a group's base, in seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Row:
    """What a step came to: medians of its runs. No numbers where it failed."""

    group: str
    contender: str
    version: str
    runs: int
    wall: float | None
    ratio: float | None
    client_cpu: float | None
    cpu_ratio: float | None
    server_cpu: float | None
    peak_bytes: int | None
    longest: float | None
    written_bytes: int | None
    verdict: str


def measure(steps: Sequence[Step], rounds: int, watch: Watch, listener: Listener) -> list[Row]:
    """Runs all steps in turn; a step that failed isn't tried again."""
    runs: dict[int, list[Measured]] = {number: [] for number in range(len(steps))}
    checked: dict[int, Checked] = {}
    for turn in range(rounds):
        for number, step in enumerate(steps):
            if number in checked and not runs[number]:
                continue
            try:
                one = _run(step, watch)
                if number not in checked:
                    checked[number] = step.check() if step.check else Checked(0, "")
            except Exception as error:  # noqa: BLE001 - a contender may fail in any way
                runs[number], checked[number] = [], Checked(0, reason(error))
            else:
                runs[number].append(one)
            walls = ", ".join(f"{run.usage.wall:.2f}" for run in runs[number])
            said = f"{walls} s" if walls else checked[number].wrong
            listener(f"round {turn + 1}: {step.group}: {step.contender}: {said}")
    bases = {
        step.group: Base(
            median(run.usage.wall for run in runs[number]),
            median(run.usage.cpu for run in runs[number]),
        )
        for number, step in enumerate(steps)
        if step.base and runs[number]
    }
    return [
        summarise(step, runs[number], checked[number], bases.get(step.group))
        for number, step in enumerate(steps)
    ]


def summarise(step: Step, runs: Sequence[Measured], checked: Checked, base: Base | None) -> Row:
    """The row of a step: medians of its runs, its ratio to the base, what was found wrong."""
    said = checked.wrong or (checked.right if step.check else "")
    verdict = "; ".join(part for part in (said, step.remark) if part)
    if not runs:
        nothing = (None,) * 8
        return Row(step.group, step.contender, step.version, 0, *nothing, verdict)
    wall = median(run.usage.wall for run in runs)
    cpu = median(run.usage.cpu for run in runs)
    return Row(
        step.group,
        step.contender,
        step.version,
        len(runs),
        wall,
        wall / base.wall if base else None,
        cpu,
        cpu / base.cpu if base and base.cpu else None,
        median(run.server_cpu for run in runs),
        round(median(run.usage.peak_bytes for run in runs)),
        median(run.longest for run in runs),
        checked.written_bytes if step.check else None,
        verdict,
    )


def _run(step: Step, watch: Watch) -> Measured:
    command = step.start()
    with watch:
        usage = run_measured(command, step.limit_seconds)
    if usage.error:
        raise RuntimeError(usage.error)
    return Measured(usage, watch.cpu, watch.longest)


def reason(error: Exception) -> str:
    """Why a step has no numbers, in one line."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return (
        said[0]
        if said[0].startswith(("failed", "not done", "can't"))
        else f"failed: {said[0][:160]}"
    )
