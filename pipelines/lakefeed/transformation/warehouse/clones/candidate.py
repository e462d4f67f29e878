"""The tables where dbt builds as a candidate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lakefeed.declaration.project import Project
from lakefeed.interruption import note_done, raise_if_interrupted
from lakefeed.transformation.dbt_adapter.runner import BuildResult, run_dbt
from lakefeed.transformation.manifest import Model, read_models
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.ledger import LEDGER, SCHEMA
from lakefeed.transformation.warehouse.base.public_names import refuse_ambiguous
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.base.warehouse import Relation
from lakefeed.transformation.warehouse.clones.contents import CloneContents
from lakefeed.transformation.warehouse.clones.engine import Engine, Stored
from lakefeed.transformation.warehouse.clones.failing_rows import keep_failing_rows
from lakefeed.transformation.warehouse.clones.publication import (
    finish_publication,
    held,
    public_names,
)
from lakefeed.transformation.warehouse.clones.register import (
    CloneRegister,
    CloneVersion,
    lock_of,
    read_register,
)
from lakefeed.transformation.warehouse.clones.relations import (
    drop,
    held_by,
    ours,
    put_back,
    stored,
)
from lakefeed.transformation.warehouse.clones.state import write_state
from lakefeed.transformation.warehouse.registered.register import Mark
from lakefeed.transformation.warehouse.registered.transitions import with_mark, with_published


@dataclass(frozen=True)
class CloneCandidate:
    """The tables where dbt builds, while a build works on them."""

    project: Project
    engine: Engine
    mark: Mark

    @property
    def is_whole(self) -> bool:
        return self.mark.is_whole

    @property
    def contents(self) -> Contents:
        return CloneContents(self.engine, self._stored)

    def run_dbt(self, arguments: Sequence[str]) -> BuildResult:
        self._assert_locked()
        result = run_dbt(self.project, "build", arguments, self.engine.target(""))
        known = self._known
        models = {(model.schema, model.identifier) for model in read_models(self.project)}
        made = {(schema, name) for schema, name in known.made} | models
        self._record(replace(known, made=tuple(sorted(made))))
        return result

    def keep_failing_rows(self, result: BuildResult) -> BuildResult:
        self._assert_locked()
        return keep_failing_rows(self.engine, self.project, result)

    def put_back(self, models: Iterable[Model]) -> None:
        self._assert_locked()
        current = read_register(self.engine).current
        published = {one.key: one for one in current.relations} if current else {}
        now = {one.key: one for one in self._stored()}
        wanted = {self._key(model.schema, model.identifier): model for model in models}
        put_back(self.engine, now, [published[key] for key in wanted.keys() & published.keys()])
        drop(self.engine, [now[key] for key in (wanted.keys() & now.keys()) - published.keys()])
        for model in wanted.values():
            self._put_back_records(model.name, now, published)

    def drop(self, relations: Iterable[Relation]) -> None:
        self._assert_locked()
        now = {one.key: one for one in self._stored()}
        for relation in relations:
            if found := now.get(self._key(relation.schema, relation.name)):
                drop(self.engine, [found])
            for name in LEDGER:
                if f"{SCHEMA}.{name}" in now:
                    self._forget(name, relation.name)

    def write_state(self, state: PublicationState) -> None:
        self._assert_locked()
        write_state(self.engine, state)

    def mark_whole(self) -> None:
        self._record(replace(self._known, is_whole=True))

    def publish(self) -> None:
        self._assert_locked()
        register = read_register(self.engine)
        before, relations = register.current, self._stored()
        refuse_ambiguous(relation.public_name for relation in relations)
        self.engine.refuse_others(public_names(register))
        published_at = self.contents.state().published_at or dt.datetime.now(dt.UTC)
        new = CloneVersion(
            published_at,
            relations=held(self.engine, relations, before, held_by(published_at)),
            is_current=True,
            is_whole=False,
        )
        raise_if_interrupted()
        # From here on it is published; whoever is killed below leaves what readers see to the next.
        lock_of(self.engine).change_locked(lambda found: self._with_new(found, new))
        note_done("the new version of the warehouse was published before")
        finish_publication(self.engine, seen=before if before and before.is_whole else None)

    def _with_new(self, found: CloneRegister, new: CloneVersion) -> CloneRegister:
        keep = self.project.declaration.warehouse.keep
        return with_published(found, self.mark, new, keep=keep)

    def _stored(self) -> list[Stored]:
        register = read_register(self.engine)
        return stored(self.engine, ours(self.engine, register, self.project))

    def _key(self, schema: str, name: str) -> str:
        return f"{self.engine.folded(schema)}.{self.engine.folded(name)}"

    def _put_back_records(
        self, model: str, now: Mapping[str, Stored], published: Mapping[str, Stored]
    ) -> None:
        """Makes what the ledger has of a model what the published version has."""
        for name in LEDGER:
            key = f"{SCHEMA}.{name}"
            if key not in now:
                continue
            self._forget(name, model)
            if key in published:
                engine = self.engine
                engine.rows(
                    f"insert into {engine.quoted(SCHEMA, name)} "
                    f"select * from {engine.quoted(*published[key].place)} "
                    f"where model = {engine.text(model)}"
                )

    def _forget(self, table: str, model: str) -> None:
        """Deletes what a table of the ledger has of a model."""
        engine = self.engine
        engine.rows(
            f"delete from {engine.quoted(SCHEMA, table)} where model = {engine.text(model)}"
        )

    def _record(self, mark: Mark) -> None:
        lock_of(self.engine).change_locked(lambda found: with_mark(found, mark))

    def _assert_locked(self) -> None:
        lock_of(self.engine).assert_held()

    @property
    def _known(self) -> Mark:
        """The mark as it is recorded now."""
        return read_register(self.engine).mark or self.mark
