"""`lakefeed trace`: its account of a row, compared with real staging."""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lakefeed.errors import DeclarationError
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.row_key import parse_key
from lakefeed.loading.raw.row_versions import raw_versions
from lakefeed.orchestration.inspect.trace import Trace, trace
from lakefeed.orchestration.inspect.version_precedence import judge
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, copy_of, new_lake_at

pytestmark = pytest.mark.on_ducklake(at_night=True)

TABLES = {
    "plain": "cursor: at",
    "again": "cursor: at, lookback: 3650d",
    "marked": "cursor: at, deletes: mark, max_shrink: 90%, history: true",
    "chosen": "cursor: at, lookback: 3650d, deletes: remove, where: word <> 'out', max_shrink: 90%",
    "whole": "mode: full_refresh, max_shrink: 90%",
    "by_version": "cursor: xmin",
}
IDS = range(1, 8)
MARTS = {
    "dim_marked": """
        select md5(id::varchar || valid_from::varchar) as marked_key, id as marked_id, word,
            valid_from, valid_to
        from {{ ref('hst_shop__marked') }}""",
    "fct_line": """
        select plain.id * 10 + generate_series as line_id, again.id as its_id
        from {{ ref('stg_shop__plain') }} as plain
        join {{ ref('stg_shop__again') }} as again on again.id = plain.id,
        generate_series(1, 12)""",
    "fct_marked": """
        select marked_key, generate_series as number from {{ ref('dim_marked') }},
        generate_series(1, 2) where valid_to is null""",
    "by_word": "select word, count(*) as n from {{ ref('stg_shop__plain') }} group by word",
}
MARTS_YAML = """
models:
  - name: fct_marked
    columns:
      - name: marked_key
        data_tests:
          - relationships: {arguments: {to: ref('dim_marked'), field: marked_key}}
"""

Winners = dict[tuple[str, int], str | None]


@dataclass
class Told:
    """The lake at its end, and at each step, by table and id, the load that wins and that which
    staging has.
    """

    lake: Lake
    judged: dict[str, Winners] = field(default_factory=dict)
    staged: dict[str, Winners] = field(default_factory=dict)

    def note(self, step: str) -> None:
        self.judged[step], self.staged[step] = judged(self.lake), staged(self.lake)


def judged(lake: Lake) -> Winners:
    winners: Winners = {}
    engine = duckdb.connect()
    for table in lake.project.tables:
        log = CommitLog(lake.project.raw, table.lake_name)
        loads = log.loads()
        ledger = warehouse_of(lake.project).published.staged_load_ids()[f"stg_{table.lake_name}"]
        for number in IDS:
            key = parse_key(engine, table, [str(number)])
            versions = raw_versions(engine, log, loads, table, key)
            won = judge(versions, loads, ledger, table.settings.deletes).winner
            winners[table.short_name, number] = won.load.load_id if won else None
    return winners


def staged(lake: Lake) -> Winners:
    winners: Winners = {(table, number): None for table in TABLES for number in IDS}
    for table in TABLES:
        for number, load_id in lake.query(
            f"select id, _dlt_load_id from staging.stg_shop__{table}"
        ):
            winners[table, number] = load_id  # type: ignore[index, assignment]
    return winners


def everywhere(database: Database, *statements: str) -> None:
    for table in TABLES:
        database.execute(*(statement.replace("{t}", table) for statement in statements))


def live(told: Told, database: Database) -> None:
    """What may happen to rows, and at what a load and a build may come by."""
    lake = told.lake
    (lake.root / "dbt/models/marts").mkdir(parents=True, exist_ok=True)
    for name, sql in MARTS.items():
        (lake.root / f"dbt/models/marts/{name}.sql").write_text(sql)
    (lake.root / "dbt/models/marts/marts.yml").write_text(MARTS_YAML)
    everywhere(
        database,
        "create table {t} (id int primary key, word text, at timestamptz)",
        "insert into {t} select i, 'w' || i, '2026-01-05Z' from generate_series(1, 6) i",
    )
    lake.load()
    everywhere(
        database,
        "update {t} set word = 'new', at = '2026-02-01Z' where id = 1",
        "update {t} set word = 'corrected', at = '2026-01-01Z' where id = 2",
        "delete from {t} where id = 3",
        "update {t} set word = 'out', at = '2026-02-01Z' where id = 4",
        "insert into {t} values (7, 'w7', '2026-02-01Z')",
    )
    late = hide_the_next_loads(lake)
    everywhere(
        database,
        "update {t} set word = 'newer', at = '2026-03-01Z' where id in (1, 5)",
    )
    build(lake, "--select", "staging")
    told.note("newer loads")
    for path, text in late.items():
        (lake.root / path).write_bytes(text)
    everywhere(database, "insert into {t} values (3, 'back', '2026-03-02Z')")
    lake.load()
    told.note("late loads, not staged")
    build(lake, "--select", "staging")
    told.note("late loads, staged")
    everywhere(database, "delete from {t} where id = 6")
    lake.load("shop.plain", "shop.marked", full_refresh=True, allow_shrink=True)
    lake.load("shop.again", since="2026-01-01", until="2026-02-15")
    build(lake)
    told.note("a full refresh, a backfill")


