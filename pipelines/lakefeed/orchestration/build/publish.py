"""Publishes a candidate as the warehouse, if it changes anything that readers see."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.errors import LakefeedError, Refused
from lakefeed.loading.maintenance.builders import note_builder
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.base.warehouse import Warehouse
from lakefeed.transformation.warehouse.declared import warehouse_of


def publish(project: Project, build: str, report: RunReport) -> RunReport:
    """Publishes this build's candidate and returns the report with the time of publication.

    Raises:
        Overtaken: another build has begun since.
        Refused: the candidate is unfinished, or another program changed what is published.
    """
    warehouse = warehouse_of(project)
    with warehouse.lock():
        return publish_candidate(project, warehouse, build, report)


def publish_candidate(
    project: Project, warehouse: Warehouse, build: str, report: RunReport
) -> RunReport:
    """Does what `publish` does, for a caller that holds the warehouse's lock.

    A build without visible changes, such as one in which the same models fail again, is discarded:
    publishing it would only displace an earlier version that a rollback could return to.
    """
    candidate = warehouse.started(build)
    if not candidate.is_whole:
        raise Refused(
            "this run built staging but not the models downstream",
            do="nothing was published and nothing is lost: the next run builds them",
        )
    state = candidate.contents.state()
    if not state.has_new_models and not _holds_others_back(warehouse, state):
        warehouse.discard()
        return report
    now = dt.datetime.now(dt.UTC)
    candidate.write_state(state.published(now))
    candidate.publish()
    warehouse.discard()
    published_at = now.isoformat(timespec="seconds")
    newest = {name: table.newest_load for name, table in state.tables.items()}
    warnings = list(report.warnings)
    try:
        note_builder(
            *(project, warehouse.identity(), newest),
            place=warehouse.place,
            published_at=published_at,
        )
    except (OSError, LakefeedError) as error:
        # It is published; a project that only builds may have no right to write to raw.
        warnings.append(
            "raw has no record of this build, so that a prune in another project may remove what "
            f"it hasn't built yet: {str(error).splitlines()[0]}"
        )
    return replace(report, published_at=published_at, warnings=tuple(warnings))


def _holds_others_back(warehouse: Warehouse, state: PublicationState) -> bool:
    """Whether the held-back models differ from those in the published version."""
    return warehouse.exists() and state.held != warehouse.published.state().held
