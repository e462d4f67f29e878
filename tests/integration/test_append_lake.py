"""What audits, prunes and traces say of a table with `mode: append`, in every lake."""

from __future__ import annotations

import pytest

from lakefeed.orchestration.checks.audit import TableAudit, audit
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake_at, only
from tests.integration.test_append import EVENTS, TABLE, in_source, kept, staged
from tests.integration.test_staging import dbt

pytestmark = [pytest.mark.builds, pytest.mark.on_store(at_night=True)]


@pytest.fixture(scope="module")
def shared(place: str, source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Ten loads of a table, each of which brings rows that it has already, and new ones."""
    lake = new_lake_at(place, tmp_path_factory.mktemp("shared"))
    source.execute(TABLE)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        lake.declare(EVENTS)
        for number in range(9):
            row = f"('someone', {number // 2}, now() - interval '{number % 2} minutes')"
            source.execute(f"insert into events values {row}, {row}")
            assert lake.load().exit_code == 0
        assert lake.run().exit_code == 0
    return lake


def audited(lake: Lake) -> TableAudit:
    found = audit(lake.project, ()).tables[0]
    assert found.error is None, found.error
    return found


def test_staging_has_every_row_and_an_audit_finds_nothing(source: Database, copied: Lake) -> None:
    assert staged(copied) == in_source(source)

    assert (audited(copied).is_clean, audited(copied).rows) == (True, 18)


def test_compacted_files_tell_which_rows_are_kept_as_well(source: Database, copied: Lake) -> None:
    before = kept(copied)
    pruned = copied.command("prune")

    assert "9 small files compacted into 1" in pruned.stdout, pruned
    assert only(copied.load()).status == "unchanged"
    assert only(copied.load(since="2020-01-01")).rows_written == 0
    assert kept(copied) == before
    assert dbt(copied, "build", "--full-refresh").returncode == 0
    assert staged(copied) == in_source(source)


def test_a_row_cannot_be_traced_or_erased_without_a_key(copied: Lake) -> None:
    for command in (("trace", "shop.events", "1"), ("prune", "--erase", "shop.events", "1")):
        told = copied.command(*command)

        assert told.returncode == 2
        assert "shop.events has no key to identify a row by: `mode: append`" in told.stderr
        assert "`_dlt_load_id` names the load of each" in told.stderr


def test_the_lake_says_how_the_table_is_loaded(copied: Lake) -> None:
    explained = " ".join(copied.command("explain", "shop.events").stdout.split())
    planned = copied.command("plan").stdout

    assert "mode append sources.yaml:6" in explained
    assert "primary_key - default" in explained
    assert "checkpoint 20" in explained
    assert "append" in copied.command("status").stdout
    assert "events" in planned


def test_an_audit_counts_equal_rows_and_a_repair_loads_those_that_are_missing(
    database: Database, lake: Lake
) -> None:
    database.execute(TABLE, "insert into events values ('ann', 1), ('ann', 1), ('bob', 2)")
    lake.declare(EVENTS).run()
    database.execute(
        "delete from events where who = 'bob'",
        "insert into events select who, amount, at from events limit 1",
        "insert into events select 'old', 3, '2026-01-03 01:00Z' from generate_series(1, 2)",
    )

    before = audited(lake)
    told = lake.command("audit", "--repair")

    assert {finding.kind: finding.rows for finding in before.findings} == {"missing": 2, "extra": 1}
    assert before.pending == 1
    assert "2 missing, for example (2026-01-03 01:00:00+00)" in told.stdout
    assert "likely cause: committed after the lookback had passed, or changed since" in told.stdout
    assert "only a full refresh replaces them" in told.stdout
    assert {finding.kind for finding in audited(lake).findings} == {"extra"}