def build(lake: Lake, *arguments: str) -> None:
    """Loads, builds and publishes, without the tests of dbt."""
    lake.load()
    warehouse = warehouse_of(lake.project)
    with warehouse.lock():
        candidate = warehouse.start(uuid.uuid4().hex)
        assert not candidate.run_dbt([*arguments, "--exclude-resource-type", "test"]).failures
        candidate.write_state(candidate.contents.state().published(dt.datetime.now(dt.UTC)))
        candidate.mark_whole()
        candidate.publish()
        warehouse.discard()


def hide_the_next_loads(lake: Lake) -> dict[str, bytes]:
    """Loads, and takes their commits away as if they weren't visible yet."""
    before = set((lake.root / "data/raw").glob("*/_dlt_loads/*"))
    lake.load()
    new = set((lake.root / "data/raw").glob("*/_dlt_loads/*")) - before
    hidden = {str(path.relative_to(lake.root)): path.read_bytes() for path in new}
    for path in new:
        path.unlink()
    return hidden


@pytest.fixture(scope="module")
def told(engine: str, source: Database, tmp_path_factory: pytest.TempPathFactory) -> Told:
    lake = new_lake_at("disk", tmp_path_factory.mktemp("traced"), engine)
    lake.declare("\n".join(f"{table}: {{{settings}}}" for table, settings in TABLES.items()))
    told = Told(lake)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION_VARIABLE, source.url)
        live(told, source)
    return told


def traced(told: Told, table: str, *key: str) -> Trace:
    return trace(told.lake.project, f"shop.{table}", key)


def outcomes(found: Trace) -> list[str]:
    assert found.judgement is not None
    return [verdict.standing for verdict in found.judgement.verdicts]


@pytest.mark.on_ducklake
@pytest.mark.parametrize("table", TABLES)
def test_the_winning_version_is_the_one_in_staging(told: Told, table: str) -> None:
    for step, winners in told.judged.items():
        predicted = {number: winners[table, number] for number in IDS}
        staged = {number: told.staged[step][table, number] for number in IDS}
        assert predicted == staged, step


def test_shows_each_version_with_its_load_file_and_outcome(told: Told) -> None:
    found = traced(told, "again", "1")

    assert [one.values["word"] for one in found.versions] == ["w1", "new", "newer"]
    assert outcomes(found) == ["replaced", "replaced", "wins"]
    assert all((told.lake.root / found.folder / one.file).exists() for one in found.versions)
    assert set(found.committed_at) == {one.load.load_id for one in found.versions}
    assert found.judgement
    assert found.judgement.verdicts[0].why == (
        f"load {found.versions[1].load.load_id} has a newer snapshot"
    )


def test_a_backdated_correction_wins_by_its_snapshot(told: Told) -> None:
    found = traced(told, "again", "2")

    assert outcomes(found)[-1] == "wins"
    assert found.judgement
    assert "although load" in found.judgement.verdicts[-1].why
    assert "the cursor was set back in the source" in found.judgement.verdicts[-1].why


def test_a_tombstone_shows_that_a_row_was_deleted(told: Told) -> None:
    kept, removed = traced(told, "marked", "6"), traced(told, "chosen", "4")

    assert outcomes(kept)[-1] == "deletes"
    assert kept.judgement and "has the row with _deleted_at" in kept.judgement.told
    assert outcomes(removed)[-1] == "deletes"
    assert removed.judgement and "has no row" in removed.judgement.told
    assert removed.judgement.winner is None


