"""The newest snapshot of a lake as a candidate: where dbt builds and tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from duckdb import DuckDBPyConnection, Error

from lakefeed.declaration.project import Project
from lakefeed.errors import Refused
from lakefeed.interruption import note_done, raise_if_interrupted
from lakefeed.transformation.dbt_adapter.runner import BuildResult, run_dbt
from lakefeed.transformation.manifest import Model
from lakefeed.transformation.targets.ducklake import LAKE, Lake
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.duckdb_contents import DuckDBContents
from lakefeed.transformation.warehouse.base.duckdb_state import write_state
from lakefeed.transformation.warehouse.base.ledger import drop_relations
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.base.put_back import put_back_model
from lakefeed.transformation.warehouse.base.versions import kept_beside_new
from lakefeed.transformation.warehouse.base.warehouse import Relation
from lakefeed.transformation.warehouse.ducklake.failing_rows import keep_failing_rows
from lakefeed.transformation.warehouse.ducklake.lock import NOTHING_LOST, assert_locked, newest
from lakefeed.transformation.warehouse.ducklake.public_views import pin, stored
from lakefeed.transformation.warehouse.ducklake.records import (
    LakeVersion,
    Mark,
    newest_snapshot,
    read_mark,
    record_versions,
    versions,
    write_mark,
)
from lakefeed.transformation.warehouse.ducklake.return_to import attached_published

ANOTHER = "another run has started to build the warehouse and discarded what this run built"


@dataclass(frozen=True)
class LakeCandidate:
    """The newest snapshot, while a build works on it."""

    project: Project
    lake: Lake
    mark: Mark

    @property
    def is_whole(self) -> bool:
        return self.mark.is_whole

    @property
    def contents(self) -> Contents:
        return DuckDBContents(lambda: newest(self.lake))

    def run_dbt(self, arguments: Sequence[str]) -> BuildResult:
        def check() -> None:
            # Without the lock, models would go into the build of whoever has it by now.
            assert_locked(self.lake)

        return run_dbt(self.project, "build", arguments, self.lake, check=check)

    def keep_failing_rows(self, result: BuildResult) -> BuildResult:
        with self._opened() as session:
            place = self.project.declaration.warehouse.data_url or ""
            return keep_failing_rows(session, self.project, result, place)

    def put_back(self, models: Iterable[Model]) -> None:
        published = self.mark.started_from
        with self._opened() as session, attached_published(session, self.lake, published):
            for model in models:
                put_back_model(session, model)

    def drop(self, relations: Iterable[Relation]) -> None:
        with self._opened() as session:
            drop_relations(session, relations)

    def write_state(self, state: PublicationState) -> None:
        with self._opened() as session:
            write_state(session, state)

    def mark_whole(self) -> None:
        with self._opened() as session:
            session.begin()
            write_mark(session, replace(self.mark, is_whole=True))
            session.commit()

    def publish(self) -> None:
        with self._opened() as session:
            published_at = self._published_at()
            session.begin()
            refuse_if_overtaken(session, self.mark)
            snapshot = newest_snapshot(session)
            pin(session, snapshot, stored(session, LAKE))
            new = LakeVersion(published_at, snapshot=snapshot, is_current=True)
            most = self.project.declaration.warehouse.keep
            record_versions(session, [*kept_beside_new(versions(session), most), new])
            write_mark(session, None)
            assert_locked(self.lake)
            commit_publication(session)

    def _published_at(self) -> dt.datetime:
        return self.contents.state().published_at or dt.datetime.now(dt.UTC)

    @contextmanager
    def _opened(self) -> Iterator[DuckDBPyConnection]:
        assert_locked(self.lake)
        with newest(self.lake) as session:
            yield session


def refuse_if_overtaken(session: DuckDBPyConnection, mark: Mark) -> None:
    """Checks that no other build has begun since this one.

    Raises:
        Refused: one has.
    """
    found = read_mark(session)
    if found is None or found.build != mark.build:
        raise Refused(ANOTHER, do=NOTHING_LOST)


def commit_publication(session: DuckDBPyConnection) -> None:
    """Commits a publication.

    Raises:
        Refused: another build has begun meanwhile.
    """
    raise_if_interrupted()
    try:
        session.commit()
        note_done("the new version of the warehouse was published before")
    except Error as error:
        if "conflict" not in str(error).lower():
            raise
        raise Refused(ANOTHER, do=NOTHING_LOST) from None
