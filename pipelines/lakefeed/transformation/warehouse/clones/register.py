"""The register of a warehouse of clones: a table of one row, beside those that it tells of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lakefeed.transformation.warehouse.base.lease import LeaseLock
from lakefeed.transformation.warehouse.clones.engine import Engine, Stored
from lakefeed.transformation.warehouse.registered import stored_register
from lakefeed.transformation.warehouse.registered.lock import lease_of
from lakefeed.transformation.warehouse.registered.register import (
    RECORDS,
    REGISTER,
    Register,
    RegisterRow,
    StoredVersion,
)

CloneVersion = StoredVersion[Stored]
CloneRegister = Register[Stored]


def read_register(engine: Engine) -> CloneRegister:
    """The register as it is now; empty if there is none.

    Raises:
        NewerFormat: a newer version of Lakefeed wrote it.
    """
    return stored_register.read_register(_Table(engine))


def change_register(
    engine: Engine, change: Callable[[CloneRegister], CloneRegister]
) -> CloneRegister:
    """Replaces the register by what `change` makes of it; returns the new one.

    Raises:
        Refused: others have changed it all the time; and whatever `change` raises.
    """
    return stored_register.change_register(_Table(engine), change)


def lock_of(engine: Engine) -> LeaseLock[CloneRegister]:
    """The lock that builds hold."""
    return lease_of(engine.place, _Table(engine), engine.clock)


@dataclass(frozen=True)
class _Table:
    engine: Engine

    @property
    def _name(self) -> str:
        return self.engine.quoted(RECORDS, REGISTER)

    def row(self) -> tuple[int, str] | None:
        try:
            found = self.engine.rows(f"select revision, document from {self._name}")
        except Exception as error:
            if self.engine.is_missing(error):
                return None
            raise
        ((revision, document),) = found
        return int(revision), str(document)

    def create(self, row: RegisterRow) -> None:
        engine = self.engine
        engine.create_schema(RECORDS)
        text, moment = engine.type_named("varchar"), engine.type_named("timestamptz")
        engine.rows(
            f"create table {self._name} as "
            f"select cast({row.revision} as {engine.type_named('bigint')}) as revision, "
            f"cast({engine.text(row.document)} as {text}) as document, "
            f"cast(null as {moment}) as published_at, false as is_whole"
        )

    def replace(self, revision: int, row: RegisterRow) -> None:
        engine = self.engine
        at = engine.text(row.published_at) if row.published_at else "null"
        engine.rows(
            f"update {self._name} set revision = {row.revision}, "
            f"document = {engine.text(row.document)}, "
            f"published_at = cast({at} as {engine.type_named('timestamptz')}), "
            f"is_whole = {str(row.is_whole).lower()} where revision = {revision}"
        )

    def is_conflict(self, error: Exception) -> bool:
        return self.engine.is_conflict(error)

    def written(self, relation: Stored) -> list[Any]:
        return [
            relation.schema, relation.name, relation.kind, relation.stamp, relation.held,
            relation.sql,
        ]  # fmt: skip

    def read(self, written: list[Any]) -> Stored:
        schema, name, kind, stamp, held, sql = written
        return Stored(schema, name, kind, stamp=stamp, held=held, sql=sql)
