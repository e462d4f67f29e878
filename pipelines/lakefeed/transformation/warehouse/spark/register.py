"""The register: one row that says who builds, what is published, and which versions are kept.

Iceberg has no transaction over several tables, but each commit to one table is atomic, and an
update under its serializable isolation fails if the table has changed since
(https://iceberg.apache.org/docs/latest/reliability/). So everything that must change together is
one document in one row, and is replaced only by a writer that has read its newest revision.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lakefeed.declaration.project import Project
from lakefeed.documents import refuse_newer
from lakefeed.errors import Refused
from lakefeed.transformation.manifest import read_models
from lakefeed.transformation.targets.spark import StatementFailed, quoted, rows_of, text_literal
from lakefeed.transformation.targets.spark_views import beside_table
from lakefeed.transformation.warehouse.base.format import FORMAT
from lakefeed.transformation.warehouse.base.lease import Lease
from lakefeed.transformation.warehouse.base.versions import RecordedVersion, published_among
from lakefeed.transformation.warehouse.spark.relations import RECORDS, Ours, Stored

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TABLE = quoted(RECORDS, "register")
# Each commit leaves a metadata file; only the newest count.
_PROPERTIES = (
    "'write.metadata.delete-after-commit.enabled' = 'true', "
    "'write.metadata.previous-versions-max' = '20', "
    "'write.update.isolation-level' = 'serializable', 'commit.retry.num-retries' = '0'"
)
_TRIES = 20
_MISSING = "TABLE_OR_VIEW_NOT_FOUND"
_CONFLICTS = ("ValidationException", "CommitFailedException", "conflict")


@dataclass(frozen=True)
class SparkVersion(RecordedVersion):
    """A version: its tables with their snapshots, and its views.

    Attributes:
        is_whole: whether the public views are known to show it all.
    """

    relations: tuple[Stored, ...] = ()
    is_whole: bool = True


@dataclass(frozen=True)
class Mark:
    """The build that works on the tables, and the published version that it started from.

    Attributes:
        is_anew: whether every model is built from nothing. Tables that versions show can't be
            dropped for it, so that dbt replaces them.
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
    """The schemas of a build apart: how their names begin, and since when, in µs of Spark's clock.

    Attributes:
        as_of: the time as of which they were built to stay; None for those of a trial build.
    """

    prefix: str
    since: int
    as_of: dt.datetime | None = None


@dataclass(frozen=True)
class Register:
    """What the register says.

    Attributes:
        has_begun: a build has begun in this catalog, ever.
        rollback: the note of the rollback in effect; empty if there is none.
    """

    revision: int = 0
    has_begun: bool = False
    lease: Lease | None = None
    mark: Mark | None = None
    versions: tuple[SparkVersion, ...] = ()
    apart: tuple[ApartSchemas, ...] = ()
    rollback: str = ""

    @property
    def current(self) -> SparkVersion | None:
        """The published version, if there is one."""
        return published_among(self.versions)

    def ours(self, project: Project) -> Ours:
        """The relations that belong to the warehouse: the project's models, and what versions have.

        Others may have tables in the same catalog, even in the same schemas.
        """
        models = {(model.schema, model.identifier) for model in read_models(project)}
        models |= {(schema, name) for schema, name in self.mark.made} if self.mark else set()
        models |= {(schema, beside_table(name)) for schema, name in models}
        return models | {(r.schema, r.name) for v in self.versions for r in v.relations}

    def with_version(self, new: SparkVersion) -> Register:
        """The register in which this version replaces the one of the same time."""
        return replace(
            self,
            versions=tuple(
                new if version.published_at == new.published_at else version
                for version in self.versions
            ),
        )


def read_register(session: SparkSession) -> Register:
    """The register as it is now; empty if there is none.

    Raises:
        NewerFormat: a newer version of Lakefeed wrote it.
    """
    row = _row(session)
    return Register() if row is None else _parsed(*row)


def change_register(session: SparkSession, change: Callable[[Register], Register]) -> Register:
    """Replaces the register by what `change` makes of it; returns the new one.

    `change` is called again with the newest register if another writer was faster.

    Raises:
        Refused: others have changed it all the time; and whatever `change` raises.
    """
    for _ in range(_TRIES):
        row = _row(session)
        if row is None:
            _create(session)
            continue
        known = _parsed(*row)
        wanted = replace(change(known), revision=known.revision + 1)
        if _replaced(session, known.revision, wanted):
            return wanted
    raise Refused(
        "the register of the warehouse couldn't be changed: others change it all the time",
        do="run again",
    )


