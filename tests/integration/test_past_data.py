"""`lakefeed check --data`: loads compared with a past made of copies of a real load."""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import replace

import pytest

from lakefeed.loading.raw.commit_log import LOADS_FOLDER, CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.profile import PROFILE
from lakefeed.orchestration.checks.anomaly_check import check_data, sampled
from tests.conftest import Database, Lake, only

ROWS = 100
T = (
    "create table t (id int primary key, status text, email text, "
    "at timestamptz not null default clock_timestamp())",
    f"insert into t select i, (array['placed', 'paid'])[1 + i % 2], 'p' || i || '@example.org' "
    f"from generate_series(1, {ROWS}) i",
)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def past(database: Database, lake: Lake) -> Lake:
    """A lake whose table brought about 100 rows a day, each day of ten weeks up to yesterday."""
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()
    log = CommitLog(lake.project.raw, "shop__t")
    (real,) = log.loads()
    chance = random.Random(7)
    for days in range(70, 0, -1):
        rows = 10_000 if days == 70 else ROWS + chance.randint(-5, 5)
        backdate(lake, real, now() - dt.timedelta(days), rows, is_first=days == 70)
    for file in (lake.root / "data/raw/shop__t").rglob(f"*{real.load_id}*.json*"):
        file.unlink()
    return lake


def backdate(lake: Lake, real: Load, at: dt.datetime, rows: int, *, is_first: bool) -> None:
    """The same load again, as if it had been then; its files are shared."""
    load_id = f"{at.timestamp():.6f}"
    log = CommitLog(lake.project.raw, real.table)
    before = None if is_first else real.checkpoint
    moved = {"load_id": load_id, "rows": rows, "checkpoint_before": before}
    log.describe(replace(real, **moved, snapshot_at=at.isoformat()))  # type: ignore[arg-type]
    profile = log.profiles([real.load_id])[real.load_id]
    log.keep_profile(load_id, PROFILE.text(profile))
    commits = lake.root / "data/raw" / real.table / "_dlt_loads"
    (commits / f"{real.table}__{load_id}.jsonl").write_text("")


def told(lake: Lake, in_days: int = 0) -> list[str]:
    """What would be told then."""
    at = now() + dt.timedelta(in_days)
    return [str(one) for one in check_data(lake.project, at).unlike]


def test_a_regular_past_has_no_anomalies(past: Lake) -> None:
    ended = past.command("check", "--data")

    assert told(past) == []
    assert ended.returncode == 0, ended
    assert ended.stdout == "1 table checked: no problems\n"


def test_a_table_without_a_past_is_counted_but_not_judged(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()

    ended = lake.command("check", "--data", "--json")

    assert ended.returncode == 0, ended
    assert json.loads(ended.stdout)["data"] == {"unlike": [], "young": 1}


def test_describes_anomalies_in_words(database: Database, past: Lake) -> None:
    database.execute("update t set at = clock_timestamp(), status = 'returned', email = null")
    assert only(past.load()).rows_written == ROWS

    log = CommitLog(past.project.raw, "shop__t")
    day = log.loads()[-1].loaded_at.date()
    assert sorted(told(past)) == [
        f"shop.t.email: 100% of the rows loaded on {day} are null; usually 0% to 6% (55 days)",
        "shop.t.status: no earlier load had the value `returned`",
    ]


def test_too_many_and_no_rows_are_reported_with_exit_code_1(past: Lake) -> None:
    log = CommitLog(past.project.raw, "shop__t")
    flood = log.loads()[-1]
    backdate(past, flood, now(), 5000, is_first=False)
    ended = past.command("check", "--data", "--json")

    report = json.loads(ended.stdout)
    (found,) = report["data"]["unlike"]
    assert ended.returncode == report["exit_code"] == 1
    assert (found["table"], found["column"], found["kind"]) == ("shop.t", None, "volume")
    assert found["words"].startswith("5,000 rows arrived ")
    silent = told(past, in_days=4)
    assert any("no rows have arrived for 4 days; usually new rows" in text for text in silent)
    assert any("0 rows arrived on" in text for text in silent)


def test_loads_without_profiles_are_judged_by_their_manifests(past: Lake) -> None:
    for file in (past.root / "data/raw/shop__t/_lakefeed_profiles").iterdir():
        file.unlink()

    assert told(past) == []
    assert any("0 rows arrived on" in one for one in told(past, in_days=4))


def test_a_bounded_number_of_profiles_is_read() -> None:
    loads = [Load(str(n), *[None] * 11) for n in range(20_000)]  # type: ignore[arg-type]

    chosen = sampled(loads[-600:], loads[:-600], 500)

    assert len(chosen) <= 500
    assert chosen[-1] is loads[-1]
    assert chosen[0] is loads[0]


def test_manifests_stay_as_small_as_before(past: Lake) -> None:
    (newest, *_) = (past.root / "data/raw/shop__t" / LOADS_FOLDER).glob("*.json")

    assert "profile" not in newest.read_text()
