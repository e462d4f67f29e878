"""A first load above `resume_above` is committed in ranges of the key, and goes on where it was."""

from __future__ import annotations

import json

import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from tests.conftest import Database, Lake, failure, only
from tests.faults.die_at import die

pytestmark = pytest.mark.builds

# About 4.4 MB: five ranges of `resume_above: 1 MB`.
BIG = (
    "create table big (id bigint primary key, n int, filler text, "
    "updated_at timestamptz not null default now())",
    "insert into big select i, 0, repeat(md5(i::text), 5), "
    "timestamptz '2026-01-01' + i * interval '1 second' from generate_series(1, 20_000) as i",
    "analyze big",
)
DECLARED = "big: {cursor: updated_at, resume_above: 1 MB}"


def loads_of(lake: Lake) -> list[Load]:
    return CommitLog(lake.project.raw, "shop__big").loads()


def ranges_of(lake: Lake) -> list[tuple[int, int]]:
    """The number of each range, and how many there were to be."""
    return [(load.range.number, load.range.of) for load in loads_of(lake) if load.range]


def die_in_range(lake: Lake, number: int, *options: str) -> None:
    """A load that is killed after it has read this range, before it is committed."""
    die(lake, "lakefeed.loading.extract.extract_table:_note", f"before {number}", "load", *options)


def source_rows(database: Database) -> list[tuple[object, ...]]:
    return database.rows("select id, n, filler, updated_at from big order by id")


def staged_rows(lake: Lake) -> list[tuple[object, ...]]:
    return lake.query("select id, n, filler, updated_at from staging.stg_shop__big order by id")


def test_a_first_load_is_committed_in_ranges_of_the_key(database: Database, lake: Lake) -> None:
    database.execute(*BIG)

    loaded = only(lake.declare(DECLARED).load())

    loads = loads_of(lake)
    assert loaded.rows_written == sum(load.rows for load in loads) == 20_000
    assert ranges_of(lake) == [(number, 5) for number in range(1, 6)]
    assert all(3_000 < load.rows < 5_000 for load in loads)
    assert len({load.snapshot_at for load in loads}) == 1
    assert lake.raw("shop__big", "count(distinct id)") == [(20_000,)]


def test_only_the_last_range_notes_the_checkpoint(database: Database, lake: Lake) -> None:
    database.execute(*BIG, "update big set updated_at = '2026-06-01' where id = 5")

    loaded = only(lake.declare(DECLARED).load())

    checkpoints = [load.checkpoint for load in loads_of(lake)]
    assert checkpoints == [None] * 4 + ["2026-06-01 00:00:00+00:00"]
    assert loaded.checkpoint == "2026-06-01 00:00:00+00:00"


def test_the_load_after_it_reads_what_is_new(database: Database, lake: Lake) -> None:
    database.execute(*BIG)
    lake.declare(DECLARED).load()
    database.execute("insert into big (id) values (30_000)")

    loaded = only(lake.load())

    assert loaded.rows_written == 1
    assert only(lake.load()).status == "unchanged"


