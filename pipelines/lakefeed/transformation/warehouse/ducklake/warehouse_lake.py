"""The DuckLake as a warehouse.

dbt builds in the newest snapshot, which readers leave alone. A version is a snapshot that was built
and tested; publishing it lets the public views name it, in one transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Location, Project
from lakefeed.errors import Overtaken
from lakefeed.loading.object_store.duckdb_access import Session
from lakefeed.sql import quote
from lakefeed.transformation.dataset import Dataset, dataset_in
from lakefeed.transformation.targets.ducklake import (
    LAKE,
    Lake,
    attach,
    lake_of,
    opened,
    prepare,
)
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.duckdb_contents import DuckDBContents
from lakefeed.transformation.warehouse.base.put_back import PUBLISHED
from lakefeed.transformation.warehouse.base.versions import after_return, earlier_than
from lakefeed.transformation.warehouse.base.warehouse import (
    Inspection,
    SetAside,
    Version,
)
from lakefeed.transformation.warehouse.ducklake.failing_rows import forget_failing_rows
from lakefeed.transformation.warehouse.ducklake.inspection import inspect_lake
from lakefeed.transformation.warehouse.ducklake.lake_apart import LakeApart
from lakefeed.transformation.warehouse.ducklake.lake_candidate import (
    ANOTHER,
    LakeCandidate,
    commit_publication,
)
from lakefeed.transformation.warehouse.ducklake.lock import (
    NOTHING_LOST,
    assert_locked,
    lake_lock,
    lock_holder,
    newest,
)
from lakefeed.transformation.warehouse.ducklake.maintenance import expire, merge_small_files
from lakefeed.transformation.warehouse.ducklake.public_views import pin, stored
from lakefeed.transformation.warehouse.ducklake.records import (
    LakeVersion,
    Mark,
    create_records,
    current_version,
    read_mark,
    record_versions,
    versions,
    write_mark,
)
from lakefeed.transformation.warehouse.ducklake.return_to import (
    attached_published,
    bring_back,
    drop_all,
)
from lakefeed.transformation.warehouse.ducklake.rollback_note import read_note, write_note


class WarehouseLake:
    """A DuckLake in which readers see one pinned snapshot."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def _lake(self) -> Lake:
        return lake_of(self._project)

    @property
    def published(self) -> Contents:
        return DuckDBContents(lambda: _opened_as_published(self._lake))

    @property
    def shown(self) -> str:
        return self._project.declaration.warehouse.data_url or ""

    @property
    def place(self) -> str:
        return self._lake.data_url

    def identity(self) -> str:
        return self.place

    def dataset(self, schema: str, name: str) -> Dataset:
        return dataset_in(Location(self.place, self._project.root), f"{schema}/{name}")

    def exists(self) -> bool:
        with newest(self._lake) as session:
            return current_version(session) is not None

    def inspect(self) -> Inspection:
        return inspect_lake(self._project, self._lake)

    def folders(self) -> tuple[Path, ...]:
        place = self._project.declaration.warehouse.data_url or ""
        return () if "://" in place else (self._project.root / place,)

    def refuse_lost(self) -> None:
        """A lake's catalogue says where its files are; a missing one fails when it is read."""

    def lock(self) -> AbstractContextManager[None]:
        return lake_lock(self._lake)

    def lock_holder(self) -> str:
        return lock_holder(self._lake)

    def attach(self, session: Session, model: str) -> str:
        lake = self._lake
        with newest(lake) as own:
            version = current_version(own)
        assert version is not None
        prepare(session, lake)
        attach(session, lake, "warehouse", snapshot=version.snapshot)
        return f"warehouse.staging.{quote(model)}"

    def start(self, build: str, *, empty: bool = False) -> LakeCandidate:
        lake = self._lake
        assert_locked(lake)
        with newest(lake) as session:
            create_records(session)
            current = current_version(session)
            mark = Mark(build, current.snapshot if current else None)
            session.begin()
            write_mark(session, mark)
            session.commit()
            if current and not empty:
                with attached_published(session, lake, current.snapshot):
                    bring_back(session, current.snapshot)
            else:
                drop_all(session)
        return LakeCandidate(self._project, lake, mark)

    def started(self, build: str) -> LakeCandidate:
        lake = self._lake
        with newest(lake) as session:
            mark = read_mark(session)
            if mark is None or mark.build != build:
                raise Overtaken(ANOTHER, do="nothing is lost: the next run builds what is missing")
            current = current_version(session)
        if (current.snapshot if current else None) != mark.started_from:
            raise Overtaken(
                "another version was published while this run was building", do=NOTHING_LOST
            )
        return LakeCandidate(self._project, lake, mark)

    def discard(self) -> None:
        with newest(self._lake) as session:
            if read_mark(session):
                session.begin()
                write_mark(session, None)
                session.commit()

    def apart(self, folder: Path, as_of: dt.datetime | None = None) -> LakeApart:  # noqa: ARG002
        # Views name the lake; a file of its name is a database of its name.
        return LakeApart(self._project, folder / f"{LAKE}.duckdb")

    def refuse_output(self, file: Path) -> None:
        """A lake is no file, so that any may be written."""

    def forget_apart(self) -> list[str]:
        return []

    def current(self) -> Version | None:
        with newest(self._lake) as session:
            return current_version(session)

    def version_before(self, current: Version | None) -> Version | None:
        with newest(self._lake) as session:
            return earlier_than(versions(session), current)

    def return_to(self, version: Version, current: Version | None) -> SetAside | None:
        assert isinstance(version, LakeVersion)
        assert current is not None
        lake = self._lake
        assert_locked(lake)
        with newest(lake) as session:
            with attached_published(session, lake, version.snapshot):
                relations = stored(session, PUBLISHED)
            session.begin()
            pin(session, version.snapshot, relations)
            record_versions(session, after_return(versions(session), version.published_at))
            write_mark(session, None)
            commit_publication(session)
        return None

    def rollback_note(self) -> tuple[str, str] | None:
        note = read_note(self._lake.catalogue)
        return (note, "the lake's catalogue") if note else None

    def note_rollback(self, note: str | None) -> None:
        write_note(self._lake.catalogue, note)

    def forget_versions(self) -> list[dt.datetime]:
        with newest(self._lake) as session:
            known = versions(session)
            session.begin()
            record_versions(session, [version for version in known if version.is_current])
            session.commit()
            expire(session, at_once=True)
        return [version.published_at for version in known if not version.is_current]

    def remove_unneeded(self) -> None:
        with self.lock(), newest(self._lake) as session:
            expire(session, at_once=False)
            merge_small_files(session)

    def forget_failing_rows(self) -> None:
        with newest(self._lake) as session:
            forget_failing_rows(session)

    def set_aside(self) -> SetAside | None:
        return None

    def forget_set_aside(self) -> None:
        """Nothing of a lake is ever set aside."""


@contextmanager
def _opened_as_published(lake: Lake) -> Iterator[DuckDBPyConnection | None]:
    with newest(lake) as session:
        version = current_version(session)
    if version is None:
        yield None
        return
    with opened(lake, snapshot=version.snapshot) as session:
        yield session
