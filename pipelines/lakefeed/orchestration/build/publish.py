"""Publishing: a candidate becomes the warehouse that people query, if it holds anything new."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.errors import Refused
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.transformation.warehouse.candidate import discard_candidate, open_candidate
from lakefeed.transformation.warehouse.connection import warehouse_lock
from lakefeed.transformation.warehouse.publication import replace_published
from lakefeed.transformation.warehouse.publication_state import (
    PublicationState,
    read_publication_state,
    write_publication_state,
)


def publish(project: Project, build: str, report: RunReport) -> RunReport:
    """Publishes what this build left in the candidate, and adds to the report when.

    Raises:
        Refused: it is gone, isn't built to its end, or the published file was changed since.
    """
    with warehouse_lock(project):
        return publish_candidate(project, build, report)


def publish_candidate(project: Project, build: str, report: RunReport) -> RunReport:
    """As `publish`, by the holder of the warehouse's lock.

    A build that changed nothing that people see, such as one in which the same models fail again,
    is thrown away: it would only push an earlier version out.
    """
    candidate = open_candidate(project, build)
    if not candidate.is_whole:
        raise Refused(
            "this run staged what was new and built nothing on it",
            do="nothing is published and nothing lost: the next run builds it",
        )
    standing = read_publication_state(candidate.path)
    if not standing.has_new_models and not _holds_others_back(project, standing):
        discard_candidate(project)
        return report
    now = dt.datetime.now(dt.UTC)
    write_publication_state(candidate.path, standing.published(now))
    replace_published(project, candidate)
    discard_candidate(project)
    return replace(report, published_at=now.isoformat(timespec="seconds"))


def _holds_others_back(project: Project, standing: PublicationState) -> bool:
    """Whether other models wait than in the published file."""
    if not project.warehouse.exists():
        return False
    return standing.held != read_publication_state(project.warehouse).held
