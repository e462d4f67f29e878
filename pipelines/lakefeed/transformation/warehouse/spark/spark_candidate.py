"""The tables of the catalog as they are now as a candidate: where dbt builds and tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lakefeed.declaration.project import Project
from lakefeed.interruption import note_done, raise_if_interrupted
from lakefeed.transformation.dbt_adapter.runner import BuildResult, run_dbt
from lakefeed.transformation.manifest import Model, read_models
from lakefeed.transformation.targets.spark import Session, Spark, quoted, text_literal
from lakefeed.transformation.targets.spark_session import open_session
from lakefeed.transformation.targets.spark_views import beside_table
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.ledger import LEDGER
from lakefeed.transformation.warehouse.base.public_names import refuse_ambiguous
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.base.warehouse import Relation
from lakefeed.transformation.warehouse.registered.register import Mark
from lakefeed.transformation.warehouse.registered.transitions import with_mark, with_published
from lakefeed.transformation.warehouse.spark.failing_rows import keep_failing_rows
from lakefeed.transformation.warehouse.spark.lock import (
    assert_locked,
    change_locked,
)
from lakefeed.transformation.warehouse.spark.public_views import (
    finish_publication,
    tag,
)
from lakefeed.transformation.warehouse.spark.register import (
    SparkRegister,
    SparkVersion,
    ours_of,
    read_register,
)
from lakefeed.transformation.warehouse.spark.relations import Stored, stored
from lakefeed.transformation.warehouse.spark.return_to import leave, put_back
from lakefeed.transformation.warehouse.spark.spark_contents import SparkContents
from lakefeed.transformation.warehouse.spark.spark_state import write_state


@dataclass(frozen=True)
class SparkCandidate:
    """The tables as they are now, while a build works on them."""

    project: Project
    spark: Spark
    mark: Mark

    @property
    def is_whole(self) -> bool:
        return self.mark.is_whole

    @property
    def contents(self) -> Contents:
        return SparkContents(self.spark, self._listed)

    def run_dbt(self, arguments: Sequence[str]) -> BuildResult:
        assert_locked(self.spark, self._session)
        anew = ["--full-refresh"] if self.mark.is_anew else []
        result = run_dbt(self.project, "build", [*arguments, *anew], self.spark)
        known = self._known
        models = {(model.schema, model.identifier) for model in read_models(self.project)}
        made = {(schema, name) for schema, name in known.made} | models
        self._record(replace(known, made=tuple(sorted(made))))
        return result

    def keep_failing_rows(self, result: BuildResult) -> BuildResult:
        place = f"{self.spark.shown}, catalog {self.spark.catalog}"
        return keep_failing_rows(self._locked, self.project, result, place)

    def put_back(self, models: Iterable[Model]) -> None:
        session = self._locked
        register = read_register(session)
        published = {r.key: r for r in register.current.relations} if register.current else {}
        now = {relation.key: relation for relation in self._stored(session)}
        gone = dict(self.mark.gone)
        for model in models:
            for name in (model.identifier, beside_table(model.identifier)):
                key = f"{model.schema}.{name}"
                if key in published:
                    put_back(session, self.spark.catalog, now.get(key), published[key])
                elif key in now:
                    gone |= leave(session, [now[key]], register.versions)
            _put_back_records(session, model.name, now, published)
        self._record(replace(self._known, gone=gone))

    def drop(self, relations: Iterable[Relation]) -> None:
        session = self._locked
        now = {(relation.schema, relation.name): relation for relation in self._stored(session)}
        gone, versions = dict(self.mark.gone), read_register(session).versions
        for relation in relations:
            for name in (relation.name, beside_table(relation.name)):
                if found := now.get((relation.schema, name)):
                    gone |= leave(session, [found], versions)
            for name in LEDGER:
                if ("_lakefeed", name) in now:
                    _forget(session, name, relation.name)
        self._record(replace(self._known, gone=gone))

    def write_state(self, state: PublicationState) -> None:
        write_state(self._locked, state)

    def mark_whole(self) -> None:
        self._record(replace(self._known, is_whole=True))

    def publish(self) -> None:
        session, before = self._locked, read_register(self._session).current
        relations = self._listed(session)
        refuse_ambiguous(relation.public_name for relation in relations)
        tag(session, set(relations).difference(before.relations if before else ()))
        built = SparkContents(self.spark, lambda _: relations)
        published_at = built.state().published_at or dt.datetime.now(dt.UTC)
        new = SparkVersion(
            published_at, relations=tuple(relations), is_current=True, is_whole=False
        )
        raise_if_interrupted()
        # From here on it is published; whoever is killed below leaves only views to be replaced.
        change_locked(self.spark, session, lambda found: self._with_new(found, new))
        note_done("the new version of the warehouse was published before")
        finish_publication(self.spark, session, shown=before)

    def _with_new(self, found: SparkRegister, new: SparkVersion) -> SparkRegister:
        keep = self.project.declaration.warehouse.keep
        return with_published(found, self.mark, new, keep=keep)

    def _stored(self, session: Session) -> list[Stored]:
        return stored(session, ours_of(read_register(session), self.project))

    def _listed(self, session: Session) -> list[Stored]:
        """The relations that belong to the candidate."""
        gone, found = self._known.gone, self._stored(session)
        views = {(one.schema, one.model) for one in found if one.kind == "view"}
        return [
            one
            for one in found
            if (one.key not in gone or gone[one.key] != one.snapshot)
            and (one.kind == "view" or (one.schema, one.name) not in views)
        ]

    def _record(self, mark: Mark) -> None:
        change_locked(self.spark, self._session, lambda found: with_mark(found, mark))

    @property
    def _known(self) -> Mark:
        """The mark as it is recorded now."""
        return read_register(self._session).mark or self.mark

    @property
    def _session(self) -> Session:
        return open_session(self.spark.remote, self.spark.catalog)

    @property
    def _locked(self) -> Session:
        session = self._session
        assert_locked(self.spark, session)
        return session


def _put_back_records(
    session: Session, model: str, now: Mapping[str, Stored], published: Mapping[str, Stored]
) -> None:
    """Makes what the ledger has of a model what the published version has."""
    for name in LEDGER:
        key = f"_lakefeed.{name}"
        if key not in now:
            continue
        _forget(session, name, model)
        if key in published:
            session.rows(
                f"insert into {key} select * from {published[key].pinned} "
                f"where model = {text_literal(model)}"
            )


def _forget(session: Session, table: str, model: str) -> None:
    session.rows(f"delete from {quoted('_lakefeed', table)} where model = {text_literal(model)}")
