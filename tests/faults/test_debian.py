"""Features that only Debian's PostgreSQL has: ICU collations and contrib extensions."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from lakefeed.orchestration.checks.check import check_connected
from lakefeed.orchestration.project.init import init_project
from tests.conftest import Database, Lake

pytestmark = pytest.mark.faults

SETUP = (
    "create extension citext",
    "create extension hstore",
    "create collation nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    "create collation exact (provider = icu, locale = 'de')",
    "create domain mail as citext",
    "create domain word as text collate nocase",
    "create type named as (word text collate nocase)",
    "create type words as range (subtype = text, collation = nocase)",
)
OTHER_CASE = "since its collation `nocase` is not deterministic"
NAMED = {
    "citext": "since its type is `citext`",
    "mail": "since its type is `citext`",
    "citext[]": "since it contains values of type `citext`",
    "text collate nocase": OTHER_CASE,
    "varchar(9) collate nocase": OTHER_CASE,
    "char(3) collate nocase": OTHER_CASE,
    "text[] collate nocase": OTHER_CASE,
    "word": OTHER_CASE,
    "named": OTHER_CASE,
    "words": OTHER_CASE,
}
NOT_NAMED = ("text", "text collate exact", 'text collate "C"', "hstore", "numeric", "interval")


def test_keys_with_citext_or_case_insensitive_collations_are_named_by_every_command(
    debian_database: Database, lake: Lake, tmp_path: Path
) -> None:
    debian_database.execute(*SETUP)
    for number, kind in enumerate((*NAMED, *NOT_NAMED)):
        debian_database.execute(
            f"create table t{number} (id {kind} primary key, at timestamptz default now())"
        )
    tables = [f"t{number}" for number in range(len(NAMED) + len(NOT_NAMED))]
    lake.declare("\n".join(f"{name}: {{cursor: at}}" for name in tables))

    warnings = [line for line in check_connected(lake.project).warnings if "as text" in line]
    notes = {table.name: " ".join(table.notes) for table in lake.load().tables}
    proposed = init_project(tmp_path / "new", debian_database.url, "shop", ("public",))

    for number, why in enumerate(NAMED.values()):
        warning = f"the key column `id` is compared as text, {why}"
        assert f"shop.t{number} (sources.yaml:{6 + number}): {warning}" in "\n".join(warnings)
        assert warning in notes[f"shop.t{number}"]
        assert f"t{number}: {warning}" in "\n".join(map(": ".join, proposed.warnings))
    assert len(warnings) == len(proposed.warnings) == len(NAMED)
    assert not any(notes[f"shop.t{number}"] for number in range(len(NAMED), len(tables)))


def test_rows_with_declared_keys_that_differ_only_in_case_stay_two_rows(
    debian_database: Database, lake: Lake
) -> None:
    """They differ as text, so no row is lost by loading both."""
    debian_database.execute(
        *SETUP,
        "create table t (id text collate nocase, mail citext, at timestamptz default now())",
        "insert into t values ('a', 'x')",
    )
    lake.declare("t: {cursor: at, primary_key: [id, mail]}").load()
    debian_database.execute("insert into t values ('A', 'x'), ('a', 'X')")

    assert lake.load().exit_code == 0
    assert lake.raw("shop__t", "id, mail") == [("A", "x"), ("a", "X"), ("a", "x")]


@pytest.mark.parametrize("is_up", [False, True], ids=["refuses", "is silent"])
def test_init_names_a_foreign_table_with_an_unreachable_server_without_waiting(
    debian_database: Database, tmp_path: Path, is_up: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if is_up else 1
        debian_database.execute(
            "create extension postgres_fdw",
            "create server gone foreign data wrapper postgres_fdw"
            f" options (host '127.0.0.1', port '{port}')",
            "create user mapping for current_user server gone options (password 'canary')",
            'create foreign table "100% far" (id int) server gone',
            "create table near (id int primary key)",
        )

        report = init_project(tmp_path, debian_database.url, "acme", ("public",))

    reason = "its server can't be reached, or didn't answer within 10 s"
    assert report.left_out == (("public.100% far", reason),)
    text = (tmp_path / "sources.yaml").read_text()
    assert f'      # "100% far": left out, {reason} (rows unknown)\n' in text
    assert "      near: {mode: full_refresh}\n" in text
    assert "canary" not in text
