"""Runs that die, as by `kill -9`, at one call of one function: `python -m … NAME` runs one.

at the ledger       dbt is about to record loads as staged: rows may be written already
after the ledger    the statement that records them is done, but not what follows it
at publication      before the step that decides what is published
after publication   after that step: nothing has been tidied up
among the views     some of the views that readers query are replaced (Spark)
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

# As a shell reports a process that `kill -9` ended.
DIED = 137
_DBT = "dbt.adapters.base.impl:BaseAdapter.execute"
_RECORDS_LOADS = "into _lakefeed.staged_loads"
# Of engines that have the schema's name in quotes.
_RECORDS_LOADS_ON = {
    "spark": "into `_lakefeed`.staged_loads",
    "snowflake": 'into "_LAKEFEED"."STAGED_LOADS"',
    "bigquery": "`.staged_loads as known",
}
_WAREHOUSE = "lakefeed.transformation.warehouse"


@dataclass(frozen=True)
class Death:
    """Where a process dies.

    Attributes:
        target: `module:Qualified.name` of the function.
        moment: before or after the call.
        of: a text that an argument of the deadly call has; empty for any.
        call: which of these calls it is, from 1.
    """

    target: str
    moment: Literal["before", "after"]
    of: str = ""
    call: int = 1


_FILE = f"{_WAREHOUSE}.duckdb_file.publication:put_in_place"
_LAKE = f"{_WAREHOUSE}.ducklake.lake_candidate:commit_publication"
_SPARK = f"{_WAREHOUSE}.spark.spark_candidate"
_CLONES = f"{_WAREHOUSE}.clones.candidate"
_DEATHS = {
    "duckdb": {
        "at publication": Death(_FILE, "before"),
        "after publication": Death(_FILE, "after"),
    },
    "ducklake": {
        "at publication": Death(_LAKE, "before"),
        "after publication": Death(_LAKE, "after"),
    },
    "bigquery": {
        "at publication": Death(f"{_CLONES}:raise_if_interrupted", "before"),
        "after publication": Death(f"{_CLONES}:finish_publication", "before"),
        "among the views": Death(
            f"{_WAREHOUSE}.bigquery.bigquery_engine:rows_of", "after", "create or replace view"
        ),
    },
    "spark": {
        "at publication": Death(f"{_SPARK}:raise_if_interrupted", "before"),
        "after publication": Death(f"{_SPARK}:finish_publication", "before"),
        "among the views": Death(
            f"{_WAREHOUSE}.spark.public_views:run_all", "after", "create or replace view"
        ),
    },
    "snowflake": {
        "at publication": Death(f"{_CLONES}:raise_if_interrupted", "before"),
        "after publication": Death(f"{_CLONES}:finish_publication", "before"),
    },
}


def deaths_of(engine: str) -> dict[str, Death]:
    """The deaths that a run on this type of warehouse must survive, by name."""
    recording = _RECORDS_LOADS_ON.get(engine, _RECORDS_LOADS)
    return {
        "at the ledger": Death(_DBT, "before", recording),
        "after the ledger": Death(_DBT, "after", recording),
        **_DEATHS[engine],
    }


def arm(death: Death) -> None:
    """Wraps the function so that the deadly call ends this process, without any clean-up."""
    module, _, path = death.target.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    @functools.wraps(original)
    def deadly(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        if not _counts(death, (*arguments, *options.values())):
            return original(*arguments, **options)
        calls += 1
        # Tables are loaded in parallel: another call may come in before this one ends.
        is_deadly = calls == death.call
        if is_deadly and death.moment == "before":
            os._exit(DIED)
        result = original(*arguments, **options)
        if is_deadly:
            os._exit(DIED)
        return result

    setattr(owner, name, deadly)


def _counts(death: Death, arguments: Iterable[object]) -> bool:
    if not death.of:
        return True
    return any(death.of in str(one) for one in arguments if isinstance(one, str | list))


def main(name: str) -> int:
    """`lakefeed run` in the current folder's project until this death."""
    from lakefeed.conformance.failures import first_failure
    from lakefeed.declaration.project import open_project
    from lakefeed.orchestration.ingest.load_request import LoadRequest
    from lakefeed.orchestration.run import run

    project = open_project(Path())
    arm(deaths_of(project.declaration.warehouse.type)[name])
    report = run(project, LoadRequest())
    # For a run that ended before it could die.
    sys.stdout.write(first_failure(report))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