def test_a_killed_one_goes_on_with_the_next_range(database: Database, lake: Lake) -> None:
    database.execute(*BIG)
    lake.declare(DECLARED)
    die_in_range(lake, 3)
    before = [load.load_id for load in loads_of(lake)]

    loaded = only(lake.load())

    after = loads_of(lake)
    assert len(before) == 2
    assert [load.load_id for load in after][:2] == before
    assert ranges_of(lake) == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    goes_on, ends = loaded.notes
    assert goes_on.startswith("its first load goes on after 2 of 5 ranges, 1.7 MB of 4.")
    assert ends == "its first load was committed in 5 ranges"
    assert lake.raw("shop__big", "count(*), count(distinct id)") == [(20_000, 20_000)]


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_what_changed_meanwhile_is_found_before_staging_shows_it(
    database: Database, lake: Lake
) -> None:
    database.execute(*BIG)
    lake.declare("big: {cursor: updated_at, resume_above: 1 MB, deletes: remove}")
    late = database.connect()
    late.cursor().execute("update big set n = 1, updated_at = now() where id in (1, 19_999)")
    die_in_range(lake, 3)
    late.commit()
    late.close()
    database.execute(
        "update big set n = 2, updated_at = now() where id in (2, 19_998)",
        "delete from big where id in (3, 19_997)",
        "insert into big (id, n) values (0, 3), (30_000, 3)",
        "update big set id = -id, updated_at = now() where id in (4, 19_996)",
        "update big set id = id + 50_000, updated_at = now() where id in (5, 19_995)",
    )

    report = lake.run()

    assert report.exit_code == 0, report.failures
    assert staged_rows(lake) == source_rows(database)
    assert only(lake.load()).status == "unchanged"


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_staging_shows_nothing_until_the_last_range_is_in(database: Database, lake: Lake) -> None:
    database.execute(*BIG, "create table small (id int primary key)")
    lake.declare(f"{DECLARED}\nsmall: {{mode: full_refresh}}")
    lake.load("shop.small")
    die_in_range(lake, 3, "--select", "shop.big")

    assert lake.run("shop.small").exit_code == 0
    assert staged_rows(lake) == []
    assert lake.run("shop.small").build is None

    lake.run()
    assert staged_rows(lake) == source_rows(database)


@pytest.mark.by_day(1)
@pytest.mark.parametrize(
    ("declared", "change", "why"),
    [
        ("big: {cursor: updated_at, resume_above: 1 MB, where: id <> 7}", "", "`where` changed"),
        ("big: {cursor: xmin, resume_above: 1 MB}", "", "the cursor changed"),
        (DECLARED, "alter table big add note text", "the columns changed"),
        (
            "big: {cursor: updated_at, resume_above: 1 MB, columns: {filler: {mask: x}}}",
            "",
            "columns are protected in another way",
        ),
        (
            DECLARED,
            "create table other (like big including all);"
            "insert into other select * from big; drop table big; alter table other rename to big",
            "the table was recreated or replaced",
        ),
    ],
)
def test_it_starts_over_if_the_table_is_read_otherwise(
    database: Database, lake: Lake, declared: str, change: str, why: str
) -> None:
    database.execute(*BIG)
    lake.declare(DECLARED)
    die_in_range(lake, 3)
    database.execute(*([change] if change else []))

    loaded = only(lake.declare(declared).load())

    assert loaded.notes == (
        f"its first load starts over: {why}; to remove what was read: lakefeed prune",
        "its first load was committed in 5 ranges",
    )
    assert ranges_of(lake) == [(1, 5), (2, 5), *((number, 5) for number in range(1, 6))]
    lake.run()
    declared_rows = "id <> 7" if "id <> 7" in declared else "true"
    ids = database.rows(f"select id from big where {declared_rows} order by id")
    assert lake.query("select id from staging.stg_shop__big order by id") == ids


@pytest.mark.on_store(at_night=True)
def test_a_full_refresh_starts_it_over(database: Database, lake: Lake) -> None:
    database.execute(*BIG)
    lake.declare(DECLARED)
    die_in_range(lake, 3)

    loaded = only(lake.load(full_refresh=True))

    assert "a full refresh was asked for" in loaded.notes[0]
    assert ranges_of(lake)[2:] == [(number, 5) for number in range(1, 6)]
    assert loads_of(lake)[2].supersedes


def test_without_ranges_from_now_on_the_rest_is_read_in_one(database: Database, lake: Lake) -> None:
    database.execute(*BIG)
    lake.declare(DECLARED)
    die_in_range(lake, 3)

    lake.declare("big: {cursor: updated_at, resume_above: never}").load()

    assert ranges_of(lake) == [(1, 5), (2, 5), (3, 3)]
    assert lake.raw("shop__big", "count(*), count(distinct id)") == [(20_000, 20_000)]


