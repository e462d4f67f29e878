"""Columns that are hashed, masked or truncated in the source's query, and where nobody sees them.

Clear values hold a canary (tests/integration/secret.py), which no file and no output may have.
"""

from __future__ import annotations

import hashlib
import hmac
from contextlib import closing
from pathlib import Path

import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.inspect.trace import trace
from lakefeed.orchestration.project.sync import sync
from lakefeed.source.protection import fingerprint
from tests.conftest import Database, Lake, failure, only
from tests.integration.secret import HEAD, ODDEST, TAIL, assert_unseen

pytestmark = pytest.mark.builds

KEY = "an ordinary key"
MAILS = ("ann@example.org", "käthe@example.org", "", "🙂'\\\"%:x")
BACKENDS = ("duckdb", "psycopg2")

PEOPLE = (
    "create table people (id int primary key, mail text, age int, born date, doc jsonb, "
    "at timestamptz default now())",
    "insert into people (id, mail, age, born, doc) values "
    f"(1, '{HEAD}1@{TAIL}', 41, '1985-04-12', '{{\"a\": \"{HEAD}\"}}'), "
    f"(2, '{HEAD}2@{TAIL}', null, null, null), (3, null, 7, '2019-01-01', '[]')",
)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def keyed(text: str, key: str = KEY) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HASH_KEY", KEY)
    return KEY


HASHED = 'hash: {algorithm: sha256, key: "${HASH_KEY}"}'


