"""The DuckDB file as a warehouse."""

from __future__ import annotations

import datetime as dt
import errno
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lakefeed.declaration.project import Project
from lakefeed.disk import refused, why_unwritable
from lakefeed.errors import DeclarationError, LakefeedError, Refused
from lakefeed.loading.locks.lock_file import Busy, file_lock, holder_of
from lakefeed.loading.object_store.duckdb_access import Session
from lakefeed.sql import literal, quote
from lakefeed.textfile import replace_text
from lakefeed.transformation.dataset import Dataset
from lakefeed.transformation.dbt_adapter.runner import BuildResult, run_dbt
from lakefeed.transformation.manifest import Model
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.duckdb_state import write_state
from lakefeed.transformation.warehouse.base.ledger import drop_relations
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.base.warehouse import (
    Inspection,
    Relation,
    SetAside,
    Version,
)
from lakefeed.transformation.warehouse.duckdb_file.candidate import (
    CandidateFile,
    discard_candidate,
    mark_whole,
    open_candidate,
    start_candidate,
)
from lakefeed.transformation.warehouse.duckdb_file.failing_rows import (
    failing_rows_of,
    forget_failing_rows,
    keep_failing_rows,
)
from lakefeed.transformation.warehouse.duckdb_file.file_apart import FileApart
from lakefeed.transformation.warehouse.duckdb_file.open_file import contents_of, writing
from lakefeed.transformation.warehouse.duckdb_file.publication import (
    FileVersion,
    file_set_aside,
    forget_all_versions,
    forget_damaged,
    readable_version,
    replace_published,
    return_to,
    version_before,
)
from lakefeed.transformation.warehouse.duckdb_file.restore import restore_models


@dataclass(frozen=True)
class FileCandidate:
    """A copy of the published file."""

    project: Project
    file: CandidateFile

    @property
    def is_whole(self) -> bool:
        return self.file.is_whole

    @property
    def contents(self) -> Contents:
        return contents_of(self.file.path)

    def run_dbt(self, arguments: Sequence[str]) -> BuildResult:
        return run_dbt(self.project, "build", arguments, self.file.path)

    def keep_failing_rows(self, result: BuildResult) -> BuildResult:
        kept = failing_rows_of(self.project.warehouse)
        return keep_failing_rows(self.project, self.file.path, result, kept)

    def put_back(self, models: Iterable[Model]) -> None:
        restore_models(self.file.path, self.project.warehouse, models)

    def drop(self, relations: Iterable[Relation]) -> None:
        with writing(self.file.path) as session:
            drop_relations(session, relations)

    def write_state(self, state: PublicationState) -> None:
        # Closed again at once, so that no write-ahead log is left behind.
        with writing(self.file.path) as session:
            write_state(session, state)

    def mark_whole(self) -> None:
        mark_whole(self.file)

    def publish(self) -> None:
        replace_published(self.project, self.file)