def test_a_row_missing_from_a_whole_table_load_was_deleted(told: Told) -> None:
    found = traced(told, "whole", "6")

    assert set(outcomes(found)) == {"superseded"}
    assert len(found.absent_from) == 1
    assert found.judgement and found.judgement.told == (
        f"has no row: load {found.absent_from[0].load_id} read the whole table without it"
    )
    back = traced(told, "whole", "3")
    assert len(back.absent_from) == 1
    assert outcomes(back)[-1] == "wins"


def test_a_load_that_a_full_refresh_superseded_no_longer_counts(told: Told) -> None:
    found = traced(told, "plain", "1")

    assert outcomes(found)[:-1] == ["superseded"] * (len(found.versions) - 1)
    assert found.versions[-1].load.supersedes


def test_finds_rows_of_marts_by_the_columns_that_contain_the_key(told: Told) -> None:
    made = traced(told, "marked", "1").made
    assert made and made.history
    (dimension,) = (rows for rows in made.below if rows.model == "dim_marked")

    assert [row["word"] for row in made.history.rows] == ["w1", "new", "newer"]
    assert (dimension.by, dimension.total) == (("marked_id",), 3)
    (facts,) = dimension.pointing
    assert (facts.model, facts.rows) == ("fct_marked", {dimension.rows[2]["marked_key"]: 2})
    assert "fct_marked" not in [rows.model for rows in made.below]


def test_a_mart_of_another_grain_shows_the_count_and_the_first_rows(told: Told) -> None:
    """By a join alone: the fact has the other table's column."""
    made = traced(told, "plain", "1").made
    assert made
    of = {rows.model: rows for rows in made.below}

    assert (of["fct_line"].by, of["fct_line"].total) == (("its_id",), 12)
    assert len(of["fct_line"].rows) == 10
    assert of["by_word"].unasked == "no column is an unchanged `id` of shop.plain"


def test_reports_staging_that_was_built_with_other_settings(told: Told, tmp_path: Path) -> None:
    changed = copy_of(told.lake, tmp_path)
    text = (changed.root / "sources.yaml").read_text()
    (changed.root / "sources.yaml").write_text(text.replace("deletes: mark", "deletes: ignore"))

    found = trace(changed.project, "shop.marked", ["6"])

    assert found.judgement and found.judgement.winner is None
    assert found.notes == (
        "stg_shop__marked was built with other settings than sources.yaml has now and has the row "
        f"of load {found.versions[-1].load.load_id}; bring it up to date: lakefeed rebuild",
    )


def test_the_command_prints_the_whole_trace(told: Told) -> None:
    ended = told.lake.command("trace", "shop.marked", "6")

    assert ended.returncode == 0, ended.stderr
    for part in (
        "shop.marked, id 6: 2 versions in 5 loads", "word w6", "✗ deletes: ",
        "data/raw/shop__marked/marked/load_date=", "found deleted in the source at 20",
        "staging.stg_shop__marked has the row with _deleted_at", "history.hst_shop__marked: 1 row",
        "marts.dim_marked: 1 row by marked_id",
    ):  # fmt: skip
        assert part in ended.stdout, ended.stdout


def test_the_json_report_contains_whole_values(told: Told) -> None:
    ended = told.lake.command("trace", "shop.whole", "6", "--json")
    found = json.loads(ended.stdout)

    assert (found["table"], found["key"], found["winner"]) == ("shop.whole", {"id": "6"}, None)
    assert found["versions"][0]["values"] == {
        "id": "6", "word": "w6", "at": "2026-01-05 00:00:00+00",
    }  # fmt: skip
    assert found["versions"][0]["whole_table"]
    assert [rows["model"] for rows in found["made"]] == ["stg_shop__whole"]


def test_reports_a_row_that_never_existed_as_not_found(told: Told) -> None:
    ended = told.lake.command("trace", "shop.plain", "12345")

    assert ended.returncode == 1
    assert ended.stdout == (
        f"shop.plain, id 12345: no row in {traced(told, 'plain', '1').loads} loads, "
        "nor in the warehouse\n"
    )


@pytest.mark.on_file
def test_reports_a_warehouse_that_is_open_for_writing(told: Told) -> None:
    script = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(); input()"
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(told.lake.project.warehouse)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout
    writer.stdout.readline()
    found = traced(told, "plain", "1")
    writer.communicate("\n")

    assert found.versions
    assert found.made is None
    assert "the warehouse can't be opened" in found.notes[0]


