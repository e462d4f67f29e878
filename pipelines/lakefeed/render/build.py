"""How builds, rebuilds, trial builds and rollbacks are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakefeed.transformation.model_names import staging_model
from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.orchestration.build.rebuild import RebuildReport
    from lakefeed.orchestration.build.rollback import Rollback
    from lakefeed.orchestration.impact.trial_build import TrialBuildReport
    from lakefeed.orchestration.reports.run_report import RunReport
    from lakefeed.transformation.dbt_adapter.runner import BuildResult


def render_build(report: RunReport) -> str:
    """The result of a build: a summary, each failure, held-back models, and warnings."""
    assert report.build is not None
    changed = sum(counts.changed for counts in report.staged.values())
    line = (
        f"{build_line(report.build)}; {changed:,} new rows in staging{kept_lines(report)} "
        f"({report.build.seconds:.1f} s)"
    )
    return "\n".join([line, *(f"warning: {warning}" for warning in report.warnings)])


def render_rebuild(report: RebuildReport) -> str:
    """The result of a rebuild, and where the warehouse is."""
    line = f"{build_line(report.build)} ({report.build.seconds:.1f} s)"
    if report.build.failures:
        return f"{line}\nthe warehouse was left as it was"
    moment = f" as of {report.as_of.isoformat()}" if report.as_of else ""
    aside = f"\nthe unreadable file was moved to {report.set_aside}" if report.set_aside else ""
    return f"{line}\nwarehouse{moment}: {report.place}{aside}"


def render_changed(report: TrialBuildReport) -> str:
    """What a trial build built, and where to look at it."""
    since = f"since {report.revision} ({report.commit[:9]})"
    if report.build is None:
        return f"no dbt models or tests changed {since}"
    rows = (
        (f"changed {since}", report.changed),
        ("downstream", report.below),
        ("unchanged, but missing from the warehouse", report.lacking),
        (
            "no loads in raw yet, so built empty and not tested",
            [t.shown for t in report.unloaded],
        ),
    )
    lines = [f"{what}: {', '.join(names)}" for what, names in rows if names]
    kind = "a copy of the warehouse" if report.is_copy else "a separate warehouse"
    stays = f"; the result is in {kind}: {report.place}" if report.place else ""
    place = f"nothing was published{stays}"
    return "\n".join([*lines, f"{build_line(report.build)} ({report.build.seconds:.1f} s)", place])


def kept_lines(report: RunReport) -> str:
    """The models that stay at their last published version, and why."""
    lines = []
    if report.held_back:
        models = ", ".join(map(staging_model, report.held_back))
        lines.append(f"held back, with their descendants: {models}")
    for why, names in _by_reason(report.kept).items():
        lines.append(f"held back at the last published version, because {why}: {', '.join(names)}")
    if lines and report.published_at is None:
        lines.append("nothing was published")
    return "".join(f"\n{line}" for line in lines)


def _by_reason(kept: dict[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, why in kept.items():
        grouped.setdefault(why, []).append(name)
    return grouped


def publication_line(report: RunReport) -> str:
    """When the build was published, if it was."""
    if report.published_at:
        return f"published at {report.published_at}"
    return "no visible changes; nothing published"


def render_rollback(rollback: Rollback) -> str:
    """Which version was restored, what became of the one it replaces, and how to resume."""
    replaced = "there was no other version"
    if rollback.undone:
        replaced = f"the version of {rollback.undone} is kept"
    elif rollback.set_aside:
        replaced = f"the unreadable file was moved to {rollback.set_aside}"
    return f"restored the version of {rollback.returned_to}; {replaced}\n{rollback.warning}"


def render_resume(rollback: Rollback | None) -> str:
    """What the next run will do."""
    if rollback is None:
        return "nothing to resume: the warehouse isn't rolled back"
    return (
        f"resumed: the next run builds all newer loads on the version of {rollback.returned_to}; "
        "to build now: lakefeed build"
    )


def build_line(result: BuildResult) -> str:
    """What dbt built, then each failure and warning on its own line."""
    models, tests = counted(result.count("model"), "model"), counted(result.count("test"), "test")
    line = f"dbt built {models} and passed {tests}"
    problems = (("failed", result.failures), ("warned", result.warnings))
    counts = ", ".join(f"{len(nodes)} {status}" for status, nodes in problems if nodes)
    lines = [f"  {status}: {n.name}: {n.told}" for status, nodes in problems for n in nodes]
    return "\n".join([f"{line}; {counts}:", *lines, " "]) if lines else line
