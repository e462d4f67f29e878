"""What a warehouse must do, whatever it consists of: build apart, publish, return to a version.

Readers see the published version until a candidate, built and tested, takes its place in one step.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lakefeed.errors import LakefeedError
from lakefeed.loading.object_store.duckdb_access import Session
from lakefeed.transformation.dataset import Dataset
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.manifest import Model
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.publication_state import PublicationState


@dataclass(frozen=True)
class Version:
    """A version that is or was published, and when. `is_undone` is true if it was rolled back."""

    published_at: dt.datetime
    is_undone: bool = False


@dataclass(frozen=True)
class SetAside:
    """An unreadable warehouse that was moved away, and what tells it from one moved earlier."""

    path: Path
    identity: int


@dataclass(frozen=True)
class Relation:
    """A table or view of the warehouse. `kind` is empty if only the ledger still mentions it."""

    schema: str
    name: str
    kind: str

    @property
    def shown(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Inspection:
    """What a warehouse is, and what it lacks.

    Attributes:
        engine: what builds it, such as `DuckDB`.
        version: the engine's version, and that of what it depends on.
        place: where it is, without secrets.
        lacks: why a build would fail; what can't be tried until then isn't mentioned.
        note: what its user should know of Lakefeed on this engine.
    """

    engine: str
    version: str
    place: str
    lacks: tuple[LakefeedError, ...] = ()
    note: str = ""

    def as_json(self) -> dict[str, str]:
        """What it is, for `--json`."""
        return {"engine": self.engine, "version": self.version, "place": self.place}


class Candidate(Protocol):
    """Where dbt builds and tests before publication; readers don't see it."""

    @property
    def contents(self) -> Contents:
        """What it contains."""

    @property
    def is_whole(self) -> bool:
        """Whether more than the staging layer is built, so that it may be published."""

    def run_dbt(self, arguments: Sequence[str]) -> BuildResult:
        """Runs `dbt build` with these arguments.

        Raises:
            BuildFailed: dbt could not start, for example because a model can't be parsed.
        """

    def keep_failing_rows(self, result: BuildResult) -> BuildResult:
        """Moves the rows that failed tests stored to where they can be read, published or not.

        Returns:
            The result, in which failed tests say where their rows are.
        """

    def put_back(self, models: Iterable[Model]) -> None:
        """Puts these models back to their published version, and drops those that have none.

        So is what the ledger has of them: the next build stages later loads again, and makes
        anew what this one did.
        """

    def drop(self, relations: Iterable[Relation]) -> None:
        """Drops these relations and what the ledger has of them."""

    def write_state(self, state: PublicationState) -> None:
        """Replaces the publication state."""

    def mark_whole(self) -> None:
        """Records that it is completely built and may be published."""

    def publish(self) -> None:
        """Publishes it in one step and keeps the previous version as `warehouse.keep` says.

        If the process is killed, readers see either the old or the new version, complete.

        Raises:
            Refused: another version was published since the candidate was started.
        """


class Apart(Protocol):
    """A warehouse apart from the published one: a DuckDB file, or schemas of the same catalog."""

    @property
    def path(self) -> Path:
        """The file; beside it are the failing rows of its tests, also where it isn't a file."""

    def fill(self) -> None:
        """Copies the published version into it, if there is one."""

    def fill_without_rows(self) -> None:
        """Copies schemas, tables, views and comments of the published version, if there is one."""

    def run_dbt(self, command: str, arguments: Sequence[str]) -> BuildResult:
        """Runs a dbt command in it.

        Raises:
            BuildFailed: dbt could not start, for example because a model can't be parsed.
        """

    def keep_failing_rows(self, result: BuildResult, beside: Path | None = None) -> BuildResult:
        """Moves the rows that failed tests stored to a file beside it, or beside another file."""

    def stay(self, target: Path) -> str:
        """Makes it stay after its build; returns where it is: a file, at this path."""

    def leave(self) -> str:
        """Ends a trial; returns where its result is, empty if nothing stays of it."""

    def remove(self) -> None:
        """Removes it."""


