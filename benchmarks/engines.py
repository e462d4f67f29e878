"""The same project on a file, over raw in an object store, and on a DuckLake there. Case `engines`.

The store is SeaweedFS on this machine, so that it competes for its cores; that is also why its
answers take no way. Staging isn't compared with the source here: the tests do that on each engine.
"""

from __future__ import annotations

import atexit
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.lakefeed import declare, lakefeed
from benchmarks.place import Place
from benchmarks.process import Command
from benchmarks.rounds import Checked, Step
from benchmarks.side_by_side import database_of
from benchmarks.source import Source, ensure_database
from benchmarks.tables import (
    CURSOR,
    Table,
    ensure_lineitem,
    ensure_small_tables,
    lineitem,
    small_tables,
)
from lakefeed import __version__
from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.demo.store import ObjectStore, Traffic, embedded_store

_BUCKET = "lake"
_CATALOGUE = "LAKEFEED_BENCH_CATALOG_URL"
_CHANGED_ROWS = 10
_LIMIT_SECONDS = 900
_RAW = "raw: {{url: 's3://" + _BUCKET + "/{place}/raw'}}\n"
_LAKE = (
    "warehouse: {{type: ducklake, catalog_url: '${{" + _CATALOGUE + "}}', "
    "data_url: 's3://" + _BUCKET + "/{place}/lake'}}\n"
)
# What each declares beside its tables.
_ENGINES = {
    "Lakefeed, file": "",
    "Lakefeed, file, raw in a store": _RAW,
    "Lakefeed, DuckLake, all in a store": _RAW + _LAKE,
}


@dataclass
class _Project:
    """A project that is begun anew for each first run."""

    engine: str
    root: Path
    server: Source
    source: Source
    tables: Sequence[Table]
    store: ObjectStore
    place: str = ""
    _before: Traffic | None = None
    _catalogue: str = field(init=False)

    def __post_init__(self) -> None:
        self._catalogue = f"catalogue_of_{self.root.name.replace('-', '_')}"

    def first_run(self) -> Command:
        """Removes what is there, and gives a run of a new project."""
        self.server.execute(
            f"drop database if exists {self._catalogue} with (force)",
            f"create database {self._catalogue}",
        )
        root = Place(self.root.parents[1]).fresh(self.root.name)
        declare(root, self.tables)
        declaration = root / DECLARATION_FILE
        self.place = uuid.uuid4().hex
        more = _ENGINES[self.engine].format(place=self.place)
        declaration.write_text(declaration.read_text(encoding="utf-8") + more, encoding="utf-8")
        return self.later_run(0)

    def later_run(self, changed: int) -> Command:
        """Changes rows of so many tables just before, and gives the run that finds them."""
        self.source.execute(
            *(
                f"update {table.name} set amount = amount + 1, {CURSOR} = now() "
                f"where id <= {_CHANGED_ROWS}"
                for table in self.tables[:changed]
            )
        )
        command = lakefeed(self.root, self.source, "run")
        catalogue = self.server.named(self._catalogue).url
        variables = {**command.environment, **self.store.environment, _CATALOGUE: catalogue}
        self._before = self.store.traffic()
        return Command(command.arguments, command.folder, variables)

    def asked(self) -> Checked:
        """What the last run asked of the store, and what the project has there and on the disk."""
        assert self._before is not None
        asked = self.store.traffic().since(self._before)
        local = sum(file.stat().st_size for file in self.root.rglob("*") if file.is_file())
        stored = self.store.list_files(_BUCKET).items()
        size = local + sum(bytes_ for key, bytes_ in stored if key.startswith(self.place))
        told = (
            f"{asked.requests:,} requests to the store, {asked.received_bytes / 1e6:,.1f} MB sent, "
            f"{asked.sent_bytes / 1e6:,.1f} MB fetched"
        )
        return Checked(size, "", told if asked.requests else "")


def engines_case(server: Source, place: Place, scale: float, _only_ours: bool) -> list[Step]:
    """Fifty small tables, and one big one of 6 million rows times the scale."""
    stack = ExitStack()
    atexit.register(stack.close)
    store = stack.enter_context(embedded_store(place.fresh("store")))
    store.create_bucket(_BUCKET)
    many = ensure_database(server, "engines")
    ensure_small_tables(many)
    big = ensure_database(server, database_of(scale))
    ensure_lineitem(big, place, scale)
    (rows,) = big.row("select count(*) from lineitem")

    def projects(name: str, source: Source, tables: Sequence[Table]) -> list[_Project]:
        return [
            _Project(
                engine,
                place.root / "runs" / f"engine-{number}-{name}",
                server,
                source,
                tables,
                store,
            )
            for number, engine in enumerate(_ENGINES)
        ]

    fifty = projects("fifty", many, small_tables())
    one = projects("one", big, [lineitem()])
    size = len(fifty[0].tables)
    steps = [_step(f"{rows:,} rows, first run", project, None) for project in one]
    steps += [_step(f"{size} tables, first run", project, None) for project in fifty]
    steps += [_step(f"{size} tables, nothing changed", project, 0) for project in fifty]
    steps += [_step(f"{size} tables, rows changed in all", project, size) for project in fifty]
    return steps


def _step(group: str, project: _Project, changed: int | None) -> Step:
    start = project.first_run if changed is None else partial(project.later_run, changed)
    return Step(
        group,
        project.engine,
        __version__,
        start,
        project.asked,
        project.engine == next(iter(_ENGINES)),
        limit_seconds=_LIMIT_SECONDS,
    )