KEYS = {
    "uuid": "c0ffee00-0000-4000-8000-00000000cafe",
    "date": "2026-01-31",
    "timestamptz": "2026-01-31 12:00:00.000001+00",
    "numeric": "12.50",
    "numeric(9,2)": "12.5",
    "bigint": "-9223372036854775808",
    "boolean": "true",
    "bytea": "\\xdeadbeef",
    "inet": "10.0.0.1/32",
    "text": "-- a 'dash' é",
    "varchar(9)": "",
    "char(5)": "ab",
}


def test_a_key_of_any_type_is_found_without_a_warehouse(database: Database, lake: Lake) -> None:
    columns = [f"c{number} {kind}" for number, kind in enumerate(KEYS)]
    values = ", ".join(
        "'" + value.replace("'", "''") + "'::" + kind for kind, value in KEYS.items()
    )
    names = ", ".join(f"c{number}" for number in range(len(KEYS)))
    database.execute(
        f"create table t ({', '.join(columns)}, word text, primary key ({names}))",
        f"insert into t values ({values}, 'found')",
    )
    lake.declare("t: {mode: full_refresh}").load()

    ended = lake.command("trace", "shop.t", "--json", "--", *KEYS.values())
    found: dict[str, Any] = json.loads(ended.stdout)

    assert [one["values"]["word"] for one in found["versions"]] == ["found"], ended.stderr
    assert [one["standing"] for one in found["versions"]] == ["not staged"]
    assert found["notes"] == ["the warehouse isn't built yet; build it: lakefeed build"]


def test_versions_are_found_across_changes_of_columns(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, n int, gone text, at timestamptz default now())",
        "insert into t values (1, 5, 'x')",
    )
    lake.declare("t: {cursor: at}").load()
    database.execute(
        "alter table t alter id type bigint, alter n type text, drop gone, add come date",
        "update t set n = 'five', come = '2026-01-02', at = now()",
    )
    lake.load()

    first, second = trace(lake.project, "shop.t", ["1"]).versions

    assert (first.values["id"], first.values["n"], first.values["gone"]) == ("1", "5", "x")
    assert (second.values["n"], second.values["come"]) == ("five", "2026-01-02")


MISTAKES = {
    ("shop.orderz", "1"): "shop.orderz: no such table; did you mean `shop.orders`?",
    ("shop.orders", "x", "1"): "`x` isn't a valid bigint for `id` of shop.orders",
    ("shop.orders", "1.5", "1"): "`1.5` isn't a valid bigint for `id` of shop.orders",
    ("shop.orders", "1"): "the key of shop.orders is (id, line): expected 2 values, got 1",
    ("shop.views", "1"): "shop.views has no key to identify a row by",
    ("shop.new", "1"): "shop.new has never been loaded, so its key isn't known",
}


def test_reports_why_a_row_cannot_be_traced(database: Database, lake: Lake) -> None:
    database.execute(
        "create table orders (id bigint, line int, primary key (id, line))",
        "create table views (id int)",
    )
    lake.declare("orders: {mode: full_refresh}\nviews: {mode: full_refresh}").load()
    lake.declare(
        "orders: {mode: full_refresh}\nviews: {mode: full_refresh}\nnew: {mode: full_refresh}"
    )

    for (name, *key), message in MISTAKES.items():
        with pytest.raises(DeclarationError, match=re.escape(message)):
            trace(lake.project, name, key)


def test_reports_held_back_models_and_hand_written_staging(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, word text, at timestamptz default now())",
        "insert into t values (1, 'good')",
    )
    lake.declare("t: {cursor: at, tests: {columns: {word: {accepted_values: [good]}}}}").run()
    database.execute("update t set word = 'bad', at = now()")
    assert lake.run().exit_code == 1

    found = trace(lake.project, "shop.t", ["1"])

    assert outcomes(found) == ["wins", "not staged"]
    assert found.made and found.made.staging
    assert [row["word"] for row in found.made.staging.rows] == ["good"]
    assert found.notes == (
        "1 load is not staged: stg_shop__t is held back at its last published version: "
        "test shop__t__word__accepted_values failed",
    )
    model = lake.root / "dbt/models/staging/shop/stg_shop__t.sql"
    model.write_text(model.read_text().split("\n", 1)[1])
    own = trace(lake.project, "shop.t", ["1"])
    assert own.judgement is None
    assert "stg_shop__t is hand-written" in own.notes[0]
