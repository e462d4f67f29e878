"""Iceberg tables that Spark builds as a warehouse.

dbt builds in schemas that readers leave alone. A version is a set of tables at their snapshots;
publishing it is one commit to the register, after which the public views are replaced one by one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow.parquet import write_table

from lakefeed.declaration.project import Project
from lakefeed.errors import Refused
from lakefeed.loading.object_store import duckdb_access
from lakefeed.sql import literal, quote
from lakefeed.transformation.dataset import Dataset
from lakefeed.transformation.targets.spark import Session, Spark, spark_of
from lakefeed.transformation.targets.spark_session import open_session
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.versions import earlier_than
from lakefeed.transformation.warehouse.base.warehouse import Inspection, SetAside, Version
from lakefeed.transformation.warehouse.registered.register import Mark
from lakefeed.transformation.warehouse.registered.transitions import (
    mark_of,
    returned,
    without_earlier,
)
from lakefeed.transformation.warehouse.spark.failing_rows import forget_failing_rows
from lakefeed.transformation.warehouse.spark.inspection import inspect_spark
from lakefeed.transformation.warehouse.spark.lock import (
    assert_locked,
    change_locked,
    lock_holder,
    spark_lock,
)
from lakefeed.transformation.warehouse.spark.maintenance import expire
from lakefeed.transformation.warehouse.spark.public_views import finish_publication
from lakefeed.transformation.warehouse.spark.register import (
    change_register,
    clock,
    ours_of,
    read_register,
)
from lakefeed.transformation.warehouse.spark.relations import Stored
from lakefeed.transformation.warehouse.spark.return_to import bring_back, refuse_tables_of_others
from lakefeed.transformation.warehouse.spark.spark_apart import (
    SparkApart,
    drop_apart,
    schemas_as_of,
)
from lakefeed.transformation.warehouse.spark.spark_candidate import SparkCandidate
from lakefeed.transformation.warehouse.spark.spark_contents import SparkContents

# How long a prune leaves alone what is built apart, which may still be building: a day, in µs.
_APART_STAYS = 86_400_000_000


class WarehouseSpark:
    """An Iceberg catalog in which readers see tables at pinned snapshots."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @property
    def _spark(self) -> Spark:
        return spark_of(self._project)

    @property
    def _session(self) -> Session:
        spark = self._spark
        return open_session(spark.remote, spark.catalog)

    @property
    def published(self) -> Contents:
        return SparkContents(self._spark, _published)

    @property
    def shown(self) -> str:
        return f"the catalog {self._project.declaration.warehouse.catalog}"

    @property
    def place(self) -> str:
        spark = self._spark
        return f"{spark.shown}/{spark.catalog}"

    def identity(self) -> str:
        return self.place

    def dataset(self, schema: str, name: str) -> Dataset:
        spark = self._spark
        return Dataset(f"spark://{spark.server}", f"{spark.catalog}.{schema}.{name}")

    def exists(self) -> bool:
        return read_register(self._session).current is not None

    def inspect(self) -> Inspection:
        return inspect_spark(self._project, self._spark)

    def folders(self) -> tuple[Path, ...]:
        return ()

    def refuse_lost(self) -> None:
        """A catalog says where its files are; a missing one fails when it is read."""

    def lock(self) -> AbstractContextManager[None]:
        return spark_lock(self._spark)

    def lock_holder(self) -> str:
        return lock_holder(self._spark, self._session)

    def attach(self, session: duckdb_access.Session, model: str) -> str:
        spark = self._session
        current = read_register(spark).current
        assert current is not None
        table = next(r for r in current.relations if (r.schema, r.name) == ("staging", model))
        rows = spark.arrow(f"select * from {table.pinned}")
        with TemporaryDirectory() as folder:
            file = f"{folder}/rows.parquet"
            write_table(rows, file)
            copied = quote(f"warehouse_{model}")
            session.execute(f"create temp table {copied} as from read_parquet({literal(file)})")
        return copied

    def start(self, build: str, *, empty: bool = False) -> SparkCandidate:
        spark, session = self._spark, self._session
        finish_publication(spark, session)
        before = read_register(session)
        refuse_tables_of_others(self._project, session, before)
        started_from = before.current.published_at if before.current else None
        made = before.mark.made if before.mark else ()
        mark = Mark(build, started_from, is_anew=empty, made=made)
        register = change_locked(
            spark, session, lambda found: replace(found, mark=mark, has_begun=True)
        )
        version = None if empty else register.current
        ours = ours_of(register, self._project)
        gone = bring_back(session, spark.catalog, version, register.versions, ours)
        mark = replace(mark, gone=gone)
        change_locked(spark, session, lambda found: replace(found, mark=mark))
        return SparkCandidate(self._project, spark, mark)

    def started(self, build: str) -> SparkCandidate:
        mark = mark_of(read_register(self._session), build)
        return SparkCandidate(self._project, self._spark, mark)

    def discard(self) -> None:
        session = self._session
        if read_register(session).mark:
            change_locked(self._spark, session, lambda found: replace(found, mark=None))

    def apart(self, folder: Path, as_of: dt.datetime | None = None) -> SparkApart:
        spark = replace(self._spark, prefix=schemas_as_of(as_of))
        return SparkApart(self._project, spark, folder / "warehouse.duckdb", as_of)

    def refuse_output(self, file: Path) -> None:
        raise Refused(
            f"--output {file}: `warehouse: {{type: spark}}` builds tables in its catalog, and "
            "no file",
            where=self._project.declared.document.where(("warehouse", "type")),
            do="build apart from what is published with `lakefeed rebuild --as-of TIME`, or a file "
            "with a second project on the same `raw.url` (docs/spark.md)",
        )

    def forget_apart(self) -> list[str]:
        session = self._session
        found = read_register(session).apart
        drop_apart(session, [one.prefix for one in found])
        return [f"the schemas {one.prefix}*" for one in found]

    def current(self) -> Version | None:
        return read_register(self._session).current

    def version_before(self, current: Version | None) -> Version | None:
        return earlier_than(read_register(self._session).versions, current)

    def return_to(self, version: Version, current: Version | None) -> SetAside | None:
        assert current is not None
        spark, session = self._spark, self._session
        assert_locked(spark, session)
        change_locked(spark, session, lambda found: returned(found, version.published_at))
        finish_publication(spark, session)
        return None

    def rollback_note(self) -> tuple[str, str] | None:
        note = read_register(self._session).rollback
        return (note, self.shown) if note else None

    def note_rollback(self, note: str | None) -> None:
        change_register(self._session, lambda found: replace(found, rollback=note or ""))

    def forget_versions(self) -> list[dt.datetime]:
        spark, session = self._spark, self._session
        before = read_register(session).versions
        register = change_locked(spark, session, without_earlier)
        ours = ours_of(replace(register, versions=before), self._project)
        expire(session, spark.catalog, register.versions, ours, at_once=True)
        return [version.published_at for version in before if not version.is_current]

    def remove_unneeded(self) -> None:
        spark, session = self._spark, self._session
        with self.lock():
            finish_publication(spark, session)
            found = read_register(session)
            ours = ours_of(found, self._project)
            expire(session, spark.catalog, found.versions, ours, at_once=False)
            old = clock(session) - _APART_STAYS
            drop_apart(session, [apart.prefix for apart in found.apart if apart.since < old])

    def forget_failing_rows(self) -> None:
        forget_failing_rows(self._session)

    def set_aside(self) -> SetAside | None:
        return None

    def forget_set_aside(self) -> None:
        """Nothing of a catalog is ever set aside."""


def _published(session: Session) -> Iterable[Stored] | None:
    current = read_register(session).current
    return None if current is None else current.relations
