"""First loads in ranges, killed again and again while others write: nothing is lost or doubled."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg2
import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import Database, Lake
from tests.faults.die_at import die

pytestmark = pytest.mark.faults

LOAD_RANGES = "lakefeed.loading.first_load"
# Where ranges are read, committed, and followed by the load that catches up.
MOMENTS = [
    (f"{LOAD_RANGES}:ranges_above", "after"),
    ("lakefeed.loading.extract.parquet_copy:_into", "before 2"),
    ("lakefeed.loading.extract.extract_table:_note", "after 2"),
    (f"{LOAD_RANGES}:extract", "after 3"),
    ("lakefeed.loading.raw.commit_log:CommitLog.describe", "after 2"),
    (f"{LOAD_RANGES}:commit_pending", "after 2"),
    ("lakefeed.loading.load:load_ranges", "after"),
]
FILLER = "repeat(md5(random()::text), 5)"


@dataclass(frozen=True)
class Kind:
    """A kind of table: its key, as SQL of a number, and how it is declared."""

    columns: str
    key: str
    id_of: str
    declared: str
    partitions: str = ""


KINDS = {
    "ordered": Kind("id bigint", "id", "{}", "cursor: changed"),
    "row versions": Kind("id bigint", "id", "{}", "cursor: xmin"),
    "random": Kind("id uuid", "id", "md5(({})::text)::uuid", "cursor: changed"),
    "composite": Kind(
        "tenant text, id int", "tenant, id", "'it''s ' || ({0}) % 7, ({0})", "cursor: changed"
    ),
    "parts": Kind(
        "id bigint", "id", "{}", declared="cursor: changed", partitions=" partition by range (id)"
    ),
}

# The others show as much at night.
BY_DAY = ("row versions", "composite")


def create(database: Database, kind: Kind) -> None:
    database.execute(
        f"create table big ({kind.columns}, n bigint, filler text, "
        f"changed timestamptz not null default now(), primary key ({kind.key})){kind.partitions}"
    )
    if kind.partitions:
        database.execute(
            "create table low partition of big for values from (minvalue) to (8000)",
            "create table high partition of big for values from (8000) to (maxvalue)",
        )
    numbers = "generate_series(1, 20_000) as g"
    database.execute(
        f"insert into big select {kind.id_of.format('g')}, g, {FILLER}, "
        f"timestamptz '2026-01-01' + g * interval '1 second' from {numbers}"
    )


def change_of(kind: Kind, randomly: random.Random, new: int) -> str:
    """A change of a random row, or a new one: below all keys, above them, or moved there."""
    row = f"where n = {randomly.randint(1, 20_000)}"
    below, above = kind.id_of.format(-new), kind.id_of.format(new)
    return randomly.choice(
        [
            f"update big set filler = {FILLER}, changed = now() {row}",
            f"update big set ({kind.key}) = row({below}), changed = now() {row}",
            f"update big set ({kind.key}) = row({above}), changed = now() {row}",
            f"insert into big select {below}, {-new}, 'new', now()",
            f"insert into big select {above}, {new}, 'new', now()",
            f"delete from big {row}",
        ]
    )


@contextmanager
def writing(database: Database, kind: Kind, seed: int) -> Iterator[None]:
    """Writers that insert, update, delete and move rows, in transactions that overlap."""
    done = threading.Event()

    def write(randomly: random.Random, first_new: int) -> None:
        session = database.connect()
        new = first_new
        with session.cursor() as cursor:
            while not done.is_set():
                for _ in range(randomly.randint(1, 4)):
                    new += 1
                    with suppress(psycopg2.errors.DeadlockDetected):
                        cursor.execute(change_of(kind, randomly, new))
                    done.wait(randomly.random() / 20)
                if randomly.random() < 0.9:
                    session.commit()
                else:
                    session.rollback()
        session.close()

    writers = [
        threading.Thread(target=write, args=(random.Random(seed + i), 100_000 * (i + 1)))
        for i in range(3)
    ]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        done.set()
        for writer in writers:
            writer.join()


@pytest.mark.parametrize(
    "name",
    [
        *BY_DAY,
        *(
            pytest.param(name, marks=pytest.mark.at_night)
            for name in ("ordered", "random", "parts")
        ),
    ],
)
def test_staging_equals_the_source_in_the_end(database: Database, lake: Lake, name: str) -> None:
    kind = KINDS[name]
    create(database, kind)
    lake.declare(
        f"big: {{{kind.declared}, deletes: remove, resume_above: 300 kB, max_shrink: 90%}}"
    )
    with writing(database, kind, seed=7):
        for number, (target, moment) in enumerate(MOMENTS):
            die(lake, target, moment, "load")
            if number % 3 == 1:
                shutil.rmtree(lake.root / "data" / ".dlt")

    report = lake.run()

    assert report.exit_code == 0, report.failures
    loads = CommitLog(lake.project.raw, "shop__big").loads()
    in_ranges = [load.range for load in loads if load.range]
    assert [one.number for one in in_ranges] == list(range(1, len(in_ranges) + 1))
    assert len({load.snapshot_at for load in loads if load.range}) > 2
    columns = f"{kind.key}, n, filler, changed"
    staged = f"select {columns.replace('id,', 'id::text,')} from staging.stg_shop__big order by n"
    source = f"select {columns.replace('id,', 'id::text,')} from big order by n"
    assert lake.query(staged) == database.rows(source)
    assert lake.run().build is None


@pytest.mark.on_store(at_night=True)
@pytest.mark.parametrize(
    ("target", "moment"),
    [
        MOMENTS[3],
        *(pytest.param(*moment, marks=pytest.mark.at_night) for moment in MOMENTS),
    ],
)
def test_killed_once_it_goes_on_where_it_was(
    database: Database, lake: Lake, target: str, moment: str
) -> None:
    create(database, KINDS["ordered"])
    lake.declare("big: {cursor: changed, resume_above: 1 MB}")
    die(lake, target, moment, "load")
    database.execute(f"update big set filler = {FILLER}, changed = now() where n % 1_000 = 0")

    lake.load()

    loads = CommitLog(lake.project.raw, "shop__big").loads()
    numbers = [load.range.number for load in loads if load.range]
    assert numbers == list(range(1, len(numbers) + 1))
    assert lake.raw("shop__big", "count(distinct n)") == [(20_000,)]
    newest = (
        "distinct n, last_value(filler) over (partition by n order by _dlt_load_id "
        "rows between unbounded preceding and unbounded following)"
    )
    assert lake.raw("shop__big", newest) == database.rows("select n, filler from big order by n")
