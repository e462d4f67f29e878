"""History: every version of a row and its period of validity, built by real dbt from raw."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pytest

from lakefeed.orchestration.build.build import build_from_scratch
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import NIGHTLY, Database, Lake, failure
from tests.integration.test_staging import dbt

pytestmark = pytest.mark.builds

T = (
    "create table t (id int primary key, word text, at timestamptz not null default now())",
    "insert into t select i, 'w' || i, '2026-01-01Z' from generate_series(1, 3) i",
)
HISTORY = "history.hst_shop__t"
BEGINNING = "1900-01-01"


def versions(
    lake: Lake, key: int = 1, table: str = "t", word: str = "word", *, as_built: bool = False
) -> list[tuple[str, ...]]:
    """What a row was and since when, by the day; the last entry ends it, if it has ended.

    Args:
        as_built: of what plain dbt left, which publishes nothing.
    """
    rows = (lake.built if as_built else lake.query)(
        f"select {word}::varchar, strftime(valid_from, '%Y-%m-%d'), strftime(valid_to, '%Y-%m-%d')"
        f" from history.hst_shop__{table} where id = {key} order by valid_from"
    )
    return [tuple("-" if value is None else str(value) for value in row) for row in rows]


def everything(lake: Lake) -> list[tuple[object, ...]]:
    return lake.query(f"select * exclude (_staged_batch) from {HISTORY} order by all")


def is_the_same_from_nothing(lake: Lake) -> bool:
    """Whether the history that grew equals the one that is built from raw at once."""
    grown = everything(lake)
    assert build_from_scratch(lake.project).exit_code == 0
    return everything(lake) == grown


def declare(lake: Lake, settings: str = "cursor: at") -> Lake:
    return lake.declare(f"t: {{{settings}, history: true}}")


def change(database: Database, word: str, at: str, key: int = 1) -> None:
    database.execute(f"update t set word = '{word}', at = '{at}' where id = {key}")


def run(lake: Lake, **options: object) -> None:
    report = lake.run(**options)
    assert report.exit_code == 0, report


@pytest.mark.on_ducklake
def test_each_loaded_change_is_a_version(database: Database, lake: Lake) -> None:
    database.execute(*T)
    run(declare(lake))
    change(database, "new", "2026-02-01Z")
    run(lake)
    change(database, "newer", "2026-03-01Z")
    run(lake)

    assert versions(lake) == [
        ("w1", BEGINNING, "2026-02-01"),
        ("new", "2026-02-01", "2026-03-01"),
        ("newer", "2026-03-01", "-"),
    ]
    assert versions(lake, 2) == [("w2", BEGINNING, "-")]
    assert lake.query(f"select count(*) from {HISTORY} where is_current") == [(3,)]
    assert is_the_same_from_nothing(lake)


@pytest.mark.on_ducklake(at_night=True)
def test_an_unchanged_row_that_is_read_again_is_not_a_new_version(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    run(declare(lake, "cursor: at, lookback: 3650d"))
    run(lake, full_refresh=True)
    run(lake, since="2025-01-01")

    assert versions(lake) == [("w1", BEGINNING, "-")]
    assert is_the_same_from_nothing(lake)


@pytest.mark.on_ducklake(at_night=True)
def test_of_two_versions_at_the_same_time_the_newer_snapshot_wins(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    run(declare(lake))
    change(database, "first", "2026-02-01Z")
    run(lake)
    change(database, "second", "2026-02-01Z")
    run(lake)

    assert versions(lake) == [("w1", BEGINNING, "2026-02-01"), ("second", "2026-02-01", "-")]
    assert is_the_same_from_nothing(lake)


@pytest.mark.on_ducklake
def test_a_backdated_correction_replaces_later_versions(database: Database, lake: Lake) -> None:
    database.execute(*T)
    run(declare(lake, "cursor: at, lookback: 3650d"))
    for word, at in (("right", "2026-02-01Z"), ("wrong", "2026-03-01Z"), ("better", "2026-02-15Z")):
        change(database, word, at)
        run(lake)

    assert versions(lake) == [
        ("w1", BEGINNING, "2026-02-01"),
        ("right", "2026-02-01", "2026-02-15"),
        ("better", "2026-02-15", "-"),
    ]
    assert is_the_same_from_nothing(lake)


@pytest.mark.on_ducklake(at_night=True)
def test_a_time_of_change_after_the_snapshot_is_capped(database: Database, lake: Lake) -> None:
    database.execute(*T)
    run(declare(lake))
    change(database, "of the future", "2999-01-01Z")
    run(lake)
    found = f"select valid_from = loaded_at, is_current from {HISTORY} where word = 'of the future'"

    assert lake.query(found) == [(True, True)]
    assert is_the_same_from_nothing(lake)


@pytest.mark.on_ducklake(at_night=True)
def test_a_time_without_zone_is_in_the_declared_zone(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, word text, at timestamp)",
        "insert into t values (1, 'a', '2026-01-01')",
    )
    run(declare(lake, "cursor: {column: at, timezone: Europe/Paris}"))
    change(database, "b", "2026-07-01 12:00")
    run(lake)

    assert lake.query(f"select valid_from::varchar from {HISTORY} where word = 'b'") == [
        ("2026-07-01 10:00:00+00",)
    ]


@pytest.mark.by_day(1)
@pytest.mark.parametrize("settings", ["cursor: xmin", "cursor: n", "mode: full_refresh"])
@pytest.mark.on_ducklake(at_night=True)
def test_without_a_time_cursor_a_version_begins_with_its_first_snapshot(
    database: Database, lake: Lake, settings: str
) -> None:
    database.execute(*T, "alter table t add n bigint not null default 1")
    run(declare(lake, settings))
    database.execute("update t set word = 'new', n = 2 where id = 1")
    run(lake)
    run(lake)

    versions = lake.query(
        f"select word, valid_from = loaded_at from {HISTORY} where id = 1 order by valid_from"
    )
    assert versions == [
        ("w1", False), ("new", True),
    ]  # fmt: skip
    assert lake.query(f"select count(*) from {HISTORY}") == [(4,)]
    assert is_the_same_from_nothing(lake)


@pytest.mark.by_day(1)
@pytest.mark.parametrize("deletes", ["remove", "mark"])
@pytest.mark.on_ducklake(at_night=True)
def test_a_deletion_ends_a_version_and_its_return_begins_another(
    database: Database, lake: Lake, deletes: str
) -> None:
    database.execute(*T)
    run(declare(lake, f"cursor: at, deletes: {deletes}, max_shrink: 90%"))
    database.execute("delete from t where id = 1")
    run(lake)
    gone = lake.query(
        f"select _was_deleted, is_current, valid_to > '2026-06-01' from {HISTORY} where id = 1"
    )
    database.execute("insert into t values (1, 'again', '2026-01-01Z')")
    run(lake)

    assert gone == [(True, False, True)]
    assert lake.query(
        f"select word, valid_from = loaded_at, is_current, _was_deleted from {HISTORY}"
        " where id = 1 order by valid_from"
    ) == [("w1", False, False, True), ("again", True, True, False)]
    assert is_the_same_from_nothing(lake)


@pytest.mark.by_day(1)
@pytest.mark.parametrize("settings", ["mode: full_refresh", "cursor: at"])
@pytest.mark.on_ducklake(at_night=True)
def test_a_row_missing_from_a_whole_table_load_ends_but_keeps_its_versions(
    database: Database, lake: Lake, settings: str
) -> None:
    database.execute(*T)
    run(declare(lake, settings))
    change(database, "new", "2026-02-01Z")
    run(lake)
    database.execute("delete from t where id = 1")
    run(lake, full_refresh=True, allow_shrink=True)
    ended = lake.query(
        f"select word, is_current, _was_deleted from {HISTORY} where id = 1 order by all"
    )
    database.execute("insert into t values (1, 'again', '2026-04-01Z')")
    run(lake, full_refresh=True)

    assert ended == [("new", False, True), ("w1", False, False)]
    assert len(versions(lake)) == 3
    assert lake.query(f"select count(*) from {HISTORY} where is_current") == [(3,)]
    assert is_the_same_from_nothing(lake)


@pytest.mark.on_ducklake(at_night=True)
def test_a_late_load_puts_its_versions_in_their_place(
    database: Database, lake: Lake, tmp_path: Path
) -> None:
    database.execute(*T)
    run(declare(lake))
    change(database, "late", "2026-02-01Z")
    lake.load()
    commit = max((lake.root / "data/raw/shop__t/_dlt_loads").glob("*.jsonl"))
    hidden = commit.rename(tmp_path / commit.name)
    change(database, "new", "2026-03-01Z")
    run(lake)
    assert [word for word, *_ in versions(lake)] == ["w1", "new"]
    hidden.rename(commit)

    run(lake)

    assert versions(lake) == [
        ("w1", BEGINNING, "2026-02-01"),
        ("late", "2026-02-01", "2026-03-01"),
        ("new", "2026-03-01", "-"),
    ]


@pytest.mark.on_ducklake(at_night=True)
def test_reloading_a_range_keeps_correct_versions_unchanged(database: Database, lake: Lake) -> None:
    database.execute(*T)
    run(declare(lake))
    change(database, "new", "2026-02-01Z")
    run(lake)
    database.execute("update t set word = 'unseen' where id = 2")
    before = versions(lake)

    run(lake, since="2025-12-01", until="2026-01-15")

    assert versions(lake) == before
    assert versions(lake, 2) == [("unseen", BEGINNING, "-")]
    assert is_the_same_from_nothing(lake)


@pytest.mark.on_ducklake(at_night=True)
def test_only_files_of_new_loads_are_read(database: Database, lake: Lake) -> None:
    database.execute(*T)
    run(declare(lake))
    for file in lake.files("shop__t"):
        file.write_bytes(b"no longer Parquet")
    change(database, "new", "2026-02-01Z")

    # Reads a range, which is compared with no file of raw, and builds history alone.
    lake.load(since="2026-01-15")
    assert dbt(lake, "run", "--select", "hst_shop__t").returncode == 0

    assert versions(lake, as_built=True)[-1] == ("new", "2026-02-01", "-")


@pytest.mark.on_ducklake(at_night=True)
def test_history_can_be_turned_on_and_off(database: Database, lake: Lake) -> None:
    database.execute(*T)
    run(lake.declare("t: {cursor: at}"))
    change(database, "new", "2026-02-01Z")
    run(lake)

    run(declare(lake))
    assert len(versions(lake)) == 2
    planned = lake.declare("t: {cursor: at}").command("plan").stdout
    told = lake.run().warnings

    edit = "shop.t: removes its history `hst_shop__t` from the warehouse"
    assert (edit in planned, edit in told) == (True, True)
    assert not list((lake.root / "dbt/models/history").rglob("*.sql"))
    present = warehouse_of(lake.project).published.relations()
    assert {name for schema, name in present if schema in ("staging", "history")} == {"stg_shop__t"}
    assert lake.run().build is None


@pytest.mark.on_ducklake(at_night=True)
def test_a_history_that_a_mart_reads_stays_until_the_mart_no_longer_does(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    (lake.root / "dbt/models/marts/of_t.sql").write_text("select id from {{ ref('hst_shop__t') }}")
    run(declare(lake))

    failed = lake.declare("t: {cursor: at}").run()

    assert "hst_shop__t" in str(failed.build_error)
    assert lake.query("select count(*) from marts.of_t") == lake.query(
        "select count(*) from history.hst_shop__t"
    )


@pytest.mark.on_ducklake(at_night=True)
def test_earlier_tombstones_count_once_deletes_is_declared(database: Database, lake: Lake) -> None:
    """What the declaration means has changed, so history is built anew."""
    database.execute(*T)
    run(declare(lake, "cursor: at, deletes: mark, max_shrink: 90%"))
    database.execute("delete from t where id = 1")
    run(lake)

    run(declare(lake))
    database.execute("insert into t values (4, 'w4', now())")
    run(lake)
    ignored = lake.query(f"select is_current from {HISTORY} where id = 1")
    run(declare(lake, "cursor: at, deletes: mark"))
    database.execute("insert into t values (5, 'w5', now())")
    run(lake)

    assert ignored == [(True,)]
    assert lake.query(f"select is_current from {HISTORY} where id = 1") == [(False,)]


@pytest.mark.on_ducklake(at_night=True)
def test_history_survives_added_dropped_and_widened_columns(database: Database, lake: Lake) -> None:
    database.execute(*T, "alter table t add n int, add gone text default 'x'")
    run(declare(lake))
    database.execute(
        "alter table t alter n type bigint, drop column gone, add city text",
        "update t set n = 3000000000, city = 'Köln', at = '2026-02-01Z' where id = 1",
    )
    run(lake)

    assert versions(lake, word="n") == [
        ("-", BEGINNING, "2026-02-01"),
        ("3000000000", "2026-02-01", "-"),
    ]
    assert versions(lake, word="city")[-1][0] == "Köln"
    assert is_the_same_from_nothing(lake)


@pytest.mark.on_ducklake(at_night=True)
def test_history_restarts_if_older_values_do_not_fit_a_retyped_column(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    run(declare(lake))
    database.execute("alter table t alter word type int using 7")
    run(lake)
    database.execute("update t set word = 8, at = '2026-03-01Z' where id = 1")
    run(lake)

    assert versions(lake) == [("7", BEGINNING, "2026-03-01"), ("8", "2026-03-01", "-")]
    assert is_the_same_from_nothing(lake)


def test_history_without_a_key_is_refused(database: Database, lake: Lake) -> None:
    database.execute("create table t (id int)")

    told = failure(declare(lake, "mode: full_refresh").load())

    assert "has no primary key, which `history` needs to match the versions of a row" in told


def test_a_column_with_a_reserved_name_is_refused(database: Database, lake: Lake) -> None:
    database.execute("create table t (id int primary key, valid_to date)")

    told = failure(declare(lake, "mode: full_refresh").load())

    assert "has a column `valid_to`, a name reserved by Lakefeed" in told
    assert lake.declare("t: {mode: full_refresh}").load().exit_code == 0


@pytest.mark.on_ducklake(at_night=True)
def test_composite_keys_with_odd_names_have_histories(database: Database, lake: Lake) -> None:
    database.execute(
        'create table t (id int, "B c" text, word text, at timestamptz, primary key (id, "B c"))',
        "insert into t select 1, i::text, 'a', '2026-01-01Z' from generate_series(1, 3) i",
    )
    run(declare(lake, "cursor: at"))
    database.execute("""update t set word = 'b', at = '2026-02-01Z' where "B c" = '2'""")
    run(lake)

    assert lake.query(f"""select count(*), count(*) filter ("B c" = '2') from {HISTORY}""") == [
        (4, 2)
    ]
    assert is_the_same_from_nothing(lake)


@pytest.mark.at_night
@pytest.mark.nightly
@pytest.mark.on_ducklake(at_night=True)
@pytest.mark.parametrize("seed", range(1, 13 if NIGHTLY else 3))
@pytest.mark.parametrize("settings", ["cursor: at, lookback: 3650d", "mode: full_refresh"])
def test_current_versions_always_equal_staging(
    database: Database, lake: Lake, settings: str, seed: int
) -> None:
    """And history that grew equals history from nothing."""
    chance = random.Random(seed)
    database.execute(*T)
    run(declare(lake, f"{settings}, deletes: remove, max_shrink: 100%"))
    for _ in range(30 if NIGHTLY and not lake.warehouse else 4):
        for key in range(1, 6):
            day = dt.date(2026, 1, 1) + dt.timedelta(days=chance.randint(0, 200))
            database.execute(chance.choice([
                "select 1",
                f"delete from t where id = {key}",
                f"insert into t values ({key}, '{chance.randint(1, 3)}', '{day}')"
                " on conflict (id) do update set word = excluded.word, at = excluded.at",
            ]))  # fmt: skip
        run(lake, full_refresh=chance.random() < 0.3)

    assert lake.query(
        f"select id, word, t.at from {HISTORY} as t where is_current order by id"
    ) == lake.query("select id, word, t.at from staging.stg_shop__t as t order by id")
    assert is_the_same_from_nothing(lake)
