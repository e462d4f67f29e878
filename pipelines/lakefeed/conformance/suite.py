"""The promises in the order in which they are tried, and how each ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lakefeed.conformance.promises import (
    history,
    housekeeping,
    kills,
    publication,
    schema_changes,
    staging,
    values,
)
from lakefeed.conformance.trial import Trial


@dataclass(frozen=True)
class Promise:
    """Something that Lakefeed promises on every engine, and the function that tries it."""

    name: str
    area: str
    attempt: Callable[[Trial], None]


@dataclass(frozen=True)
class Outcome:
    """How a promise ended: `why` it failed is empty if it was kept."""

    promise: Promise
    seconds: float
    why: str = ""

    @property
    def is_kept(self) -> bool:
        return not self.why


# The others need what the first builds.
FIRST = Promise("a first build has what the source has", "staging", values.first_build)
PROMISES = (
    FIRST,
    Promise("values of all types survive a build", "types", values.types_survive_a_build),
    Promise("values of all types survive a merge", "types", values.types_survive_a_merge),
    Promise("rows are added, updated and removed", "staging", staging.inserts_updates_and_deletes),
    Promise("deleted rows are marked", "staging", staging.deletes_are_marked),
    Promise("odd keys and names are kept apart", "staging", staging.odd_keys_and_names),
    Promise(
        "lost files never pass for an empty load",
        "staging",
        staging.a_load_whose_files_are_gone_fails,
    ),
    Promise("history has every version of a row", "history", history.versions_of_rows),
    Promise("a column is added", "schema changes", schema_changes.a_column_is_added),
    Promise("columns are widened", "schema changes", schema_changes.columns_are_widened),
    Promise("a column is dropped", "schema changes", schema_changes.a_column_is_dropped),
    Promise("killed runs are made up for", "kills", kills.killed_runs_are_made_up_for),
    Promise(
        "a failing test holds its model back",
        "publication",
        publication.a_failing_test_holds_its_model_back,
    ),
    Promise("readers never see half a build", "publication", publication.readers_never_see_a_build),
    Promise("a rollback shows the version before", "rollback", publication.rollback_and_resume),
    Promise(
        "a rebuild equals what grew load by load",
        "rebuild",
        publication.a_rebuild_equals_what_grew,
    ),
    Promise("a prune keeps versions readable", "housekeeping", housekeeping.prune_keeps_versions),
    Promise("an erased row is gone", "housekeeping", housekeeping.an_erased_row_is_gone),
)


def try_promises(trial: Trial, promises: Sequence[Promise] = PROMISES) -> Iterator[Outcome]:
    """Tries each promise; ends after the first one if that is broken, since the others need it."""
    for promise in promises:
        outcome = _tried(trial, promise)
        yield outcome
        if promise is FIRST and not outcome.is_kept:
            return


def _tried(trial: Trial, promise: Promise) -> Outcome:
    started, why = time.monotonic(), ""
    try:
        promise.attempt(trial)
    except Exception as error:  # noqa: BLE001 - whatever an engine's client raises breaks it
        why = str(error) or type(error).__name__
    return Outcome(promise, time.monotonic() - started, why)
