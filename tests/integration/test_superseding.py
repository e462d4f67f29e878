"""Which loads count: what Python and the dbt macro make of the same commit logs."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path

from lakefeed.declaration.project import Location
from lakefeed.loading.raw.commit_log import COMMITS_FOLDER, CommitLog
from lakefeed.loading.raw.load_manifest import Load
from tests.integration.test_macros import dbt, project

__all__ = ["project"]

LOAD = Load(
    load_id="0.0",
    table="shop__t",
    supersedes=False,
    snapshot_at="",
    rows_read=1,
    rows=1,
    null_cursors=0,
    cursor=None,
    cursor_min=None,
    cursor_max=None,
    checkpoint_before=None,
    checkpoint=None,
)
TELL = """
{% macro tell(folders) %}
    {%- for folder in folders -%}
        {%- set raw = {'meta': {'lakefeed': {'folder': folder}}} -%}
        {%- set found = lakefeed.loads_to_stage(raw)['counting'] -%}
        {{- log('counting ' ~ (found | map(attribute='load_id') | list | tojson), info=true) -}}
    {%- endfor -%}
{% endmacro %}
"""


def write_log(raw: Path, name: str, chance: random.Random) -> CommitLog:
    """A commit log of up to eight loads: late, superseding, uncommitted, or without a manifest."""
    log = CommitLog(Location(str(raw), raw.parent), name)
    commits = raw / name / COMMITS_FOLDER
    commits.mkdir(parents=True)
    for number in range(chance.randrange(9)):
        # Load IDs with a different number of digits, and snapshots that aren't in their order.
        load_id = f"{9 + number}.{chance.randrange(100)}"
        minute = chance.randrange(12)
        load = replace(
            LOAD,
            load_id=load_id,
            supersedes=chance.random() < 0.3,
            snapshot_at=f"2026-01-01T00:{minute:02}:00.000000+00:00",
        )
        if chance.random() < 0.9:
            log.describe(load)
        if chance.random() < 0.8:
            (commits / f"shop_t__{load_id}.jsonl").write_text("{}")
    return log


def test_the_macro_and_the_function_agree_which_loads_count(project: Path, tmp_path: Path) -> None:
    chance = random.Random(16)
    logs = [write_log(tmp_path / "raw", f"log{number}", chance) for number in range(60)]
    (project / "macros").mkdir(exist_ok=True)
    (project / "macros" / "tell.sql").write_text(TELL)

    arguments = json.dumps({"folders": [log.folder for log in logs]})
    ended = dbt(project, "run-operation", "tell", "--args", arguments)

    found = [json.loads(told) for told in re.findall(r"counting (\[.*?\])", ended.stdout)]
    expected = [[load.load_id for load in log.effective_loads()] for log in logs]
    assert found == expected, ended.stdout
    assert sum(len(log.loads()) > len(log.effective_loads()) > 0 for log in logs) > 20
