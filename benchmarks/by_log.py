"""Changes that are read from the log: the case `log`, on a server of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import peers
from benchmarks.again import Lake, must, nothing_new
from benchmarks.contender import Copy, Job, files_of
from benchmarks.fidelity import compare, fingerprint_source, open_copy
from benchmarks.lakefeed import BY_CURSOR, BY_LOG, declare, lakefeed, raw_of
from benchmarks.place import Place
from benchmarks.process import Command
from benchmarks.reference import reference
from benchmarks.rounds import Checked, Step
from benchmarks.side_by_side import database_of
from benchmarks.source import Source, debian_programs, ensure_database, running_source
from benchmarks.tables import CURSOR, LINEITEM_ROWS, ensure_lineitem, lineitem
from lakefeed import __version__

# One row of so many changes before each run.
_CHANGED_OF = 10
_MB = 1_000_000
_SETTINGS = ("wal_level=logical", "max_slot_wal_keep_size=64GB")
_CURSOR, _LOG = "Lakefeed, cursor", "Lakefeed, wal"
_SLOT = "rivet_slot"


def log_server(place: Place) -> AbstractContextManager[Source]:
    """A server whose log can be decoded: Debian's where that is installed.

    The wheel's has no plugin but `pgoutput`, by which no contender reads that can be installed.
    """
    programs = debian_programs()
    folder = place.root / ("postgres-log-debian" if programs else "postgres-log")
    return running_source(folder, *_SETTINGS, programs=programs)


def log_case(server: Source, place: Place, scale: float, only_ours: bool) -> list[Step]:
    """Lakes that were loaded before: nothing new, and a tenth of the rows changed.

    Args:
        server: a `log_server`.
    """
    source = ensure_database(server, database_of(scale))
    ensure_lineitem(source, place, scale)
    _drop_slots(source)
    return list(_steps(source, place, scale, only_ours))


def _steps(source: Source, place: Place, scale: float, only_ours: bool) -> Iterator[Step]:
    change = Change(source)
    by_cursor = _loaded(place, source, "lake-by-cursor", BY_CURSOR)
    by_log = _loaded(place, source, "lake-by-log", BY_LOG)
    group = f"nothing new in one table of {round(LINEITEM_ROWS * scale):,} rows"
    yield reference(f"{group}, starting up", place)
    yield replace(_nothing_new(group, by_cursor, _CURSOR, change), base=True)
    yield _nothing_new(group, by_log, _LOG, change)
    group = f"{change.rows:,} rows changed, {change.log / _MB:,.0f} MB of log"
    yield _changed(group, by_cursor, _CURSOR, change, base=True)
    yield _changed(group, by_log, _LOG, change)
    if not only_ours:
        yield _rivet(group, place, change)


@dataclass
class Change:
    """Changes the same rows again and again; the first time to learn how much log that is.

    Attributes:
        which: the rows that were changed last, for both dialects.
    """

    source: Source
    which: str = ""
    rows: int = field(init=False)
    log: int = field(init=False)

    def __post_init__(self) -> None:
        # The first change after a checkpoint logs whole pages, which nobody decodes.
        self.make()
        (before,) = self.source.row("select pg_current_wal_insert_lsn()::text")
        self.make()
        (log,) = self.source.row(f"select pg_current_wal_insert_lsn() - pg_lsn '{before}'")
        (self.rows,) = self.source.row(f"select count(*) from lineitem where {self.which}")
        self.log = int(log)

    def make(self) -> None:
        """Changes one row of ten."""
        self._change(f"l_orderkey % {_CHANGED_OF} = 0")
        (moment,) = self.source.row(f"select max({CURSOR})::text from lineitem")
        self.which = f"{CURSOR} = timestamptz '{moment}'"

    def pass_by(self) -> None:
        """Changes a row later than all others, so that the cursor's lookback has only that one."""
        self._change("ctid = (select min(ctid) from lineitem)")

    def _change(self, which: str) -> None:
        """Changes rows, an hour after all earlier changes by their timestamps."""
        self.source.execute(
            f"with latest as (select max({CURSOR}) + interval '1 hour' as moment from lineitem) "
            f"update lineitem set l_comment = md5(l_comment), {CURSOR} = moment "
            f"from latest where {which}"
        )

    def compared(self, relation: str) -> str:
        """What is wrong with the changed rows of a copy."""
        table, copy = lineitem(), Copy(f"(select * from {relation} where {self.which})")
        part = replace(table, name=f"(select * from lineitem where {self.which}) as part")
        fingerprint = fingerprint_source(self.source, part)
        with closing(open_copy(copy)) as session:
            return compare(session, fingerprint, part, copy)


def _loaded(place: Place, source: Source, name: str, defaults: str) -> Lake:
    """A lake that was loaded, and has read all that was written since."""
    lake = Lake(place.fresh(name) / "project", source, (lineitem(),))
    declare(lake.root, lake.tables, defaults=defaults)
    if defaults == BY_LOG:
        must(lakefeed(lake.root, source, "cdc", "setup", "--apply"))
    must(lake.start())
    must(lake.start())
    return lake


def _nothing_new(group: str, lake: Lake, name: str, change: Change) -> Step:
    step = nothing_new(group, lake, name)

    def start() -> Command:
        # Earlier rounds changed rows.
        change.pass_by()
        must(lake.start())
        # The server decodes much of a large change once more for whoever reads next.
        must(lake.start())
        return step.start()

    return replace(step, start=start)


def _changed(group: str, lake: Lake, name: str, change: Change, *, base: bool = False) -> Step:
    before: dict[Path, int] = {}
    began: list[float] = []

    def start() -> Command:
        # What other contenders changed is none of what is measured.
        must(lake.start())
        change.make()
        before.clear()
        before.update(lake.files())
        began[:] = [time.monotonic()]
        return lake.start()

    def check() -> Checked:
        seconds = time.monotonic() - began[0]
        written = sum(size for path, size in lake.files().items() if path not in before)
        wrong = change.compared(raw_of(lake.root, lake.tables[0]).relation)
        return Checked(written, wrong, _rate(change, seconds))

    return Step(group, name, __version__, start, check, base)


def _rate(change: Change, seconds: float) -> str:
    return f"values exact; {change.log / _MB / seconds:,.0f} MB of log a second"


def _rivet(group: str, place: Place, change: Change) -> Step:
    """Rivet's `mode: cdc`, which reads what its slot has by `test_decoding`, to Parquet."""
    job = Job(change.source, (lineitem(),), place.fresh("rivet-cdc"), place)
    began: list[float] = []

    def start() -> Command:
        command = peers.rivet_cdc(job, _SLOT)
        if not change.source.row(_HAS_SLOT)[0]:
            change.source.execute(
                f"select pg_create_logical_replication_slot('{_SLOT}', 'test_decoding')"
            )
        must(command)
        change.make()
        began[:] = [time.monotonic()]
        return command

    def check() -> Checked:
        seconds = time.monotonic() - began[0]
        copy = files_of(job.folder / "output")
        written = sum(path.stat().st_size for path in job.folder.rglob("*.parquet"))
        return Checked(written, change.compared(copy.relation), _rate(change, seconds))

    remark = "`test_decoding`, without the rows of before"
    return Step(group, "Rivet, cdc", peers.RIVET.version(place), start, check, remark=remark)


_HAS_SLOT = f"select exists (select from pg_replication_slots where slot_name = '{_SLOT}')"


def _drop_slots(source: Source) -> None:
    """Has the server keep no log for anyone."""
    source.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
        "where database = current_database()",
        "drop publication if exists lakefeed_bench",
    )
