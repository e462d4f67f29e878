"""Profiles: the statistics stored for each load beside its manifest, and what is left out."""

from __future__ import annotations

import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.profile import ColumnProfile, Profile
from tests.conftest import Database, Lake, only

T = (
    "create table t (id int primary key, email text, price numeric(9, 2), score float8, day date, "
    "paid boolean, note bytea, at timestamptz not null default now() - interval '1 hour')",
    "insert into t values (1, 'a@example.org', 1.50, 'nan', '2026-01-31', true, '\\x00'), "
    "(2, null, 10, 2.5, null, false, null), "
    "(10, 'bcd@example.org', -2.25, 1, '2025-01-01', null, null)",
)
FOLDER = "data/raw/shop__t/_lakefeed_profiles"


def profiles(lake: Lake) -> list[Profile]:
    log = CommitLog(lake.project.raw, "shop__t")
    return list(log.profiles([load.load_id for load in log.loads()]).values())


def test_a_load_stores_a_profile_of_its_rows(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()

    (profile,) = profiles(lake)

    columns = dict(profile.columns)
    assert columns.pop("at").distinct == 1
    assert columns == {
        "id": ColumnProfile(0, 3, "1", "10"),
        "email": ColumnProfile(1, 2, shortest=13, longest=15),
        "price": ColumnProfile(0, 3, "-2.25", "10.00"),
        "score": ColumnProfile(0, 3, columns["score"].min, columns["score"].max),
        "day": ColumnProfile(1, 2, "2025-01-01", "2026-01-31"),
        "paid": ColumnProfile(1, 2),
        "note": ColumnProfile(2, 1, shortest=1, longest=1),
    }
    assert profile.rows == 3
    assert profile.size == lake.files("shop__t")[0].stat().st_size
    assert profile.lateness is not None
    assert 3600 <= profile.lateness < 3700


def test_a_large_load_stores_a_profile_from_file_statistics(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefeed.loading.extract.profiler.MOST_ROWS_READ", 2)
    database.execute(*T)
    lake.declare("t: {cursor: at, deletes: mark}").load()

    (profile,) = profiles(lake)

    found = {name: (one.nulls, one.min, one.max) for name, one in profile.columns.items()}
    assert found["id"] == (0, "1", "10")
    assert found["email"] == (1, None, None)
    assert found["price"] == (0, "-2.25", "10.00")
    assert found["day"] == (1, "2025-01-01", "2026-01-31")
    assert profile.columns["email"].longest is None


@pytest.mark.parametrize("many", [True, False])
def test_a_profile_contains_no_text_values(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch, many: bool
) -> None:
    if many:
        monkeypatch.setattr("lakefeed.loading.extract.profiler.MOST_ROWS_READ", 0)
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()

    (file,) = (lake.root / FOLDER).iterdir()

    assert "example.org" not in file.read_text()


def test_loads_without_rows_and_old_loads_have_no_profile(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()
    (file,) = (lake.root / FOLDER).iterdir()
    file.unlink()

    assert only(lake.load()).status == "unchanged"
    assert profiles(lake) == []
    assert only(lake.load(full_refresh=True)).status == "loaded"
    assert len(profiles(lake)) == 1
