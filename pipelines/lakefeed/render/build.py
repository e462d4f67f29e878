"""How a build is told: what dbt built, what failed, what was kept for it, what is rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefeed.render.wording import counted

if TYPE_CHECKING:
    from lakefeed.orchestration.build.rebuild import RebuildReport
    from lakefeed.orchestration.build.rollback import Rollback
    from lakefeed.orchestration.impact.trial_build import TrialBuildReport
    from lakefeed.orchestration.reports.run_report import RunReport
    from lakefeed.transformation.dbt_adapter.runner import BuildResult


def render_build(report: RunReport) -> str:
    """One line for a build, the failures, and what was kept for them."""
    assert report.build is not None
    changed = sum(counts.changed for counts in report.staged.values())
    return (
        f"{build_line(report.build)}; {changed:,} rows new in staging{kept_lines(report)} "
        f"({report.build.seconds:.1f} s)"
    )


def render_rebuild(report: RebuildReport) -> str:
    """One line for the build, and where the warehouse is."""
    line = f"{build_line(report.build)} ({report.build.seconds:.1f} s)"
    if report.build.failures:
        return f"{line}\nnothing was replaced"
    moment = f" as of {report.as_of.isoformat()}" if report.as_of else ""
    aside = f"\nwhat could not be read is now {report.set_aside}" if report.set_aside else ""
    return f"{line}\nthe warehouse{moment} is {report.path}{aside}"


def render_changed(report: TrialBuildReport) -> str:
    """What was built of a change, and where it can be looked at."""
    since = f"since {report.revision} ({report.commit[:9]})"
    if report.build is None:
        return f"nothing that dbt builds has changed {since}"
    rows = (
        (f"changed {since}", report.changed),
        ("below", report.below),
        ("unchanged, but not there yet", report.lacking),
        (
            "raw holds no load of these, so they are empty, and not tested",
            [t.shown for t in report.unloaded],
        ),
    )
    lines = [f"{what}: {', '.join(names)}" for what, names in rows if names]
    kind = "a copy of the warehouse" if report.is_copy else "a warehouse of its own"
    place = f"nothing is published; this is in {kind}: {report.path}"
    return "\n".join([*lines, f"{build_line(report.build)} ({report.build.seconds:.1f} s)", place])


def kept_lines(report: RunReport) -> str:
    """What is in the warehouse as it was published last, and why."""
    lines = []
    if report.held_back:
        models = ", ".join(f"stg_{name}" for name in report.held_back)
        lines.append(f"held back, with the models below: {models}")
    for why, names in _by_reason(report.kept).items():
        lines.append(f"kept as last published, since {why}: {', '.join(names)}")
    if lines and report.published_at is None:
        lines.append("nothing new was published")
    return "".join(f"\n{line}" for line in lines)


def _by_reason(kept: dict[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, why in kept.items():
        grouped.setdefault(why, []).append(name)
    return grouped


def publication_line(report: RunReport) -> str:
    """When it was published, if it was."""
    if report.published_at:
        return f"published at {report.published_at}"
    return "nothing that people see has changed, so that nothing was published"


def render_rollback(rollback: Rollback) -> str:
    """What is published now, what isn't any more, and how to go on."""
    undone = "none was there"
    if rollback.undone:
        undone = f"that of {rollback.undone} is kept as undone"
    elif rollback.set_aside:
        undone = f"what could not be read is now {rollback.set_aside}"
    return f"published is the version of {rollback.returned_to} again; {undone}\n{rollback.warning}"


def render_resume(rollback: Rollback | None) -> str:
    """What the next run does."""
    if rollback is None:
        return "the warehouse is not rolled back: nothing to resume"
    return (
        f"the next run builds on the version of {rollback.returned_to} what raw holds beyond it; "
        "now: lakefeed build"
    )


def build_line(result: BuildResult) -> str:
    """What dbt built, and each failure and warning in a line of its own."""
    models, tests = counted(result.count("model"), "model"), counted(result.count("test"), "test")
    line = f"dbt built {models} and passed {tests}"
    ended = (("failed", result.failures), ("warned", result.warnings))
    counts = ", ".join(f"{len(nodes)} {how}" for how, nodes in ended if nodes)
    told = [f"  {how}: {node.name}: {node.told}" for how, nodes in ended for node in nodes]
    return "\n".join([f"{line}; {counts}:", *told, " "]) if told else line
