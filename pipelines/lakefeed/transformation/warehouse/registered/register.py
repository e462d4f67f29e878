"""The register: one row that says who builds, what is published, and which versions are kept.

Engines have no transaction over several tables and their definitions, but each statement that
changes one table is atomic. So everything that must change together is one document in one row, and
is replaced only by a writer that has read its newest revision.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from lakefeed.declaration.project import Project
from lakefeed.transformation.manifest import read_models
from lakefeed.transformation.warehouse.base.lease import Lease
from lakefeed.transformation.warehouse.base.versions import RecordedVersion, published_among

# The schema and the table of the register.
RECORDS = "_lakefeed_publication"
REGISTER = "register"

# Schema and name of the relations that belong to a warehouse.
Ours = set[tuple[str, str]]


class Placed(Protocol):
    """A table or view of a version."""

    @property
    def schema(self) -> str: ...

    @property
    def name(self) -> str: ...


S = TypeVar("S", bound=Placed)


@dataclass(frozen=True)
class StoredVersion(RecordedVersion, Generic[S]):
    """A version and what is stored of it.

    Attributes:
        is_whole: whether what readers query is known to show it all.
    """

    relations: tuple[S, ...] = ()
    is_whole: bool = True


@dataclass(frozen=True)
class Mark:
    """The build that works on the tables, and the published version that it started from.

    Attributes:
        is_anew: whether every model is built from nothing, although its table stays until then.
        gone: tables that don't belong to the candidate but must stay, since a version needs them;
            by `schema.name` their snapshots: one that was written since belongs to it again.
        made: schema and name of each model that dbt knew where it built. The task that publishes
            may run on a machine on which dbt never ran.
    """

    build: str
    started_from: dt.datetime | None
    is_whole: bool = False
    is_anew: bool = False
    gone: dict[str, int | None] = field(default_factory=dict)
    made: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ApartSchemas:
    """The schemas of a build apart: how their names begin, and since when, in µs of its clock.

    Attributes:
        as_of: the time as of which they were built to stay; None for those of a trial build.
    """

    prefix: str
    since: int
    as_of: dt.datetime | None = None


@dataclass(frozen=True)
class Register(Generic[S]):
    """What the register says.

    Attributes:
        has_begun: a build has begun in this warehouse, ever.
        rollback: the note of the rollback in effect; empty if there is none.
    """

    revision: int = 0
    has_begun: bool = False
    lease: Lease | None = None
    mark: Mark | None = None
    versions: tuple[StoredVersion[S], ...] = ()
    apart: tuple[ApartSchemas, ...] = ()
    rollback: str = ""

    @property
    def current(self) -> StoredVersion[S] | None:
        """The published version, if there is one."""
        return published_among(self.versions)

    def ours(self, project: Project) -> Ours:
        """The relations that belong to the warehouse: the project's models, and what versions have.

        Others may have tables in the same place, even in the same schemas.
        """
        models = {(model.schema, model.identifier) for model in read_models(project)}
        models |= {(schema, name) for schema, name in self.mark.made} if self.mark else set()
        return models | {(r.schema, r.name) for v in self.versions for r in v.relations}

    def with_version(self, new: StoredVersion[S]) -> Register[S]:
        """The register in which this version replaces the one of the same time."""
        return replace(
            self,
            versions=tuple(
                new if version.published_at == new.published_at else version
                for version in self.versions
            ),
        )


@dataclass(frozen=True)
class RegisterRow:
    """A row of the register; the last two are for readers, who can't read the document.

    `published_at` is null if nothing is published.
    """

    revision: int
    document: str
    published_at: str | None
    is_whole: bool


class RegisterTable(Protocol[S]):
    """The table of one row, as an engine has it."""

    def row(self) -> tuple[int, str] | None:
        """Its revision and document; None if there is no such table."""

    def create(self, row: RegisterRow) -> None:
        """Creates it with this row; fails if another writer has."""

    def replace(self, revision: int, row: RegisterRow) -> None:
        """Replaces the row if it still has that revision, by one statement."""

    def is_conflict(self, error: Exception) -> bool:
        """Whether a statement failed because another writer was faster."""

    def written(self, relation: S) -> list[Any]:
        """A relation of a version as JSON types."""

    def read(self, written: list[Any]) -> S:
        """The relation that was written so."""
