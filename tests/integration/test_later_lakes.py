"""Lakes of later versions are read if the format allows it, and refused by name otherwise."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import duckdb
import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.transformation.warehouse.base.format import FORMAT
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake, only
from tests.integration.test_staging import dbt

pytestmark = pytest.mark.builds

# Every document that a later command reads, and one that does.
DOCUMENTS = {
    "load manifest": ("data/raw/shop__t/_lakefeed_loads/*.json", "status"),
    "profile": ("data/raw/shop__t/_lakefeed_profiles/*.json", "check --data"),
    "pruning record": ("data/raw/shop__t/_lakefeed_pruned.json", "trace shop.t 1"),
    "run record": ("data/runs/*.json", "status"),
    "rollback mark": ("data/rolled_back.json", "run"),
}


@pytest.fixture(scope="module")
def shared(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A table with history that was loaded, built and published twice, and pruned."""
    source.execute(
        "create table t (id int primary key, at timestamptz default now())",
        "insert into t select i from generate_series(1, 3) i",
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        lake = new_lake(tmp_path_factory.mktemp("shared")).declare("t: {cursor: at, history: true}")
        assert only(lake.run()).rows_written == 3
        source.execute("insert into t values (4)")
        assert lake.command("run").returncode == 0
        CommitLog(lake.project.raw, "shop__t").note_pruned(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        assert lake.command("build").returncode == 0
    return lake


def edit(lake: Lake, pattern: str, **more: object) -> list[Path]:
    """As if a later version had written these documents."""
    paths = sorted(lake.root.glob(pattern))
    for path in paths:
        path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    return paths


def record_in_warehouse(lake: Lake, version: str) -> None:
    """As if a later version had published this warehouse."""
    with duckdb.connect(str(lake.project.warehouse)) as session:
        session.execute(
            "create or replace table _lakefeed.format as select ? as version", [version]
        )
        session.execute("create table _lakefeed.new as select 1 as fact")
        session.execute("alter table _lakefeed.tables add column new varchar")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_of_a_newer_format_is_refused_by_name(copied: Lake, name: str) -> None:
    pattern, command = DOCUMENTS[name]
    if name == "rollback mark":
        assert copied.command("rollback").returncode == 0
    files = edit(copied, pattern, format="2.0")

    ended = copied.command(*command.split())

    told = ended.stdout + ended.stderr
    assert ended.returncode == 1
    refused = (
        f"this {name} was written by a newer version of Lakefeed (format 2.0; this one reads 1."
    )
    assert any(f"{file.name}: {refused}" in told for file in files), told
    assert "\n  upgrade Lakefeed\n" in told
    assert "Traceback" not in told
    assert "bug in Lakefeed" not in told


def test_documents_of_a_newer_minor_format_are_read(copied: Lake) -> None:
    before = copied.query("select * from staging.stg_shop__t order by all")
    for pattern, _ in DOCUMENTS.values():
        if pattern != "data/rolled_back.json":
            edit(copied, pattern, format="1.999", new={"fact": [1]})
    record_in_warehouse(copied, "1.999")

    for command in ("status", "check --data", "run", "prune", "trace shop.t 1", "build", "docs"):
        ended = copied.command(*command.split())
        assert ended.returncode == 0, (command, ended)

    assert copied.query("select * from staging.stg_shop__t order by all") == before
    assert copied.command("rebuild").returncode == 0


def test_a_rollback_of_a_newer_minor_format_stays_in_effect(copied: Lake) -> None:
    copied.command("rollback")
    edit(copied, "data/rolled_back.json", format="1.999", new="fact")

    assert "the warehouse is rolled back to" in copied.command("status").stderr
    assert copied.command("rollback", "--resume").returncode == 0


def test_a_run_reports_a_table_whose_manifests_have_a_newer_format(copied: Lake) -> None:
    edit(copied, "data/raw/shop__t/_lakefeed_loads/*.json", format="2.0")
    (copied.root / "data/raw/shop__t/_lakefeed_loads/packed").unlink(missing_ok=True)

    ended = copied.command("run", "--json")

    (table,) = json.loads(ended.stdout)["tables"]
    assert (ended.returncode, table["error"]["do"]) == (1, "upgrade Lakefeed")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("_lakefeed_loads/*.json", "load {} in ../data/raw/shop__t"),
        ("_lakefeed_pruned.json", "the pruning record in ../data/raw/shop__t"),
    ],
)
def test_plain_dbt_refuses_a_document_of_a_newer_format(copied: Lake, name: str, told: str) -> None:
    files = edit(copied, f"data/raw/shop__t/{name}", format="2.0")

    built = dbt(copied, "build", "--full-refresh")

    assert built.returncode == 1
    refused = f"{told} was written by a newer version of Lakefeed (format 2.0): upgrade Lakefeed"
    assert any(refused.format(file.stem) in built.stdout for file in files)


