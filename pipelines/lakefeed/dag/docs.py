"""What Airflow shows of the DAG and its tasks: texts in Markdown, known without a connection."""

from __future__ import annotations

from collections.abc import Sequence

from lakefeed.dag import names
from lakefeed.declaration.environment.variables import environment
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.orchestration.ingest.plan_parts import declared_loads, declared_sessions
from lakefeed.render.parts.plan_text import build_lines, cost_lines, followed_by, reads
from lakefeed.transformation.manifest import Model, fed_by
from lakefeed.wording import counted

# Nobody reads more of them, and Airflow stores the text with each version of the DAG.
_MOST_IN_DOCS = 100


def dag_doc(project: Project, tables: Sequence[Table], models: Sequence[Model]) -> str:
    """What the DAG does, task by task, and the plan of a run."""
    sources = ", ".join(dict.fromkeys(f"`{table.source}`" for table in tables or project.tables))
    names_of_paused = ", ".join(table.shown for table in project.tables if table.is_paused)
    notes = f" Paused: {names_of_paused}." if names_of_paused else ""
    notes += f" The environment is `{environment()}`." if environment() else ""
    return f"""\
Loads {counted(len(tables), "table")} from {sources}, as declared in `sources.yaml`.{notes}

1. **{names.EXTRACT}** reads the new and changed rows of each table and appends them to the raw
   Parquet files.
2. **{names.STAGING}** and **{names.MARTS}** build and test the dbt models downstream of tables with
   new rows, in a copy of the warehouse. They are skipped if there is nothing new.
3. **{names.PUBLISH}** replaces the warehouse by that copy. Models downstream of a failed table or a
   failed test keep their last published version.
4. **{names.REPORT}** summarizes the run, and fails if any part of it failed.

{_where_tasks_run(project)}

You can clear a failed task at any time: no row is lost or duplicated. Trigger the DAG with
parameters to load only some tables, to do a full refresh, or to reload a range. None of these moves
a checkpoint back.

## What a run does

{plan_of(project, tables, models, most=_MOST_IN_DOCS)}
"""


def plan_of(
    project: Project, tables: Sequence[Table], models: Sequence[Model], *, most: int
) -> str:
    """The plan of a run in Markdown, as `lakefeed plan` has it, as far as it is known beforehand.

    Neither rows nor checkpoints are in it: with every change of this text, Airflow keeps another
    version of the DAG.

    Args:
        models: all models of the project, upstream first; none where dbt hasn't listed them.
        most: the number of tables and of models that are listed; the others are counted.
    """
    loads = declared_loads(tables[:most], models)
    cells = [(load.name, reads(load), followed_by(load), load.declared_at) for load in loads]
    names = ("table", "reads", "then", "declared at")
    kept = [place for place in range(len(names)) if any(row[place] for row in cells)]
    more = len(tables) - most
    rest = f"\n\nand {counted(more, 'more table')}: `lakefeed explain TABLE`" if more > 0 else ""
    rows = [names, ("---",) * len(names), *cells]
    listed = "\n".join(_row(*(row[place] for place in kept)) for row in rows) + rest
    return f"""\
{listed if tables else "No tables."}

The first load of a table reads all of its rows. For how many rows and bytes the next run would
read, and what needs a decision, ask the database: `lakefeed plan`.
{_then(project, tables, models, most)}"""


def _then(project: Project, tables: Sequence[Table], models: Sequence[Model], most: int) -> str:
    lines = list(cost_lines(None, declared_sessions(project, tables)))
    built = fed_by(models, [table.lake_name for table in tables])
    built = tuple(model for model in built if not model.is_seed)
    tests = {test for model in built for test in model.tests}
    if names := [f"`{model.name}`" for model in built]:
        lines += build_lines(names, len(tests), is_first=False, most=most)
    return "".join(f"\n{line}\n" for line in lines)


def _row(*cells: str) -> str:
    escaped = (" ".join(cell.split()).replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _where_tasks_run(project: Project) -> str:
    """Which tasks run on any worker, and which must stay on one machine."""
    if project.raw.is_local:
        return "All tasks need the same `data/`: run them on one machine, or on one shared folder."
    built_on = project.declaration.warehouse.built_on
    if not built_on:
        return "All tasks run on any worker, since raw and the warehouse are on none of them."
    return f"""\
Tasks in **{names.EXTRACT}** and `{names.FRESHNESS}` run on any worker, since raw is in an object
store. All others must run on {built_on}."""


def table_doc(table: Table) -> str:
    """What a load task says of one of its tables."""
    mode = "full refresh"
    if table.goes_on and table.settings.cursor:
        mode = f"{table.mode} by `{table.settings.cursor.name}`"
    key = f"primary key `{', '.join(table.key)}`" if table.key else "no primary key"
    return f"`{table.qualified}` of `{table.source}`: {mode}; {key}; declared at {table.where}."
