"""A small lake with a past: late commits, a new column, a warning, a source that is down."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest

from lakefeed.orchestration.project.init import write_scaffold
from lakefeed.transformation.generate.generated_files import write_generated
from tests.conftest import Database, Lake

CANARY = "canary-7f3a91"
DECLARED = """
version: 1
sources:
  shop:
    connection: ${SHOP_URL}
    defaults: {cursor: updated_at, lookback: 30m}
    tables:
      orders:
        tests: {columns: {status: {accepted_values: [placed, paid], severity: warn}}}
        freshness: {error_after: 1s}
      held: {lookback: 0s}
      kinds: {mode: full_refresh}
      "<script>alert(1)</script>": {mode: full_refresh, name: hostile}
  gone:
    connection: ${GONE_URL}
    tables:
      things: {mode: full_refresh}
"""
SCHEMA = (
    "create table orders (id int primary key, status text, total numeric(8,2), "
    "updated_at timestamptz)",
    "create table held (id int primary key, updated_at timestamptz)",
    "create table kinds (id int primary key, name text)",
    'create table "<script>alert(1)</script>" '
    '(id int primary key, "<img src=x onerror=alert(2)>" text)',
    "insert into orders select n, 'placed', n, now() - interval '1 day' "
    "from generate_series(1, 50) n",
    "insert into held values (1, now() - interval '1 day')",
    "insert into kinds values (1, 'one')",
)


@pytest.fixture(scope="module")
def lake(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """The lake after all that; its database is still there, its variables aren't."""
    name = f"d{uuid.uuid4().hex[:12]}"
    Database(server_url).execute(f"create database {name}")
    url = server_url.replace("postgres:@", f"postgres:{CANARY}@").replace("/postgres?", f"/{name}?")
    folder = tmp_path_factory.mktemp("docs") / "lake"
    write_scaffold(folder)
    lake = Lake(folder)
    (folder / "sources.yaml").write_text(DECLARED, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_URL", url)
        patch.setenv("GONE_URL", f"postgresql://me:{CANARY}@127.0.0.1:1/nowhere")
        _live(lake, Database(url))
    yield lake


def _live(lake: Lake, database: Database) -> None:
    database.execute(*SCHEMA)
    lake.run()
    (lake.root / "dbt/models/marts").mkdir(parents=True, exist_ok=True)
    (lake.root / "dbt/models/marts/fct_orders.sql").write_text(
        "select id as order_id, total * 2 as twice, status from {{ ref('stg_shop__orders') }}\n"
    )
    # A transaction that is open while others are loaded: the horizon brings its rows later.
    waiting = database.connect()
    with waiting.cursor() as cursor:
        cursor.execute("insert into held values (2, now())")
        time.sleep(0.05)
        database.execute("insert into held values (3, now())", "alter table orders add note text")
        lake.run("shop")
        waiting.commit()
    waiting.close()
    newest = "(select max(updated_at) from orders)"
    database.execute("insert into orders values (100, 'placed', 1, now() - interval '1 minute')")
    lake.run("shop")
    database.execute(
        *(
            f"insert into orders values ({number}, 'lost', 1, {newest} - interval '{ago}')"
            for number, ago in ((101, "3 minutes"), (102, "12 minutes"), (103, "14 minutes"))
        ),
        f"insert into orders values (104, 'placed', 1, {newest} - interval '2 hours')",
        f"insert into orders values (105, 'placed', 1, {newest} + interval '1 second')",
    )
    write_generated(lake.project)
    lake.run()