def clock(session: SparkSession) -> int:
    """Microseconds since 1970 by the clock of Spark's driver, which all builders share."""
    ((now,),) = rows_of(session, "select unix_micros(current_timestamp())")
    return int(now)


def _replaced(session: SparkSession, revision: int, wanted: Register) -> bool:
    """Whether this register took the place of that revision. Lost if another writer was faster."""
    # Two writers may write the same; the token tells whose row it is.
    token = uuid.uuid4().hex
    document = text_literal(_text(wanted, token))
    failure = None
    try:
        rows_of(
            session,
            f"update {_TABLE} set revision = {wanted.revision}, document = {document}, "
            f"{_for_readers(wanted.current)} where revision = {revision}",
        )
    except Exception as error:  # noqa: BLE001 - a conflict, or an answer that was lost
        failure = error
    row = _row(session)
    if row is not None and json.loads(row[1])["token"] == token:
        return True
    if failure is not None and row is not None and row[0] == revision and not _is_conflict(failure):
        raise failure
    return False


def _for_readers(current: SparkVersion | None) -> str:
    """The assignments to the columns by which readers tell whether they saw one version alone."""
    at = text_literal(current.published_at.isoformat()) if current else "null"
    is_whole = str(current is not None and current.is_whole).lower()
    return f"published_at = cast({at} as timestamp), is_whole = {is_whole}"


def _is_conflict(error: Exception) -> bool:
    return any(sign in str(error) for sign in _CONFLICTS)


def _row(session: SparkSession) -> tuple[int, str] | None:
    try:
        (row,) = rows_of(session, f"select revision, document from {_TABLE}")
    except StatementFailed as error:
        if _MISSING in error.what:
            return None
        raise
    return int(row[0]), str(row[1])


def _create(session: SparkSession) -> None:
    """Creates the register; of several writers that do, the catalog lets one."""
    rows_of(session, f"create namespace if not exists {quoted(RECORDS)}")
    empty = text_literal(_text(Register(), ""))
    try:
        rows_of(
            session,
            f"create table {_TABLE} using iceberg tblproperties ({_PROPERTIES}) "
            f"as select cast(0 as bigint) as revision, {empty} as document, "
            "cast(null as timestamp) as published_at, false as is_whole",
        )
    except Exception:
        if _row(session) is None:
            raise


def _text(register: Register, token: str) -> str:
    document = {
        "format": FORMAT,
        "token": token,
        "lease": asdict(register.lease) if register.lease else None,
        "mark": _mark_document(register.mark) if register.mark else None,
        "has_begun": register.has_begun,
        "versions": [_version_document(version) for version in register.versions],
        "apart": [{**asdict(found), "as_of": _iso(found.as_of)} for found in register.apart],
        "rollback": register.rollback,
    }
    return json.dumps(document)


def _mark_document(mark: Mark) -> dict[str, Any]:
    return {**asdict(mark), "started_from": _iso(mark.started_from)}


def _version_document(version: SparkVersion) -> dict[str, Any]:
    return {
        "published_at": _iso(version.published_at),
        "is_undone": version.is_undone,
        "is_current": version.is_current,
        "is_whole": version.is_whole,
        "relations": [[r.schema, r.name, r.kind, r.snapshot, r.sql] for r in version.relations],
    }


def _parsed(revision: int, text: str) -> Register:
    document = json.loads(text)
    refuse_newer("warehouse", document["format"], reads=FORMAT, where=f"{RECORDS}.register")
    lease, mark = document["lease"], document["mark"]
    return Register(
        revision,
        lease=Lease(**lease) if lease else None,
        mark=Mark(**{**mark, "started_from": _time(mark["started_from"])}) if mark else None,
        has_begun=document["has_begun"],
        versions=tuple(_version(found) for found in document["versions"]),
        apart=tuple(
            ApartSchemas(**{**found, "as_of": _time(found["as_of"])})
            for found in document.get("apart", ())
        ),
        rollback=document.get("rollback", ""),
    )


def _version(found: dict[str, Any]) -> SparkVersion:
    relations = tuple(
        Stored(schema, name, kind, snapshot=snapshot, sql=sql)
        for schema, name, kind, snapshot, sql in found["relations"]
    )
    return SparkVersion(
        dt.datetime.fromisoformat(found["published_at"]),
        is_undone=found["is_undone"],
        relations=relations,
        is_current=found["is_current"],
        is_whole=found["is_whole"],
    )


def _iso(moment: dt.datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _time(text: str | None) -> dt.datetime | None:
    return dt.datetime.fromisoformat(text) if text else None
