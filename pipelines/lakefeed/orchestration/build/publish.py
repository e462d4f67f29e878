"""Publishes a candidate as the warehouse file, if it changes anything that readers see."""

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
    """Publishes this build's candidate and returns the report with the time of publication.

    Raises:
        Refused: the candidate is gone or unfinished, or the published file has changed since.
    """
    with warehouse_lock(project):
        return publish_candidate(project, build, report)


def publish_candidate(project: Project, build: str, report: RunReport) -> RunReport:
    """Does what `publish` does, for a caller that holds the warehouse's lock.

    A build without visible changes, such as one in which the same models fail again, is discarded:
    publishing it would only displace an earlier version that a rollback could return to.
    """
    candidate = open_candidate(project, build)
    if not candidate.is_whole:
        raise Refused(
            "this run built staging but not the models downstream",
            do="nothing was published and nothing is lost: the next run builds them",
        )
    state = read_publication_state(candidate.path)
    if not state.has_new_models and not _holds_others_back(project, state):
        discard_candidate(project)
        return report
    now = dt.datetime.now(dt.UTC)
    write_publication_state(candidate.path, state.published(now))
    replace_published(project, candidate)
    discard_candidate(project)
    return replace(report, published_at=now.isoformat(timespec="seconds"))


def _holds_others_back(project: Project, state: PublicationState) -> bool:
    """Whether the held-back models differ from those in the published file."""
    if not project.warehouse.exists():
        return False
    return state.held != read_publication_state(project.warehouse).held
