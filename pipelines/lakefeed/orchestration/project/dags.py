"""Which tables each DAG loads."""

from __future__ import annotations

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import DeclarationError
from lakefeed.orchestration.project.selection import select_tables


def tables_of_dags(project: Project) -> dict[str, tuple[Table, ...]]:
    """The tables of each DAG, by DAG ID; first those that no DAG of its own selects, if any.

    Paused tables are left out, also where that leaves a DAG without tables.

    Raises:
        DeclarationError: a DAG selects nothing, with its line.
    """
    declared = project.declaration.airflow
    selected = {dag_id: _selected(project, dag_id) for dag_id in declared.dags}
    taken = {table.lake_name for tables in selected.values() for table in tables}
    rest = tuple(table for table in project.tables if table.lake_name not in taken)
    found = {declared.dag_id: rest, **selected} if rest or not selected else selected
    return {
        dag_id: tuple(table for table in tables if not table.is_paused)
        for dag_id, tables in found.items()
    }


def _selected(project: Project, dag_id: str) -> tuple[Table, ...]:
    selectors = project.declaration.airflow.dags[dag_id].select
    try:
        return select_tables(project, selectors, option="")
    except DeclarationError as error:
        where = ("airflow", "dags", dag_id, "select")
        problem = project.declared.document.problem(where, f"{error.what} ({error.do})")
        raise DeclarationError(problems=[problem]) from None