@pytest.mark.parametrize(
    ("backend", "key"),
    [("psycopg2", "ключ"), ("duckdb", "ключ"), ("duckdb", "x" * 64), ("duckdb", "x" * 65)],
)
def test_a_keyed_hash_is_the_hmac_that_python_computes(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch, backend: str, key: str
) -> None:
    monkeypatch.setenv("HASH_KEY", key)
    database.execute("create table t (id int primary key, mail text)")
    with closing(database.connect()) as session, session, session.cursor() as cursor:
        cursor.executemany("insert into t values (%s, %s)", list(enumerate(MAILS)))
    lake.declare(f"t: {{mode: full_refresh, backend: {backend}, columns: {{mail: {{{HASHED}}}}}}}")

    only(lake.load())

    assert lake.raw("shop__t", "id, mail") == [(i, keyed(m, key)) for i, m in enumerate(MAILS)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_type_is_hashed_masked_and_truncated_as_its_text_and_null_stays_null(
    database: Database, lake: Lake, backend: str
) -> None:
    database.execute(*PEOPLE)
    lake.declare(
        f'people: {{cursor: at, backend: {backend}, columns: {{mail: {{mask: "it\'s 100%%"}}, '
        "age: {hash: sha256}, born: {truncate: 4}, doc: {hash: sha256}}}"
    )

    lake.run()

    rows = lake.query("select id, mail, age, born, doc from staging.stg_shop__people order by id")
    assert rows == [
        (1, "it's 100%%", sha("41"), "1985", sha(f'{{"a": "{HEAD}"}}')),
        (2, "it's 100%%", None, None, None),
        (3, None, sha("7"), "2019", sha("[]")),
    ]


PROTECTED = (
    f"{{mail: {{{HASHED}}}, age: {{mask: '***'}}, born: {{truncate: 4}}, doc: {{hash: sha256}}}}"
)


@pytest.mark.by_day(1)
@pytest.mark.parametrize(
    ("mode", "backend"),
    [
        ("cursor: at, deletes: remove", "duckdb"),
        ("cursor: xmin", "psycopg2"),
        ("mode: full_refresh", "duckdb"),
    ],
)
def test_no_file_and_no_output_has_a_clear_value(
    database: Database, lake: Lake, key: str, mode: str, backend: str
) -> None:
    database.execute(*PEOPLE)
    lake.declare(
        f"people: {{{mode}, backend: {backend}, columns: {PROTECTED}, history: true, "
        "tests: {columns: {mail: {unique: true}, age: {accepted_values: [x], severity: warn}}}}"
    )
    told = [str(lake.run().as_json())]
    database.execute(
        f"update people set mail = '{HEAD}{TAIL}', at = now() where id = 1",
        "delete from people where id = 3",
        f"insert into people (id, mail) values (4, '{HEAD}4{TAIL}')",
    )
    for words in (
        *("run", "run --full-refresh", "check --connect", "check --data", "audit", "status"),
        *("trace shop.people 1", "explain shop.people", "docs", "run"),
    ):
        ended = lake.command(*words.split())
        told += [ended.stdout, ended.stderr]
        assert ended.returncode == 0, ended

    mails = lake.query("select id, mail from staging.stg_shop__people where id < 3 order by id")
    assert mails == [(1, keyed(f"{HEAD}{TAIL}")), (2, keyed(f"{HEAD}2@{TAIL}"))]
    assert_unseen(lake.root, *told)


def test_neither_a_file_nor_a_failure_has_the_key_or_what_it_follows_from(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASH_KEY", ODDEST)
    database.execute(*PEOPLE, "create table other as select * from people")
    lake.declare(
        f"people: {{cursor: at, columns: {PROTECTED}}}\n"
        f'other: {{mode: full_refresh, where: "1 / (id - 1) > 0", columns: {PROTECTED}}}\n'
        f"more: {{mode: full_refresh, where: nothing > 0, backend: psycopg2, columns: {PROTECTED}}}"
    )
    database.execute("create table more as select * from people")
    pads = [bytes(b ^ p for b in ODDEST.encode().ljust(64, b"\0")[:64]) for p in (0x36, 0x5C)]
    hexes = [pad.hex()[:16] for pad in pads]

    report = lake.run()

    assert {t.name for t in report.failures} == {"shop.other", "shop.more"}
    assert_unseen(lake.root, str(report.as_json()))
    files = [p.read_bytes() for p in lake.root.rglob("*") if p.is_file()]
    for pad in (*pads, *(h.encode() for h in hexes)):
        assert not [f for f in files if pad[:16] in f]
    assert not [h for h in hexes if h in str(report.as_json())]
    (load,) = CommitLog(lake.project.raw, "shop__people").loads()
    assert load.read_as is not None
    assert fingerprint(ODDEST.encode()) in load.read_as.protected["mail"]


def test_a_table_read_in_ranges_is_hashed_in_each(database: Database, lake: Lake, key: str) -> None:
    database.execute(
        "create table t (id int primary key, mail text, filler text)",
        "insert into t select i, 'm' || i, repeat(md5(i::text), 25) "
        "from generate_series(1, 60_000) i",
        "analyze t",
    )
    lake.declare(
        f"t: {{mode: full_refresh, max_query_time: 1s, parallel: 2, columns: {{mail: {{{HASHED}}}, "
        "filler: {mask: x}}}"
    )

    only(lake.load())

    assert len(lake.files("shop__t")) > 1
    assert set(lake.raw("shop__t", "id, mail, filler")) == {
        (i, keyed(f"m{i}"), "x") for i in range(1, 60_001)
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_with_hashed_keys_are_merged_deleted_and_traced(
    database: Database, lake: Lake, key: str, backend: str
) -> None:
    database.execute(
        "create table t (mail text primary key, word text, at timestamptz default now())",
        "insert into t values ('a', '1'), ('b', '2'), ('c', '3')",
    )
    lake.declare(
        f"t: {{cursor: at, deletes: remove, backend: {backend}, columns: {{mail: {{{HASHED}}}}}}}"
    )
    lake.run()
    database.execute(
        "update t set word = 'new', at = now() where mail = 'a'",
        "delete from t where mail = 'b'",
        # Only the comparison of keys leads to this row.
        "insert into t values ('d', '4', '2020-01-01')",
    )

    report = only(lake.run())

    assert report.rows_deleted == 1
    rows = set(lake.query("select mail, word from staging.stg_shop__t"))
    assert rows == {(keyed("a"), "new"), (keyed("c"), "3"), (keyed("d"), "4")}
    assert only(lake.run()).rows_written == 0
    assert audit(lake.project, ()).tables[0].findings == ()
    assert len(trace(lake.project, "shop.t", [keyed("a")]).versions) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_hashed_key_that_is_not_unique_fails_without_showing_it(
    database: Database, lake: Lake, backend: str
) -> None:
    database.execute(
        "create table t (mail text, at timestamptz default now())", "insert into t values ('a')"
    )
    lake.declare(
        f"t: {{cursor: at, primary_key: mail, backend: {backend}, "
        "columns: {mail: {hash: sha256}}}"
    )
    lake.load()
    database.execute("insert into t values ('a')")

    assert f"isn't unique: 2 rows share ({sha('a')})" in failure(lake.load())


def test_a_table_is_read_again_when_a_column_is_hashed_and_when_its_key_changes(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(*PEOPLE)
    lake.declare("people: {cursor: at}").run()
    monkeypatch.setenv("HASH_KEY", "one")
    lake.declare(f"people: {{cursor: at, columns: {{mail: {{{HASHED}}}}}}}")

    hashed = only(lake.run())
    unchanged = only(lake.run())
    monkeypatch.setenv("HASH_KEY", "two")
    other = only(lake.run())

    one, two = (f"hashed with HMAC-SHA-256 and the key {fingerprint(k)}" for k in (b"one", b"two"))
    assert hashed.notes == (
        f"column `mail` was clear and is {one}, so the table is read in full",
        "earlier loads in raw still hold clear values of `mail`; to remove them: lakefeed prune",
    )
    assert unchanged.status == "unchanged"
    assert other.notes == (f"column `mail` was {one} and is {two}, so the table is read in full",)
    mails = lake.query("select mail from staging.stg_shop__people where id = 1")
    assert mails == [(keyed(f"{HEAD}1@{TAIL}", "two"),)]


def test_prune_removes_the_clear_values_of_earlier_loads(database: Database, lake: Lake) -> None:
    database.execute(*PEOPLE)
    lake.declare("people: {cursor: at}").load()
    lake.declare("people: {cursor: at, columns: {mail: {mask: x}, doc: {mask: x}}}").run()

    assert lake.command("prune").returncode == 0

    raw = [path for path in (lake.root / "data/raw").rglob("*") if path.is_file()]
    assert not [path for path in raw if HEAD.encode() in path.read_bytes()]
    assert len(lake.query("select * from staging.stg_shop__people")) == 3


def test_a_key_that_is_not_set_fails_its_table_only_and_is_no_matter_to_diff_or_sync(
    database: Database, lake: Lake
) -> None:
    database.execute(*PEOPLE, "create table other as select 1 as id")
    lake.declare(
        f"people:\n  cursor: at\n  columns: {{mail: {{{HASHED}}}}}\nother: {{mode: full_refresh}}"
    )
    sync(lake.project)

    report = lake.load()

    assert failure(report) == (
        "sources.yaml:8: the variable HASH_KEY isn't set\n"
        "  add HASH_KEY=a secret of 32 characters to .env, or export the variable"
    )
    assert [table.name for table in report.tables if table.status == "loaded"] == ["shop.other"]
    assert "HASH_KEY isn't set" in lake.command("check").stdout


def test_a_table_without_the_hashed_column_of_a_default_needs_no_key(
    database: Database, lake: Lake
) -> None:
    database.execute(*PEOPLE, "create table other as select 1 as id")
    head = f"    defaults: {{columns: {{mail: {{{HASHED}}}}}}}\n"
    lake.declare("people: {cursor: at}\nother: {mode: full_refresh}", head=head)
    sync(lake.project)

    report = lake.load()

    assert [table.name for table in report.tables if table.status == "loaded"] == ["shop.other"]
    assert "shop.other can't be loaded" not in lake.command("check").stdout


def test_a_default_may_name_columns_that_a_table_lacks_and_its_own_entry_may_not(
    database: Database, lake: Lake
) -> None:
    database.execute(*PEOPLE)
    head = "    defaults: {columns: {phone: {mask: x}, mail: {mask: x}}}\n"
    lake.declare("people: {cursor: at}", head=head)
    assert only(lake.load()).status == "loaded"

    lake.declare("people: {cursor: at, columns: {mial: null}}", head=head)

    message = (
        "`columns` of shop.people has settings for `mial`, which doesn't exist in the table; did "
        "you mean `mail`?"
    )
    for command in ("sync", "check", "load"):
        ended = lake.command(command)
        assert ended.returncode != 0
        assert message in " ".join((ended.stdout + ended.stderr).split())


@pytest.mark.parametrize(
    ("kind", "setting", "expected"),
    [
        ("text", "{mask: x}", "`mask` would make different keys equal"),
        ("text", "{truncate: 3}", "`truncate` would make different keys equal"),
        ("numeric", "{hash: sha256}", "equal values of type numeric can have different texts"),
    ],
)
def test_a_key_of_the_database_that_could_not_be_told_apart_is_refused(
    database: Database, lake: Lake, kind: str, setting: str, expected: str
) -> None:
    database.execute(f"create table t (id {kind} primary key, at timestamptz default now())")
    lake.declare(f"t: {{cursor: at, columns: {{id: {setting}}}}}")

    assert expected in failure(lake.load())


def test_the_staging_model_says_how_a_column_was_protected(database: Database, lake: Lake) -> None:
    database.execute(*PEOPLE)
    lake.declare(
        "people: {cursor: at, columns: {age: {mask: x}, born: {hash: sha256}, "
        f"mail: {{{HASHED}}}}}}}"
    )
    sync(lake.project)

    models = Path(lake.root / "dbt/models/staging/shop/_shop__models.yml").read_text()

    assert "integer in the source; masked" in models
    assert "date in the source; loaded as the SHA-256 of its text" in models
    assert "loaded as the HMAC-SHA-256 of its text with a secret key" in " ".join(models.split())


def test_a_tombstone_does_not_repeat_a_clear_value_that_is_hashed_now(
    database: Database, lake: Lake
) -> None:
    database.execute(*PEOPLE)
    lake.declare("people: {cursor: at, deletes: mark}").run()
    database.execute("delete from people where id = 1")
    lake.run()
    lake.declare(
        "people: {cursor: at, deletes: mark, columns: {mail: {hash: sha256}, doc: {mask: x}}}"
    ).run()
    database.execute("delete from people where id = 2")

    lake.run()

    staged = "select id, mail, _deleted_at is not null from staging.stg_shop__people order by id"
    assert lake.query(staged) == [
        (1, None, True),
        (2, sha(f"{HEAD}2@{TAIL}"), True),
        (3, None, False),
    ]
    assert lake.command("prune").returncode == 0
    raw = [path for path in (lake.root / "data/raw").rglob("*") if path.is_file()]
    assert not [path for path in raw if HEAD.encode() in path.read_bytes()]


@pytest.mark.at_night
@pytest.mark.parametrize("deletes", ["ignore", "remove", "mark"])
def test_a_key_that_is_hashed_from_now_on_replaces_the_clear_keys(
    database: Database, lake: Lake, deletes: str
) -> None:
    database.execute(
        "create table t (id int primary key, at timestamptz default now())",
        "insert into t select generate_series(1, 200)",
    )
    entry = f"t: {{cursor: at, deletes: {deletes}, history: true"
    lake.declare(f"{entry}}}").run()
    database.execute("delete from t where id = 1")
    lake.run()
    lake.declare(f"{entry}, columns: {{id: {{hash: sha256}}}}}}")

    assert lake.run().exit_code == 0
    database.execute("insert into t values (201)", "delete from t where id = 2")
    assert lake.run().exit_code == 0

    kept = {sha(str(i)) for i in range(2 if deletes != "remove" else 3, 202)}
    assert {row[0] for row in lake.query("select id from staging.stg_shop__t")} == kept
