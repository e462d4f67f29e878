"""Bad input causes an error that names the table, the line of YAML and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.orchestration.checks.check import check_connected
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure

GOOD = "create table good (id int primary key, at timestamptz default now())"
FILL = "insert into good values (1)"
DECLARED = "good: {cursor: at}\n"


@pytest.mark.parametrize(
    ("ddl", "declared", "expected"),
    [
        (
            "select 1",
            "gone: {cursor: at}",
            (
                "`public.gone` doesn't exist in the database, or this role can't see it",
                "check the name",
            ),
        ),
        (
            "create table t (id int primary key)",
            "t: {cursor: updated_at}",
            ("shop.t has no column `updated_at` to use as its cursor", "the columns are: id"),
        ),
        (
            "create table t (id int, at timestamptz)",
            "t: {cursor: at}",
            (
                "shop.t has no primary key",
                "(`primary_key: [a, b]`); or set `mode: append` if rows are only ever inserted",
            ),
        ),
        (
            "create table t (id int primary key, at text)",
            "t: {cursor: at}",
            (
                "`at` of shop.t has type text and can't be a cursor",
                "use a timestamp, a date or an integer column",
            ),
        ),
        (
            "create table t (id int primary key, at timestamp)",
            "t: {cursor: at}",
            ("`at` of shop.t is a timestamp without time zone", "timezone: UTC"),
        ),
        (
            "create table t (id int primary key, n int)",
            "t: {cursor: n, lookback: 30m}",
            (
                "`lookback` of shop.t doesn't match the type of its cursor",
                "use a number, since the cursor is numeric",
            ),
        ),
        (
            "create table t (id int primary key, at timestamptz)",
            "t: {cursor: at, columns: {exclude: [nothing]}}",
            (
                "`columns` of shop.t names `nothing`, which doesn't exist in the table",
                "the columns are: id, at",
            ),
        ),
        (
            "create table t (id int primary key, at timestamptz)",
            "t: {cursor: at, primary_key: [nothing]}",
            ("`primary_key` of shop.t names `nothing`", "the columns are: id, at"),
        ),
        (
            "create table t (id int primary key)",
            "t: {mode: full_refresh, where: 'id = 1; drop table t'}",
            ("`where` of shop.t is invalid", "write a single condition"),
        ),
        (
            "create table t (id int primary key)",
            "t: {mode: full_refresh, where: 'nothing = 1'}",
            ('column "nothing" does not exist', "compare the names"),
        ),
        (
            'create table t (id int primary key, "ID" int)',
            "t: {mode: full_refresh}",
            ("shop.t has the columns `id` and `ID`", "columns: {exclude: [ID]}"),
        ),
    ],
)
def test_a_table_that_cannot_load_fails_alone_with_name_and_line(
    database: Database, lake: Lake, ddl: str, declared: str, expected: tuple[str, str]
) -> None:
    database.execute(GOOD, FILL, ddl)
    lake.declare(DECLARED + declared)

    report = lake.load()

    what, what_to_do = failure(report).splitlines()
    assert what.startswith("sources.yaml:7: ")
    assert expected[0] in what
    assert expected[1] in what_to_do
    assert report.exit_code == 1
    assert lake.raw("shop__good", "id") == [(1,)]
    assert not (lake.root / "data/raw/shop__t").exists()


def test_a_declared_key_that_is_not_unique_fails_the_table(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (a int, at timestamptz default now())", "insert into t values (1), (1)"
    )
    report = lake.declare("t: {cursor: at, primary_key: [a]}").load()

    assert "`primary_key: [a]` of shop.t isn't unique: 2 rows share (1)" in failure(report)
    assert lake.files("shop__t") == []


def test_a_refresh_that_loses_most_rows_is_refused_unless_allowed(
    database: Database, lake: Lake
) -> None:
    database.execute("create table t (id int primary key)")
    database.execute("insert into t select generate_series(1, 10)")
    lake.declare("t: {mode: full_refresh}").load()
    database.execute("truncate t")

    refused = lake.load()

    assert "shop.t had 10 rows and now has none" in failure(refused)
    assert "--allow-shrink" in failure(refused)
    assert refused.exit_code == 1
    assert lake.run(allow_shrink=True).exit_code == 0
    assert lake.query("select count(*) from staging.stg_shop__t") == [(0,)]


def test_a_column_that_may_not_be_read_is_reported_with_the_grant(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(
        "create table t (id int primary key, ssn text)",
        "drop role if exists limited",
        "create role limited login",
        "grant select (id) on t to limited",
    )
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url.replace("postgres:@", "limited:@"))
    lake.declare("t: {mode: full_refresh}")

    message = failure(lake.load())
    checked = check_connected(lake.project)
    database.execute("revoke all on t from limited", "drop role limited")

    assert message == (
        "sources.yaml:6: shop.t: permission denied for table t\n"
        "  grant select on public.t to the role in the connection URL"
    )
    assert "this role may not read ssn of shop.t" in str(checked.errors[0])


def test_a_row_policy_fails_the_table_instead_of_hiding_rows(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(
        "create table t (id int primary key)",
        "insert into t values (1), (2)",
        "drop role if exists tenant",
        "create role tenant login",
        "grant select on t to tenant",
        "alter table t enable row level security",
        "create policy one on t using (id = 1)",
    )
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url.replace("postgres:@", "tenant:@"))

    message = failure(lake.declare("t: {mode: full_refresh}").load())
    database.execute("drop table t", "drop role tenant")

    assert "row-level security" in message
    assert "bypassrls" in message


def test_a_frozen_table_fails_when_its_columns_change(database: Database, lake: Lake) -> None:
    database.execute("create table t (id int primary key, at timestamptz default now())")
    lake.declare("t: {cursor: at, schema_changes: freeze}").load()
    database.execute("alter table t add column extra text")

    assert "shop.t is frozen, but its columns changed" in failure(lake.load())
    assert "column `extra` (text) was added" in failure(lake.load())


class TestFromTheCommandLine:
    """Exit codes, and what a user sees."""

    def test_an_unreachable_source_exits_with_3_and_is_reported_once(self, lake: Lake) -> None:
        lake.declare("a: {mode: full_refresh}\nb: {mode: full_refresh}")

        ended = lake.command(
            "run", **{CONNECTION_VARIABLE: "postgresql://someone:hunter2@localhost:1/nothing"}
        )

        assert ended.returncode == 3
        assert ended.stdout.count("connection refused (localhost:1,") == 1
        assert "Traceback" not in ended.stdout + ended.stderr
        assert "hunter2" not in ended.stdout + ended.stderr

    def test_a_wrong_password_exits_with_3_and_is_not_shown(
        self, guarded: Database, lake: Lake
    ) -> None:
        lake.declare("t: {mode: full_refresh}")
        wrong = guarded.url.replace("right", "hunter2")

        ended = lake.command("load", **{CONNECTION_VARIABLE: wrong})

        assert ended.returncode == 3, ended
        assert "password authentication failed" in ended.stdout
        assert "hunter2" not in ended.stdout + ended.stderr

    def test_a_variable_that_is_not_set_is_named(self, lake: Lake) -> None:
        lake.declare("t: {mode: full_refresh}")

        ended = lake.command("run", **{CONNECTION_VARIABLE: ""})

        assert ended.returncode == 2
        assert f"sources.yaml:4: the variable {CONNECTION_VARIABLE} isn't set" in ended.stdout

    def test_a_mistake_in_the_yaml_exits_with_2_before_anything_connects(self, lake: Lake) -> None:
        lake.declare("t: {mode: full_refesh}")

        ended = lake.command("run", **{CONNECTION_VARIABLE: "postgresql://localhost:1/nothing"})

        assert ended.returncode == 2
        assert "sources.yaml:6:17" in ended.stderr
        assert "did you mean `full_refresh`?" in ended.stderr
        assert [path.name for path in (lake.root / "data").iterdir()] == [".gitkeep"]

    def test_a_folder_without_a_project_is_refused_with_the_next_step(self, tmp_path: Path) -> None:
        ended = Lake(tmp_path).command("run")

        assert ended.returncode == 2
        assert "no sources.yaml in" in ended.stderr
        assert "lakefeed init" in ended.stderr

    def test_an_unknown_table_is_refused_with_the_nearest_name(
        self, database: Database, lake: Lake
    ) -> None:
        lake.declare("orders: {mode: full_refresh}")

        ended = lake.command("run", "--select", "shop.order")

        assert ended.returncode == 2
        assert "did you mean `shop.orders`?" in ended.stderr

    def test_an_invalid_range_exits_with_2_before_anything_is_read(
        self, database: Database, lake: Lake
    ) -> None:
        database.execute(GOOD, FILL)
        lake.declare("good: {cursor: at}")

        ended = lake.command("run", "--since", "yesterday")

        assert ended.returncode == 2
        assert "expected a time such as" in ended.stderr
        assert [path.name for path in (lake.root / "data").iterdir()] == [".gitkeep"]
