"""The register of a Spark warehouse: an Iceberg table of one row.

Iceberg has no transaction over several tables, but each commit to one table is atomic, and an
update under its serializable isolation fails if the table has changed since
(https://iceberg.apache.org/docs/latest/reliability/).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.transformation.targets.spark import Session, StatementFailed, quoted, text_literal
from lakefeed.transformation.targets.spark_views import beside_table
from lakefeed.transformation.warehouse.registered import stored_register
from lakefeed.transformation.warehouse.registered.register import (
    RECORDS,
    REGISTER,
    Ours,
    Register,
    RegisterRow,
    StoredVersion,
)
from lakefeed.transformation.warehouse.spark.relations import Stored

SparkVersion = StoredVersion[Stored]
SparkRegister = Register[Stored]

_TABLE = quoted(RECORDS, REGISTER)
# Each commit leaves a metadata file; only the newest count.
_PROPERTIES = (
    "'write.metadata.delete-after-commit.enabled' = 'true', "
    "'write.metadata.previous-versions-max' = '20', "
    "'write.update.isolation-level' = 'serializable', 'commit.retry.num-retries' = '0'"
)
_MISSING = "TABLE_OR_VIEW_NOT_FOUND"
_CONFLICTS = ("ValidationException", "CommitFailedException", "conflict")


def read_register(session: Session) -> SparkRegister:
    """The register as it is now; empty if there is none.

    Raises:
        NewerFormat: a newer version of Lakefeed wrote it.
    """
    return stored_register.read_register(SparkTable(session))


def change_register(
    session: Session, change: Callable[[SparkRegister], SparkRegister]
) -> SparkRegister:
    """Replaces the register by what `change` makes of it; returns the new one.

    Raises:
        Refused: others have changed it all the time; and whatever `change` raises.
    """
    return stored_register.change_register(SparkTable(session), change)


def ours_of(register: SparkRegister, project: Project) -> Ours:
    """Schema and name of what belongs to the warehouse, in either place that a model may have."""
    found = register.ours(project)
    return found | {(schema, beside_table(name)) for schema, name in found}


def clock(session: Session) -> int:
    """Microseconds since 1970 by the clock of Spark's driver, which all builders share."""
    ((now,),) = session.rows("select unix_micros(current_timestamp())")
    return int(now)


@dataclass(frozen=True)
class SparkTable:
    """The register's table in the session's catalog."""

    session: Session

    def row(self) -> tuple[int, str] | None:
        try:
            (row,) = self.session.rows(f"select revision, document from {_TABLE}")
        except StatementFailed as error:
            if _MISSING in error.what:
                return None
            raise
        return int(row[0]), str(row[1])

    def create(self, row: RegisterRow) -> None:
        self.session.rows(f"create namespace if not exists {quoted(RECORDS)}")
        self.session.rows(
            f"create table {_TABLE} using iceberg tblproperties ({_PROPERTIES}) "
            f"as select cast({row.revision} as bigint) as revision, "
            f"{text_literal(row.document)} as document, "
            "cast(null as timestamp) as published_at, false as is_whole",
        )

    def replace(self, revision: int, row: RegisterRow) -> None:
        at = text_literal(row.published_at) if row.published_at else "null"
        self.session.rows(
            f"update {_TABLE} set revision = {row.revision}, "
            f"document = {text_literal(row.document)}, published_at = cast({at} as timestamp), "
            f"is_whole = {str(row.is_whole).lower()} where revision = {revision}",
        )

    def is_conflict(self, error: Exception) -> bool:
        return any(sign in str(error) for sign in _CONFLICTS)

    def written(self, relation: Stored) -> list[Any]:
        return [relation.schema, relation.name, relation.kind, relation.snapshot, relation.sql]

    def read(self, written: list[Any]) -> Stored:
        schema, name, kind, snapshot, sql = written
        return Stored(schema, name, kind, snapshot=snapshot, sql=sql)