@pytest.mark.parametrize(
    "declared",
    [
        "big: {cursor: n}",
        "big: {cursor: {column: updated_at, initial_value: 2026-01-01}}",
        "big: {cursor: updated_at, resume_above: never}",
        "big: {cursor: updated_at, resume_above: 10 GB}",
        "big: {mode: full_refresh}",
        "big: {cursor: updated_at, columns: {id: {hash: sha256}}}",
        "big: {cursor: updated_at, primary_key: [n, filler]}",
    ],
)
def test_tables_that_must_not_be_are_read_at_once(
    database: Database, lake: Lake, declared: str
) -> None:
    database.execute(*BIG)

    lake.declare(declared, head="    defaults: {resume_above: 1 MB}\n").load()

    (load,) = loads_of(lake)
    assert load.range is None
    assert load.rows == 20_000


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ("cursor: n", "its cursor is a number, which doesn't tell when a row was written"),
        (
            "cursor: updated_at, primary_key: [n, filler]",
            "no unique index covers its key, with columns that are never null and not protected",
        ),
    ],
)
def test_a_table_that_sets_ranges_in_vain_is_told_so_by_plan_and_load(
    database: Database, lake: Lake, declared: str, why: str
) -> None:
    database.execute(*BIG)
    lake.declare(f"big: {{{declared}, resume_above: 1 MB}}")

    planned, (big,) = lake.command("plan").stdout, lake.load().tables

    told = f"`resume_above` (sources.yaml:6) has no effect: {why}"
    assert f"shop.big: {told}" in planned
    assert told in big.notes
    assert lake.load().tables[0].notes == ()


def test_a_failure_says_how_far_it_came(database: Database, lake: Lake) -> None:
    database.execute(*BIG)
    lake.declare("big: {cursor: updated_at, resume_above: 1 MB, where: 1 / (id - 15_000) < 9}")

    report = lake.load()

    assert report.exit_code == 1
    assert "division by zero" in failure(report)
    (warning,) = report.warnings
    assert warning.startswith("shop.big: its first load will go on after 3 of 5 ranges, ")


def test_status_and_plan_say_how_far_it_is(database: Database, lake: Lake) -> None:
    database.execute(*BIG)
    lake.declare(DECLARED).command("sync")
    assert "all rows: first load, in about 5 ranges" in lake.command("plan").stdout
    die_in_range(lake, 3)

    status, plan = (lake.command(name).stdout for name in ("status", "plan"))

    assert "shop.big: first load: 2 of 5 ranges, 1.7 MB of 4." in status
    assert "staging shows it when the last is in" in status
    assert "all rows: first load, goes on after 2 of 5 ranges, 1.7 MB of 4." in plan
    assert "2 of 5 ranges" in lake.command("trace", "shop.big", "7").stdout


def test_a_plan_counts_the_rows_that_are_left_and_statements_of_a_range(
    database: Database, lake: Lake
) -> None:
    database.execute(*BIG)
    lake.declare(DECLARED).command("sync")
    first = json.loads(lake.command("plan", "--json").stdout)
    die_in_range(lake, 3)

    (load,) = (rest := json.loads(lake.command("plan", "--json").stdout))["loads"]

    assert (first["loads"][0]["estimate"]["rows"], first["loads"][0]["statements"]) == (20_000, 5)
    assert first["longest"]["rows"] == 4000
    left = 20_000 - sum(load.rows for load in loads_of(lake))
    assert abs(load["estimate"]["rows"] - left) < 1000
    assert (load["statements"], rest["longest"]["parts"]) == (3, 3)


def test_a_backfill_waits_for_it(database: Database, lake: Lake) -> None:
    database.execute(*BIG)
    lake.declare(DECLARED)
    die_in_range(lake, 3)

    error = failure(lake.load(since="2026-01-01"))

    assert "can't load a range yet: its first load is incomplete" in error
    assert "lakefeed run --select shop.big" in error


def test_one_session_is_enough(database: Database, lake: Lake) -> None:
    database.execute(*BIG)
    lake.declare(DECLARED, head="    max_connections: 1\n")
    die_in_range(lake, 3)

    lake.load()

    assert lake.raw("shop__big", "count(*), count(distinct id)") == [(20_000, 20_000)]