class WarehouseFile:
    """A DuckDB file that is always replaced whole."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def published(self) -> Contents:
        return contents_of(self._project.warehouse)

    @property
    def shown(self) -> str:
        return self._project.declaration.warehouse.path

    @property
    def place(self) -> str:
        return str(self._project.warehouse)

    def identity(self) -> str:
        # Its path may be the same on two machines, and changes with a project that is moved, raw
        # and all.
        known = self._project.data / "builder"
        if not known.exists():
            known.parent.mkdir(parents=True, exist_ok=True)
            replace_text(known, uuid.uuid4().hex, durable=False)
        own, raw = known.read_text(encoding="utf-8").strip(), self._project.raw
        moves_along = raw.is_local and Path(raw.url).is_relative_to(self._project.root)
        return own if moves_along else f"{self.place}\n{own}"

    def dataset(self, schema: str, name: str) -> Dataset:
        # As OpenLineage's own integration of dbt names it.
        file = self._project.warehouse
        return Dataset(f"duckdb://{file}", f"{file.stem}.{schema}.{name}")

    def exists(self) -> bool:
        return self._project.warehouse.exists()

    def inspect(self) -> Inspection:
        lacks: list[LakefeedError] = []
        try:
            self.refuse_lost()
            self.published.state()
        except LakefeedError as unreadable:
            lacks.append(unreadable)
        # A missing folder is told once.
        told = {str(error) for error in lacks}
        unwritable = filter(None, map(why_unwritable, self.folders()))
        lacks += [error for error in unwritable if str(error) not in told]
        return Inspection("DuckDB", duckdb.__version__, self.shown, tuple(lacks))

    def folders(self) -> tuple[Path, ...]:
        return (self._project.warehouse.parent,)

    def refuse_lost(self) -> None:
        declared = self._project.root / self._project.declaration.warehouse.path
        # Never create the link's target: it may be the mount point of a disk that isn't mounted.
        if declared.is_symlink() and not self._project.warehouse.parent.exists():
            raise refused(errno.ENOENT, f"{declared} -> {self._project.warehouse}")

    @contextmanager
    def lock(self) -> Iterator[None]:
        try:
            with file_lock(self._lock_path, timeout=600):
                yield
        except Busy as error:
            holder = error.holder
            raise Refused(
                "another run has been building the warehouse for more than ten minutes"
                + (f": {holder}" if holder else ""),
                do="wait for it to end, then run: lakefeed build"
                + (f". To end it{holder.where}: kill {holder.pid}" if holder else ""),
            ) from None

    def lock_holder(self) -> str:
        holder = holder_of(self._lock_path)
        return f"{holder}; to end it{holder.where}: kill {holder.pid}" if holder else ""

    @property
    def _lock_path(self) -> Path:
        return self._project.data / "locks" / "warehouse.lock"

    def attach(self, session: Session, model: str) -> str:
        file = literal(str(self._project.warehouse))
        session.execute(f"attach if not exists {file} as warehouse (read_only)")
        return f"warehouse.staging.{quote(model)}"

    def start(self, build: str, *, empty: bool = False) -> FileCandidate:
        return FileCandidate(self._project, start_candidate(self._project, build, empty=empty))

    def started(self, build: str) -> FileCandidate:
        return FileCandidate(self._project, open_candidate(self._project, build))

    def discard(self) -> None:
        discard_candidate(self._project)

    def apart(self, folder: Path, as_of: dt.datetime | None = None) -> FileApart:  # noqa: ARG002
        return FileApart(self._project, folder / self._project.warehouse.name)

    def refuse_output(self, file: Path) -> None:
        if file == self._project.warehouse:
            raise DeclarationError(
                f"--output {file}: this is the published warehouse",
                do="to replace it, run `lakefeed rebuild` without --as-of and --output",
            )

    def forget_apart(self) -> list[str]:
        return []

    def current(self) -> Version | None:
        return readable_version(self._project)

    def version_before(self, current: Version | None) -> Version | None:
        return version_before(self._project, current)

    def return_to(self, version: Version, current: Version | None) -> SetAside | None:
        assert isinstance(version, FileVersion)
        assert current is None or isinstance(current, FileVersion)
        aside = return_to(self._project, version, current)
        return SetAside(aside, aside.stat().st_ino) if aside else None

    def rollback_note(self) -> tuple[str, str] | None:
        if not self._rollback.exists():
            return None
        return self._rollback.read_text(encoding="utf-8"), str(self._rollback)

    def note_rollback(self, note: str | None) -> None:
        if note is None:
            self._rollback.unlink(missing_ok=True)
        else:
            replace_text(self._rollback, note)

    @property
    def _rollback(self) -> Path:
        return self._project.data / "rolled_back.json"

    def forget_versions(self) -> list[dt.datetime]:
        return forget_all_versions(self._project)

    def remove_unneeded(self) -> None:
        """A file has nothing else: publication removes the versions beyond `keep`."""

    def forget_failing_rows(self) -> None:
        # Remove the file: `drop table` would leave the rows' bytes in its free blocks.
        forget_failing_rows(self._project.warehouse)

    def set_aside(self) -> SetAside | None:
        aside = file_set_aside(self._project)
        return SetAside(aside, aside.stat().st_ino) if aside else None

    def forget_set_aside(self) -> None:
        forget_damaged(self._project)
