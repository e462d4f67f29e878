"""What is wrong with an object store is told by name, and leaves raw as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from lakefeed.declaration.project import Location
from lakefeed.demo.store import ObjectStore
from lakefeed.disk import storage_errors_named
from lakefeed.errors import StorageFailed
from lakefeed.loading.object_store.duckdb_access import give_access
from lakefeed.loading.object_store.filesystem import open_raw
from tests.conftest import BUCKET, Database, Lake
from tests.store.proxy import Proxy, proxy_for
from tests.store.race import winners

VARIABLES = (
    ("AWS_ACCESS_KEY_ID", "nobody", "the store doesn't know the access key"),
    ("AWS_SECRET_ACCESS_KEY", "wrong", "the secret key isn't that of the access key"),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "the store can't be reached"),
)


@pytest.fixture
def proxy(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with proxy_for(store.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


@pytest.fixture
def shop(database: Database, store_lake: Lake) -> Lake:
    """A table of ten rows, never loaded."""
    database.execute(
        "create table t (id int primary key, at timestamptz default now())",
        "insert into t select g from generate_series(1, 10) g",
    )
    return store_lake.declare("t: {cursor: at}")


@pytest.mark.engines
@pytest.mark.parametrize(("variable", "value", "told"), VARIABLES)
def test_a_store_that_refuses_is_named(shop: Lake, variable: str, value: str, told: str) -> None:
    done = shop.command("run", **{variable: value})

    assert done.returncode == 1
    assert told in done.stderr
    assert shop.project.raw.url in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert value not in done.stderr.replace(shop.project.raw.url, "") or "http" in value


@pytest.mark.engines
@pytest.mark.parametrize("command", ["run", "status"])
def test_a_missing_bucket_is_named(
    database: Database, store: ObjectStore, lake: Lake, command: str
) -> None:
    nowhere = Lake(lake.root, raw_url="s3://nowhere-at-all/raw").declare("t: {cursor: at}")
    database.execute("create table t (id int primary key, at timestamptz)")

    done = nowhere.command(command)

    assert done.returncode == 1
    assert "s3://nowhere-at-all/raw: the bucket doesn't exist" in done.stderr


@pytest.mark.engines
def test_a_store_without_credentials_is_named(shop: Lake) -> None:
    done = shop.command("run", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")

    assert done.returncode == 2
    assert f"no credentials for {shop.project.raw.url} were found" in done.stderr


@pytest.mark.engines
def test_a_store_that_ignores_conditions_is_refused(shop: Lake, proxy: Proxy) -> None:
    proxy.ignores_conditions = True

    done = shop.command("run")

    assert done.returncode == 1
    assert "If-None-Match" in done.stderr
    assert shop.raw("shop__t") == []


@pytest.mark.engines
def test_a_busy_store_is_asked_again(shop: Lake, proxy: Proxy) -> None:
    proxy.busy = 3

    done = shop.command("run")

    assert done.returncode == 0, done.stderr
    assert len(shop.raw("shop__t")) == 10


@pytest.mark.engines
def test_a_store_that_stays_busy_is_named(shop: Lake, proxy: Proxy) -> None:
    assert shop.command("run").returncode == 0
    proxy.busy = 1_000_000

    done = shop.command("status")

    assert done.returncode == 1
    assert f"{shop.project.raw.url}: the store is too busy" in done.stderr


@pytest.mark.engines
def test_a_build_asks_a_store_that_stays_busy_for_one_table_only(
    database: Database, shop: Lake, proxy: Proxy
) -> None:
    database.execute("create table u (id int primary key, at timestamptz)")
    shop.declare("t: {cursor: at}\nu: {cursor: at}").run()
    proxy.requests.clear()
    proxy.busy = 1_000_000

    done = shop.command("rebuild")

    assert done.returncode == 1
    assert "too busy" in done.stdout
    assert len({name for name in ("shop__t", "shop__u") if name in str(proxy.requests)}) == 1


@pytest.mark.engines
@pytest.mark.parametrize(("variable", "value", "told"), VARIABLES)
def test_what_duckdb_says_of_a_store_is_named(
    shop: Lake, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    with duckdb.connect() as session:
        give_access(session, shop.project.raw)

        with pytest.raises(StorageFailed, match=told), storage_errors_named():
            session.execute(f"copy (select 1) to '{shop.project.raw.url}/t.parquet'")


@pytest.mark.engines
def test_what_duckdb_says_of_a_busy_store_is_named(shop: Lake, proxy: Proxy) -> None:
    with duckdb.connect() as session:
        give_access(session, shop.project.raw)
        proxy.busy = 1_000_000

        with pytest.raises(StorageFailed, match="too busy"), storage_errors_named():
            session.execute(f"from '{shop.project.raw.url}/t.parquet'")


@pytest.mark.engines
def test_a_listing_that_lags_costs_no_row_and_brings_none_twice(
    database: Database, store_lake: Lake, proxy: Proxy
) -> None:
    database.execute(
        "create table seen (who text, at timestamptz default clock_timestamp())",
        "insert into seen values ('ann'), ('ann'), ('bob')",
    )
    lake = store_lake.declare("seen: {mode: append, cursor: at, lookback: 1d}")
    proxy.lags = True

    for who in ("cid", "dan"):
        assert lake.command("run").returncode == 0
        database.execute(f"insert into seen values ('{who}')")
    last = lake.command("run")
    staged = lake.query("select who from staging.stg_shop__seen order by 1")

    assert last.returncode == 0, last.stderr
    assert staged == [(who,) for who in ("ann", "ann", "bob", "cid", "dan")]
    assert len(lake.raw("shop__seen")) == 5


@pytest.mark.engines
def test_of_two_writers_of_a_file_one_wins(store: ObjectStore, lake: Lake) -> None:
    files, _ = open_raw(Location(f"s3://{BUCKET}/raw", lake.root))
    path = f"{BUCKET}/{lake.root.name}/once"

    won = winners(files, path)

    assert len(won) == 1
    assert files.cat_file(path) == b"%d" % won[0]


@pytest.mark.engines
def test_credentials_of_dlt_are_used_everywhere(shop: Lake, store: ObjectStore) -> None:
    (shop.root / ".dlt" / "secrets.toml").write_text(
        "[destination.filesystem.credentials]\n"
        f'aws_access_key_id = "{store.key}"\naws_secret_access_key = "{store.secret}"\n'
        f'endpoint_url = "{store.endpoint}"\nregion_name = "us-east-1"\n'
    )
    others = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "not-these")

    first = shop.command("run", **others, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    second = shop.command("rebuild", **others, AWS_ENDPOINT_URL="http://127.0.0.1:9")

    assert first.returncode == 0, first.stderr
    assert second.returncode == 0, second.stderr


@pytest.mark.engines
def test_no_file_has_a_key(shop: Lake, store: ObjectStore) -> None:
    assert shop.command("run").returncode == 0

    for path in shop.root.rglob("*"):
        if path.is_file():
            assert store.secret.encode() not in path.read_bytes(), path


@pytest.mark.engines
def test_credentials_that_expire_are_renewed(
    shop: Lake, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, program = tmp_path / "asked", tmp_path / "credentials.py"
    program.write_text(
        "import datetime as dt, json\n"
        f"open({str(asked)!r}, 'a').write('x')\n"
        "end = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)\n"
        f"print(json.dumps({{'Version': 1, 'AccessKeyId': {store.key!r}, 'SecretAccessKey':"
        f" {store.secret!r}, 'Expiration': end.isoformat()}}))\n"
    )
    settings = tmp_path / "aws"
    settings.write_text(f"[profile short]\ncredential_process = {sys.executable} {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))
    monkeypatch.setenv("AWS_PROFILE", "short")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    done = shop.process("run")

    assert done.returncode == 0, done.stderr
    # Keys that end so soon are asked for again at each use.
    assert len(asked.read_text()) > 5
