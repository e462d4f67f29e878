"""Two projects that read one database: neither loses what the other reads, whatever they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Database, Lake, new_lake
from tests.integration.test_cdc_setup import flat
from tests.wal.conftest import publish
from tests.wal.test_loading import loaded, newest

pytestmark = pytest.mark.builds

OWN = "    wal: {slot: theirs, publication: theirs}\n"


@pytest.fixture
def ours(lake: Lake, logical_database: Database) -> Lake:
    """A project that has loaded its table once."""
    logical_database.execute(
        "create table t (id int primary key, word text)",
        "create table u (id int primary key)",
        "insert into t values (1, 'a')",
    )
    publish(logical_database, "t")
    return loaded(lake.declare("t: {cursor: wal}"))


@pytest.fixture
def theirs(tmp_path: Path) -> Lake:
    """Another project with the same declaration, that has loaded nothing yet."""
    (tmp_path / "theirs").mkdir()
    return new_lake(tmp_path / "theirs").declare("t: {cursor: wal}")


@pytest.fixture
def read(ours: Lake, logical_database: Database) -> Lake:
    """The first project, once it has read changes from the log."""
    logical_database.execute("insert into t values (2, 'b')")
    return loaded(ours)


def refusal(lake: Lake) -> str:
    """Why the only table fails."""
    (failed,) = lake.load().failures
    return str(failed.error)


def test_a_project_does_not_begin_to_read_through_the_slot_of_another(
    logical_database: Database, read: Lake, theirs: Lake
) -> None:
    assert "the slot `lakefeed_shop`, which was read before" in refusal(theirs)

    logical_database.execute("insert into t values (3, 'c')")
    assert newest(loaded(read)) == logical_database.rows("select * from t order by 1")


def test_the_setup_of_a_second_project_says_that_the_slot_is_taken(
    read: Lake, theirs: Lake
) -> None:
    ended = theirs.command("cdc", "setup", "--apply")

    assert ended.returncode == 1
    assert "the slot `lakefeed_shop` was read before: by another project" in flat(ended.stdout)
    assert "lakefeed cdc setup --source shop --apply" in flat(ended.stdout)


def test_the_setup_of_a_second_project_leaves_the_publication_of_the_first_alone(
    logical_database: Database, read: Lake, theirs: Lake
) -> None:
    theirs.declare("u: {cursor: wal}", head="    wal: {slot: theirs}\n")

    ended = theirs.command("cdc", "setup", "--apply", "--allow-unbounded-wal")

    assert ended.returncode == 1
    assert "has tables that this project doesn't read by the log (public.t)" in flat(ended.stdout)
    assert logical_database.rows("select tablename from pg_publication_tables") == [("t",)]


def test_a_project_is_not_advised_to_remove_the_slot_of_another(read: Lake, theirs: Lake) -> None:
    theirs.declare("t: {mode: full_refresh}")

    assert "cdc drop" not in theirs.command("prune", "--undeclared").stdout
    assert "never this project" in flat(theirs.command("cdc", "drop").stdout)


def test_projects_with_slots_of_their_own_each_load_every_change(
    logical_database: Database, read: Lake, theirs: Lake
) -> None:
    theirs.declare("t: {cursor: wal}", head=OWN)
    ended = theirs.command("cdc", "setup", "--apply", "--allow-unbounded-wal")
    assert ended.returncode == 0, ended.stdout
    loaded(theirs)
    logical_database.execute("delete from t where id = 1", "insert into t values (3, 'c')")

    rows = [newest(loaded(lake)) for lake in (theirs, read)]

    assert rows == 2 * [logical_database.rows("select * from t order by 1")]


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_of_two_projects_that_began_with_one_slot_the_later_says_what_it_lacks(
    logical_database: Database, ours: Lake, theirs: Lake, first: str
) -> None:
    # Nothing has been read from the slot yet, so that it could be that of either.
    loaded(theirs)
    early, late = (ours, theirs) if first == "ours" else (theirs, ours)
    logical_database.execute("update t set word = 'aa'", "insert into t values (2, 'b')")
    loaded(early)

    assert "another project advanced it, which needs a slot of its own" in refusal(late)
    assert newest(late) == [(1, "a")]

    late.declare("t: {cursor: wal}", head=OWN)
    assert late.command("cdc", "setup", "--apply", "--allow-unbounded-wal").returncode == 0
    assert late.load(full_refresh=True).exit_code == 0
    logical_database.execute("delete from t where id = 1", "insert into t values (3, 'c')")
    expected = logical_database.rows("select * from t order by 1")
    assert [newest(loaded(lake)) for lake in (late, early, late)] == 3 * [expected]
