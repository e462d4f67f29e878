"""A warehouse whose versions are clones of tables.

dbt builds in schemas that readers leave alone. A version is a set of clones; publishing it is one
change of the register, after which readers are shown these clones.
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
from lakefeed.loading.object_store.duckdb_access import Session
from lakefeed.sql import literal, quote
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.versions import earlier_than
from lakefeed.transformation.warehouse.base.warehouse import SetAside, Version
from lakefeed.transformation.warehouse.clones.apart import CloneApart, drop_apart, prefix_as_of
from lakefeed.transformation.warehouse.clones.candidate import CloneCandidate
from lakefeed.transformation.warehouse.clones.contents import CloneContents
from lakefeed.transformation.warehouse.clones.engine import Engine, Stored
from lakefeed.transformation.warehouse.clones.failing_rows import forget_failing_rows
from lakefeed.transformation.warehouse.clones.maintenance import drop_unneeded
from lakefeed.transformation.warehouse.clones.publication import finish_publication
from lakefeed.transformation.warehouse.clones.register import (
    change_register,
    lock_of,
    read_register,
)
from lakefeed.transformation.warehouse.clones.relations import (
    bring_back,
    ours,
    refuse_tables_of_others,
)
from lakefeed.transformation.warehouse.registered.register import Mark
from lakefeed.transformation.warehouse.registered.transitions import (
    mark_of,
    returned,
    without_earlier,
)

# How long a prune leaves alone what is built apart, which may still be building: a day, in µs.
_APART_STAYS = 86_400_000_000


class CloningWarehouse:
    """All of a `Warehouse` but `dataset` and `inspect`.

    Args:
        kind: the warehouse's type in sources.yaml.
        engine: the engine; it connects when it is first asked.
    """

    def __init__(self, project: Project, kind: str, engine: Engine) -> None:
        self._project = project
        self._kind = kind
        self._engine = engine

    @property
    def published(self) -> Contents:
        return CloneContents(self._engine, self._published)

    @property
    def shown(self) -> str:
        return self._engine.place

    @property
    def place(self) -> str:
        return self._engine.place

    def identity(self) -> str:
        return self._engine.place

    def exists(self) -> bool:
        return read_register(self._engine).current is not None

    def folders(self) -> tuple[Path, ...]:
        return ()

    def refuse_lost(self) -> None:
        """The engine knows where its tables are."""

    def lock(self) -> AbstractContextManager[None]:
        return lock_of(self._engine).held()

    def lock_holder(self) -> str:
        return lock_of(self._engine).holder()

    def attach(self, session: Session, model: str) -> str:
        current = read_register(self._engine).current
        assert current is not None
        key = f"staging.{self._engine.folded(model)}"
        table = next(one for one in current.relations if one.key == key)
        rows = self._engine.arrow(f"select * from {self._engine.quoted(*table.place)}")
        with TemporaryDirectory() as folder:
            file = f"{folder}/rows.parquet"
            write_table(rows, file)
            copied = quote(f"warehouse_{model}")
            session.execute(f"create temp table {copied} as from read_parquet({literal(file)})")
        return copied

    def start(self, build: str, *, empty: bool = False) -> CloneCandidate:
        engine, project = self._engine, self._project
        finish_publication(engine)
        before = read_register(engine)
        refuse_tables_of_others(project, engine, before)
        mark = Mark(
            build,
            before.current.published_at if before.current else None,
            made=before.mark.made if before.mark else (),
        )
        register = lock_of(engine).change_locked(
            lambda found: replace(found, mark=mark, has_begun=True)
        )
        version = None if empty else register.current
        # A statement of a killed build may go on at its server. It writes to the table that it
        # began with: to one that is replaced, whatever its stamp says now.
        bring_back(engine, version, ours(engine, register, project), anew=before.mark is not None)
        return CloneCandidate(project, engine, mark)

    def started(self, build: str) -> CloneCandidate:
        mark = mark_of(read_register(self._engine), build)
        return CloneCandidate(self._project, self._engine, mark)

    def discard(self) -> None:
        if read_register(self._engine).mark:
            lock_of(self._engine).change_locked(lambda found: replace(found, mark=None))

    def apart(self, folder: Path, as_of: dt.datetime | None = None) -> CloneApart:
        path = folder / "warehouse.duckdb"
        return CloneApart(self._project, self._engine, prefix_as_of(as_of), path, as_of=as_of)

    def refuse_output(self, file: Path) -> None:
        raise Refused(
            f"--output {file}: `warehouse: {{type: {self._kind}}}` builds tables in "
            f"{self._engine.name}, and no file",
            where=self._project.declared.document.where(("warehouse", "type")),
            do="build apart from what is published with `lakefeed rebuild --as-of TIME`, or a file "
            f"with a second project on the same `raw.url` (docs/{self._kind}.md)",
        )

    def forget_apart(self) -> list[str]:
        found = read_register(self._engine).apart
        drop_apart(self._engine, [one.prefix for one in found])
        return [f"the schemas {one.prefix}*" for one in found]

    def current(self) -> Version | None:
        return read_register(self._engine).current

    def version_before(self, current: Version | None) -> Version | None:
        return earlier_than(read_register(self._engine).versions, current)

    def return_to(self, version: Version, current: Version | None) -> SetAside | None:
        assert current is not None
        lock = lock_of(self._engine)
        lock.assert_held()
        lock.change_locked(lambda found: returned(found, version.published_at))
        finish_publication(self._engine)
        return None

    def rollback_note(self) -> tuple[str, str] | None:
        note = read_register(self._engine).rollback
        return (note, self.shown) if note else None

    def note_rollback(self, note: str | None) -> None:
        change_register(self._engine, lambda found: replace(found, rollback=note or ""))

    def forget_versions(self) -> list[dt.datetime]:
        before = read_register(self._engine).versions
        register = lock_of(self._engine).change_locked(without_earlier)
        drop_unneeded(self._engine, register.versions, at_once=True)
        return [version.published_at for version in before if not version.is_current]

    def remove_unneeded(self) -> None:
        with self.lock():
            finish_publication(self._engine)
            found = read_register(self._engine)
            drop_unneeded(self._engine, found.versions, at_once=False)
            old = self._engine.clock() - _APART_STAYS
            drop_apart(self._engine, [apart.prefix for apart in found.apart if apart.since < old])

    def forget_failing_rows(self) -> None:
        forget_failing_rows(self._engine)

    def set_aside(self) -> SetAside | None:
        return None

    def forget_set_aside(self) -> None:
        """Nothing of such a warehouse is ever set aside."""

    def _published(self) -> Iterable[Stored] | None:
        current = read_register(self._engine).current
        return None if current is None else current.relations
