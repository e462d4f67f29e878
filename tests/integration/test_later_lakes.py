"""Lakes of later versions are read if the format allows it, and refused by name otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure, new_lake, only
from tests.integration.test_staging import dbt


@pytest.fixture(scope="module")
def shared(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A table that was loaded but not built."""
    source.execute(
        "create table t (id int primary key, at timestamptz default now())",
        "insert into t select i from generate_series(1, 3) i",
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        lake = new_lake(tmp_path_factory.mktemp("shared")).declare("t: {cursor: at}")
        assert only(lake.load()).rows_written == 3
    return lake


def edit(lake: Lake, **more: object) -> None:
    """Rewrites the load manifest as if by a later version."""
    (path,) = Path(lake.root / "data/raw/shop__t/_lakefeed_loads").glob("*.json")
    document = json.loads(path.read_text())
    document["read_as"]["new"] = document["in_flight"]["new"] = more
    path.write_text(json.dumps({**document, **more}))


def test_unknown_fields_change_nothing(copied: Lake) -> None:
    edit(copied, format="1.999", new={"fact": [1]})

    report = copied.run()

    assert only(report).status == "unchanged"
    assert report.exit_code == 0
    assert copied.query("select count(*) from staging.stg_shop__t") == [(3,)]


def test_a_newer_format_stops_the_table_by_name(copied: Lake) -> None:
    edit(copied, format="2.0")

    assert "written by a newer version of Lakefeed (format 2.0" in failure(copied.run())
    status = copied.command("status")
    assert status.returncode == 1
    assert "upgrade Lakefeed" in status.stderr
    built = dbt(copied, "build")
    assert built.returncode == 1
    assert "was written by a newer Lakefeed (format 2.0): upgrade Lakefeed" in built.stdout
