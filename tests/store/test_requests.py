"""How many requests a run makes of an object store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lakefeed.demo.store import ObjectStore
from lakefeed.loading.maintenance.compact import FEWEST
from tests.conftest import NIGHTLY, Database, Lake
from tests.store.proxy import Proxy, proxy_for

TABLES = 3
LOADS = 990 if NIGHTLY else 25


@pytest.fixture
def proxy(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with proxy_for(store.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


def requests_of(lake: Lake, proxy: Proxy) -> int:
    """How many requests `lakefeed run` makes, in a process of its own."""
    proxy.requests.clear()
    done = lake.process("run")
    assert done.returncode == 0, done.stdout + done.stderr
    return len(proxy.requests)


def declare(database: Database, lake: Lake, settings: str) -> None:
    for number in range(TABLES):
        database.execute(
            f"create table t{number} (id int primary key, at timestamptz default now())",
            f"insert into t{number} select g from generate_series(1, 10) g",
        )
    lake.declare("\n".join(f"t{number}: {settings}" for number in range(TABLES)))


def insert(database: Database, key: int) -> None:
    for number in range(TABLES):
        database.execute(f"insert into t{number} values ({key})")


@pytest.mark.engines
def test_a_run_makes_few_requests_for_each_table(
    database: Database, store_lake: Lake, proxy: Proxy
) -> None:
    declare(database, store_lake, "{cursor: at, history: true}")
    requests_of(store_lake, proxy)

    nothing_new = requests_of(store_lake, proxy)
    insert(database, 11)
    changed = requests_of(store_lake, proxy)

    # Of each run, one is for what was pruned of a history, and one records what was published.
    assert nothing_new <= 3 * TABLES + 1, proxy.requests
    assert changed <= 12 * TABLES + 2, proxy.requests


@pytest.mark.engines
def test_a_run_of_one_table_makes_few_requests(
    database: Database, store_lake: Lake, proxy: Proxy
) -> None:
    database.execute(
        "create table orders (id int primary key, at timestamptz default now())",
        "insert into orders select g from generate_series(1, 10) g",
    )
    store_lake.declare("orders: {cursor: at}")
    requests_of(store_lake, proxy)
    database.execute("insert into orders values (11)")

    assert requests_of(store_lake, proxy) <= 12, "\n".join(proxy.requests)


@pytest.mark.engines
def test_a_run_after_a_prune_makes_no_request_for_each_load(
    database: Database, store_lake: Lake, proxy: Proxy
) -> None:
    database.execute("create table orders (id int primary key, at timestamptz default now())")
    lake = store_lake.declare("orders: {cursor: at}")
    for number in range(FEWEST):
        database.execute(f"insert into orders values ({number})")
        assert lake.load().exit_code == 0
    lake.run()
    assert lake.command("prune").returncode == 0

    # Two read what the compacted file has of the lookback.
    assert requests_of(lake, proxy) <= 5, "\n".join(proxy.requests)


def requests_of_two_runs(database: Database, lake: Lake, proxy: Proxy) -> tuple[int, int]:
    """Those of a run that finds nothing new, and of one that finds a new row in each table."""
    nothing_new = requests_of(lake, proxy)
    insert(database, database.rows("select max(id) + 1 from t0")[0][0])
    return nothing_new, requests_of(lake, proxy)


@pytest.mark.nightly
@pytest.mark.engines
@pytest.mark.parametrize(
    "settings", ["{cursor: at}", "{cursor: at, lookback: 1d}", "{mode: append, cursor: at}"]
)
def test_requests_do_not_grow_with_the_loads(
    database: Database, store_lake: Lake, proxy: Proxy, settings: str
) -> None:
    declare(database, store_lake, settings)
    requests_of(store_lake, proxy)
    after_one = requests_of_two_runs(database, store_lake, proxy)
    for number in range(LOADS):
        database.execute(f"insert into t0 values ({1_000 + number})")
        assert store_lake.load("shop.t0").exit_code == 0
    store_lake.run()

    after_many = requests_of_two_runs(database, store_lake, proxy)

    assert after_many <= after_one
    assert after_many[0] <= 3 * TABLES + 1
    assert after_many[1] <= 12 * TABLES + 1
