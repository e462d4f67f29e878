"""A test project with its source database, and what promises do with them."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from lakefeed.conformance.deaths import DIED
from lakefeed.conformance.failures import first_failure
from lakefeed.conformance.readers import seen_by_readers
from lakefeed.conformance.spelling import Row, lake_texts, source_texts
from lakefeed.conformance.values import WITH_SHORT_RANGES
from lakefeed.declaration.project import Project, open_project
from lakefeed.errors import BuildFailed
from lakefeed.loading.sessions.duckdb_engine import engine_for
from lakefeed.orchestration.ingest.load import load
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.orchestration.run import run
from lakefeed.sql import quote
from lakefeed.transformation.model_names import staging_model
from lakefeed.transformation.warehouse.base.warehouse import Candidate, Warehouse
from lakefeed.transformation.warehouse.declared import warehouse_of

SOURCE = "conformance"
_MOST_SHOWN = 3


class PromiseBroken(BuildFailed):
    """The engine didn't do what Lakefeed promises."""


@dataclass(frozen=True)
class Trial:
    """The project in `root`, whose source is the database of this URL."""

    root: Path
    url: str = field(repr=False)

    @property
    def project(self) -> Project:
        return open_project(self.root)

    @property
    def warehouse(self) -> Warehouse:
        return warehouse_of(self.project)

    def execute(self, *statements: str) -> None:
        """Runs statements in the source, each in a transaction of its own."""
        with closing(psycopg2.connect(self.url)) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query in the source."""
        with closing(psycopg2.connect(self.url)) as session, session.cursor() as cursor:
            cursor.execute("set timezone = 'UTC'")
            cursor.execute(query)
            return cursor.fetchall()

    def load(self, *tables: str) -> None:
        """Loads these tables, or all, into raw.

        Raises:
            PromiseBroken: one failed.
        """
        request = LoadRequest(tuple(f"{SOURCE}.{table}" for table in tables))
        _refuse_failure(load(self.project, request)[1])

    def run(self, *tables: str) -> RunReport:
        """Loads these tables, or all, then builds, tests and publishes.

        Raises:
            PromiseBroken: something failed, or nothing was published.
        """
        report = self.try_run(*tables)
        _refuse_failure(report)
        if report.published_at is None:
            raise PromiseBroken("a run with new rows published nothing")
        return report

    def try_run(self, *tables: str) -> RunReport:
        """Does what `run` does; the report tells of failures."""
        request = LoadRequest(tuple(f"{SOURCE}.{table}" for table in tables))
        return run(self.project, request)

    def killed(self, death: str) -> None:
        """`lakefeed run` in a process that dies at this point (see deaths.py).

        Raises:
            PromiseBroken: it ended before.
        """
        module = "lakefeed.conformance.deaths"
        ended = subprocess.run(
            [sys.executable, "-m", module, death],
            cwd=self.root, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ended.returncode != DIED:
            raise PromiseBroken(
                f"the run that was to die ({death}) ended before: {ended.stdout}{ended.stderr}"
            )

    @contextmanager
    def building(self) -> Iterator[Candidate]:
        """A build of everything that raw has, before it is published; discarded at the end."""
        warehouse = self.warehouse
        with warehouse.lock():
            candidate = warehouse.start(uuid.uuid4().hex)
            result = candidate.run_dbt([])
            if result.failures:
                raise PromiseBroken(f"the build failed: {result.failures[0].told}")
            yield candidate
            warehouse.discard()

    def seen(self, relation: str, columns: str) -> list[tuple[object, ...]]:
        """These columns of a relation as readers see it, sorted; see `seen_by_readers`."""
        return seen_by_readers(self.project, {relation: columns})[relation]

    def staged(self, table: str, columns: Sequence[str]) -> list[Row]:
        """These columns of a published staging model, as PostgreSQL spells values."""
        with engine_for(self.project) as session:
            item = self.warehouse.attach(session, staging_model(f"{SOURCE}__{table}"))
            if self.project.declaration.warehouse.type in WITH_SHORT_RANGES:
                # The same numbers, which PostgreSQL writes with as many digits as 32 bits need.
                reals = [name for name in columns if name in self._reals(table)]
                narrowed = ", ".join(f"{quote(name)}::float as {quote(name)}" for name in reals)
                item = f"(select * replace ({narrowed}) from {item})" if reals else item
            return lake_texts(lambda sql: session.execute(sql).fetchall(), item, columns)

    def columns_of(self, table: str) -> list[str]:
        """The columns of a table of the source."""
        listed = f"select column_name from information_schema.columns where table_name = '{table}'"
        return [name for (name,) in self.rows(f"{listed} order by ordinal_position")]

    def _reals(self, table: str) -> list[str]:
        """The columns of a table of the source that are floats of 32 bits."""
        listed = (
            "select column_name from information_schema.columns "
            f"where table_name = '{table}' and data_type = 'real'"
        )
        return [name for (name,) in self.rows(listed)]

    def refuse_difference(self, *tables: str) -> None:
        """Compares published staging models with their tables in the source, value by value.

        Raises:
            PromiseBroken: they differ.
        """
        for table in tables:
            columns = self.columns_of(table)
            expected = source_texts(self.rows, quote(table), columns)
            refuse_unequal(f"staging of {table}", self.staged(table, columns), expected)


def refuse_unequal(what: str, found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Compares rows, in their order.

    Raises:
        PromiseBroken: they differ; it shows the first that do.
    """
    if list(found) == list(expected):
        return
    missing = [row for row in expected if row not in found]
    surplus = [row for row in found if row not in expected]
    raise PromiseBroken(
        f"{what}: {len(found)} rows instead of {len(expected)}; "
        f"missing: {_shown(missing)}; surplus: {_shown(surplus)}"
    )


def _shown(rows: Sequence[Any]) -> str:
    first = ", ".join(str(row)[:200] for row in rows[:_MOST_SHOWN])
    return f"{first}, …" if len(rows) > _MOST_SHOWN else first or "none"


def _refuse_failure(report: RunReport) -> None:
    if failure := first_failure(report):
        raise PromiseBroken(failure)