class Warehouse(Protocol):
    """The warehouse of a project."""

    @property
    def published(self) -> Contents:
        """What the published version contains. While it is open, no other program writes it."""

    @property
    def shown(self) -> str:
        """Where it is, as it is declared."""

    @property
    def place(self) -> str:
        """Where it is, from anywhere."""

    def identity(self) -> str:
        """What tells it from all other warehouses that are built from its raw layer.

        Side effects: a file is given a name of its own, which it keeps, beside it.
        """

    def dataset(self, schema: str, name: str) -> Dataset:
        """The dataset that a table or view of it is in OpenLineage."""

    def exists(self) -> bool:
        """Whether a version is published."""

    def lock_holder(self) -> str:
        """Who holds the lock and how to end it; empty if nobody does.

        Raises:
            SourceUnreachable: it can't be told, because the catalogue can't be reached.
        """

    def inspect(self) -> Inspection:
        """Tries what builds need, in tables and files of its own, which it removes.

        Raises:
            SourceUnreachable: it can't be reached.
            DeclarationError: a variable of its URL isn't set.
            ExtraMissing: a package isn't installed.
        """

    def folders(self) -> tuple[Path, ...]:
        """The folders on this machine that building needs."""

    def refuse_lost(self) -> None:
        """Checks that what it consists of can be reached.

        Raises:
            StorageFailed: it can't, so that a build would begin a new warehouse elsewhere.
        """

    def lock(self) -> AbstractContextManager[None]:
        """The lock that every build holds. It is released when its holder's process ends.

        Raises:
            Refused: another build has held the lock for ten minutes.
        """

    def attach(self, session: Session, model: str) -> str:
        """Attaches the published version; returns a staging model of it as a from-clause item."""

    def start(self, build: str, *, empty: bool = False) -> Candidate:
        """Starts a candidate for this build from the published version, if there is one.

        Args:
            empty: start from nothing, to build from scratch.

        Side effects: discards the candidate of an earlier build.

        Raises:
            BuildFailed: another program has the warehouse open for writing.
        """

    def started(self, build: str) -> Candidate:
        """The candidate that an earlier step of this build left.

        Raises:
            Overtaken: another build has started since, or another version was published.
            Refused: another program has changed what is published.
        """

    def discard(self) -> None:
        """Removes the candidate, if there is one."""

    def apart(self, folder: Path, as_of: dt.datetime | None = None) -> Apart:
        """A warehouse apart, for a build that isn't to be published; its files in this folder.

        Args:
            as_of: the time as of which it is to be built.
        """

    def refuse_output(self, file: Path) -> None:
        """Checks that a warehouse apart can be written to this file; symlinks are resolved.

        Raises:
            DeclarationError: it is the published warehouse.
            Refused: none can be written to a file.
        """

    def forget_apart(self) -> list[str]:
        """Removes the warehouses apart that the catalog has; returns what they were."""

    def current(self) -> Version | None:
        """The published version; None if there is none or it can't be read."""

    def version_before(self, current: Version | None) -> Version | None:
        """The newest readable version before this one, not counting undone ones."""

    def return_to(self, version: Version, current: Version | None) -> SetAside | None:
        """Publishes an earlier version in one step; keeps the current one, marked as undone.

        Side effects: forgets versions between the two. If the current one can't be read, it is set
        aside instead.
        """

    def rollback_note(self) -> tuple[str, str] | None:
        """The note of the rollback in effect, and where it is; None if there is none."""

    def note_rollback(self, note: str | None) -> None:
        """Replaces it, for whoever builds this warehouse; None ends the rollback."""

    def forget_versions(self) -> list[dt.datetime]:
        """Removes all earlier versions; returns their publication times."""

    def remove_unneeded(self) -> None:
        """Removes what no version needs any more."""

    def forget_failing_rows(self) -> None:
        """Removes all kept rows of failed tests; tests store them again when they next run."""

    def set_aside(self) -> SetAside | None:
        """The unreadable warehouse that was set aside, if it still exists."""

    def forget_set_aside(self) -> None:
        """Removes the unreadable warehouse that was set aside."""