def test_plain_dbt_refuses_a_warehouse_of_a_newer_format(copied: Lake) -> None:
    record_in_warehouse(copied, "2.0")

    built = dbt(copied, "build")

    assert built.returncode == 1
    refused = (
        "the warehouse was written by a newer version of Lakefeed (format 2.0): upgrade Lakefeed"
    )
    assert refused in built.stdout


def test_a_warehouse_of_a_newer_format_is_refused_by_name_and_can_be_rebuilt(
    copied: Lake,
) -> None:
    assert copied.query("select version from _lakefeed.format") == [(FORMAT,)]
    record_in_warehouse(copied, "2.0")

    for command in ("status", "build", "run"):
        ended = copied.command(*command.split())
        told = ended.stdout + ended.stderr
        assert ended.returncode == 1, (command, ended)
        assert (
            "this warehouse was written by a newer version of Lakefeed (format 2.0; this one"
            in told
        )
        assert "upgrade Lakefeed; or rebuild it from raw: lakefeed rebuild" in told
        assert "bug in Lakefeed" not in told
    traced = copied.command("trace", "shop.t", "1")
    assert "this warehouse was written by a newer version of Lakefeed (format 2.0" in traced.stdout

    assert copied.command("rebuild").returncode == 0
    assert copied.query("select count(*) from staging.stg_shop__t") == [(4,)]


def test_a_warehouse_of_a_newer_format_can_be_rolled_back_from(copied: Lake) -> None:
    record_in_warehouse(copied, "2.0")

    assert copied.command("rollback").returncode == 0

    assert copied.query("select version from _lakefeed.format") == [(FORMAT,)]


def test_plain_dbt_records_the_format_in_the_warehouse(copied: Lake) -> None:
    copied.project.warehouse.unlink()

    assert dbt(copied, "build").returncode == 0

    assert copied.query("select version from _lakefeed.format") == [(FORMAT,)]


def test_a_catalogue_of_a_newer_format_is_refused_by_name(copied: Lake) -> None:
    file = copied.root / "sources.lock.yaml"
    written = file.read_text()
    file.write_text(written.replace("version: 1\n", "version: 2\n"))

    ended = copied.command("check")

    assert ended.returncode == 1
    assert ended.stderr.startswith(
        "error: sources.lock.yaml:3: this catalogue was written by a newer version of Lakefeed "
        "(format 2; this one reads 1)"
    )
    assert "\n  upgrade Lakefeed\n" in ended.stderr
    file.write_text(
        written.replace("    public.t:\n", "    public.t:\n      new: fact\n") + "new: 1\n"
    )
    assert copied.command("check").returncode == 0


def test_a_candidate_of_a_newer_format_is_discarded(copied: Lake) -> None:
    folder = copied.root / "data/candidate"
    folder.mkdir(exist_ok=True)
    (folder / "warehouse.duckdb.json").write_text('{"format": "2.0"}')

    assert copied.command("build").returncode == 0
