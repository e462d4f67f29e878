"""Second runs: nothing new, and a thousand rows that changed. The case `nothing-new`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import peers
from benchmarks.contender import Copy, Job
from benchmarks.fidelity import compare, fingerprint_source, open_copy
from benchmarks.lakefeed import declare, lakefeed, raw_of
from benchmarks.place import Place
from benchmarks.process import Command, run_measured
from benchmarks.reference import reference
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

CHANGED_ROWS = 1_000
_FIRST_LOAD_SECONDS = 900


@dataclass(frozen=True)
class Lake:
    """A project that was loaded before, its source, and the command that is measured on it."""

    root: Path
    source: Source
    tables: tuple[Table, ...]
    command: str = "load"

    def start(self) -> Command:
        """`lakefeed load` or `lakefeed run`."""
        return lakefeed(self.root, self.source, self.command)

    def files(self) -> dict[Path, int]:
        """The raw files with their sizes, whatever they are."""
        found = (self.root / "data" / "raw").rglob("*")
        return {path: path.stat().st_size for path in found if path.is_file()}

    def staged(self, table: Table) -> Copy:
        """The staging model of a table in the published warehouse."""
        warehouse = self.root / "data" / "warehouse.duckdb"
        return Copy(f"copies.staging.stg_bench__{table.name}", warehouse)


def nothing_new_case(server: Source, place: Place, scale: float, only_ours: bool) -> list[Step]:
    """Lakes that were loaded a moment ago."""
    big, many = ensure_database(server, database_of(scale)), ensure_database(server, "many")
    ensure_lineitem(big, place, scale)
    ensure_small_tables(many)
    (rows,) = big.row("select count(*) from lineitem")
    one = loaded_lake(Lake(place.fresh("lake-of-one"), big, (lineitem(),)))
    fifty = loaded_lake(Lake(place.fresh("lake-of-fifty"), many, tuple(small_tables())))
    steps = []
    for group, lake in ((f"one table of {rows:,} rows", one), ("fifty tables", fifty)):
        steps.append(reference(group, place))
        if not only_ours and lake is fifty:
            steps.append(_dlt_again(group, lake, place))
        steps.append(nothing_new(group, lake))
    group = f"{CHANGED_ROWS:,} rows changed among {rows:,}"
    steps.append(reference(group, place))
    steps.append(changed(group, one, partial(change_rows, one, rows)))
    return steps


def loaded_lake(lake: Lake, *, history: bool = False) -> Lake:
    """Loads the lake for the first time, unmeasured."""
    declare(lake.root / "project", lake.tables, history=history)
    lake = replace(lake, root=lake.root / "project")
    must(lake.start())
    return lake


def nothing_new(group: str, lake: Lake, name: str = "Lakefeed", *, base: bool = False) -> Step:
    """A run that finds nothing, and must leave raw as it is."""
    before: dict[Path, int] = {}

    def start() -> Command:
        before.clear()
        before.update(lake.files())
        return lake.start()

    def check() -> Checked:
        same = lake.files() == before
        wrong = "" if same else "raw was written, though nothing is new"
        return Checked(0, wrong, "nothing written")

    return Step(group, name, __version__, start, check, base)


def changed(
    group: str,
    lake: Lake,
    change: Callable[[], str],
    name: str = "Lakefeed",
    *,
    base: bool = False,
) -> Step:
    """A run that finds the rows that `change` changes just before; it returns which they are."""
    before: dict[Path, int] = {}
    which: list[str] = []

    def start() -> Command:
        which[:] = [change()]
        before.clear()
        before.update(lake.files())
        return lake.start()

    def check() -> Checked:
        table = lake.tables[0]
        raw = raw_of(lake.root, table)
        newest = f"(select * from {raw.relation} where {which[0]})"
        part = replace(table, name=f"(select * from {table.name} where {which[0]}) as part")
        fingerprint = fingerprint_source(lake.source, replace(part, sample="true"))
        with closing(open_copy(raw)) as session:
            said = compare(session, fingerprint, replace(part, sample="true"), Copy(newest))
        if lake.command == "run" and (staged := _compare_staging(lake, table)):
            said = f"{said} staging: {staged}"
        written = sum(size for path, size in lake.files().items() if path not in before)
        return Checked(written, said)

    return Step(group, name, __version__, start, check, base)


def _compare_staging(lake: Lake, table: Table) -> str:
    """All rows of the newest version against all rows of the source."""
    whole, staged = replace(table, sample="true"), lake.staged(table)
    with closing(open_copy(staged)) as session:
        return compare(session, fingerprint_source(lake.source, whole), whole, staged)


def change_rows(lake: Lake, rows: int) -> str:
    """Changes a thousand rows all over the table, and says which, for both dialects."""
    table = lake.tables[0].name
    percent = min(100.0, 150.0 * CHANGED_ROWS / rows)
    lake.source.execute(
        f"update {table} set l_comment = md5(l_comment), {CURSOR} = now() where ctid = any(array("
        f"select ctid from {table} tablesample bernoulli ({percent}) limit {CHANGED_ROWS}))"
    )
    (moment,) = lake.source.row(f"select max({CURSOR})::text from {table}")
    return f"{CURSOR} = timestamptz '{moment}'"


def _dlt_again(group: str, lake: Lake, place: Place) -> Step:
    """dlt with an incremental cursor on the same tables, after its own first load."""
    job = Job(lake.source, lake.tables, place.fresh("dlt-again"), place)
    command = peers.PYARROW.prepare(job)
    must(command)
    return Step(group, peers.PYARROW.name, peers.PYARROW.version(place), lambda: command, None)


def must(command: Command, limit_seconds: float = _FIRST_LOAD_SECONDS) -> None:
    """Runs what isn't measured, which has to end well."""
    usage = run_measured(command, limit_seconds)
    if usage.error:
        raise RuntimeError(f"{usage.error}\n{usage.output}")
