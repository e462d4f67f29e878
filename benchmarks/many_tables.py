"""Five hundred tables in one source: runs of all of them, and the parsing of their DAG.

The case `five-hundred`. The base of the first run is that of fifty tables, since what is asked is
how runs grow with the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.again import must
from benchmarks.hourly import (
    Project,
    changed_run,
    checked_step,
    ensure_tables,
    events_table,
    lakefeed_tool,
)
from benchmarks.place import Place
from benchmarks.process import Command
from benchmarks.reference import reference
from benchmarks.rounds import Checked, Step
from benchmarks.source import Source, ensure_database
from lakefeed import __version__

_TABLES = 500
_FEW = 50
_CHANGED = 10
_LIMIT_SECONDS = 900
_PARSE = """
import runpy, sys, time
import airflow.sdk, airflow.models, airflow.serialization.serialized_objects
began = time.process_time()
runpy.run_path(sys.argv[1])
open(sys.argv[2], "w").write(f"{time.process_time() - began:.2f}")
"""


def many_tables_case(server: Source, place: Place, scale: float, _only_ours: bool) -> list[Step]:
    """First runs of fifty and of all tables, later ones, and the DAG that has all of them."""
    few, many = (_project(server, place, count) for count in (_FEW, round(_TABLES * scale)))
    group = f"first run of {len(many.tables)} tables"
    steps = [_first_run(group, few, place, is_base=True), _first_run(group, many, place)]
    for changed in (0, _CHANGED):
        group = f"{len(many.tables)} tables, rows changed in {changed or 'none'}"
        steps += [reference(group, place), _later_run(group, many, changed)]
    return [*steps, *_parses(many, place)]


def _project(server: Source, place: Place, count: int) -> Project:
    tables = tuple(events_table(number) for number in range(count))
    source = ensure_database(server, f"of_{count}_tables")
    ensure_tables(source, tables)
    return Project(lakefeed_tool(), source, tables, place.root / "runs" / f"of-{count}-tables")


def _first_run(group: str, project: Project, place: Place, *, is_base: bool = False) -> Step:
    def start() -> Command:
        place.fresh(project.root.name)
        project.tool.write(project.root, project.tables)
        return project.tool.run(project.root, project.source, ())

    name = f"Lakefeed, {len(project.tables)} tables"
    return checked_step(
        group, project, start, name=name, is_base=is_base, limit_seconds=_LIMIT_SECONDS
    )


def _later_run(group: str, project: Project, changed: int) -> Step:
    def start() -> Command:
        # The round before may have changed rows, or begun the project anew.
        must(project.tool.run(project.root, project.source, ()))
        return changed_run(project, changed)

    return checked_step(group, project, start)


def _parses(project: Project, place: Place) -> Sequence[Step]:
    """Parsing the DAG, of which the last column has the part after Airflow is imported."""
    home = place.fresh("airflow-home")
    told = home / "seconds"
    dag = project.root / "airflow" / "dags" / "de_batch_pipeline.py"

    def command(script: str) -> Command:
        environment = {**project.tool.run(project.root, project.source, ()).environment}
        environment |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
        return Command([sys.executable, "-c", script, dag, told], project.root, environment)

    group = f"the DAG of {len(project.tables)} tables"
    imports = _PARSE.partition("began")[0]
    return [
        Step(group, "importing Airflow", "", partial(command, imports), None, base=True),
        Step(group, "Lakefeed", __version__, partial(command, _PARSE), partial(_parsed, told)),
    ]


def _parsed(told: Path) -> Checked:
    return Checked(0, "", f"{told.read_text(encoding='utf-8')} s of CPU once Airflow is imported")
