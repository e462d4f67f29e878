"""`lakefeed check`: validates the declaration and generated files; optionally the databases.

`--data`, which looks for anomalies, is in anomaly_check.py; `--warehouse` is in warehouse_check.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import QUERY
from lakefeed.declaration.project import Project
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED, LakefeedError, TableFailed
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.duckdb_engine import Engines, spill_folder
from lakefeed.loading.sessions.snapshot_sessions import WITHOUT_SCANNER
from lakefeed.orchestration.checks.anomalies import DataReport
from lakefeed.orchestration.checks.delete_costs import DeleteCost, delete_costs
from lakefeed.orchestration.checks.offline_check import (
    declaration_errors,
    declaration_warnings,
    test_errors,
)
from lakefeed.orchestration.log.slot_states import unreadable_log
from lakefeed.orchestration.project.catalogue_sync import LiveSource, lost_wildcard_error, read_live
from lakefeed.source.connections.connection import Connection, connection_of
from lakefeed.source.connections.sessions import connect, fetching
from lakefeed.source.inspection.equality import compared_by_text
from lakefeed.source.inspection.expression_indexes import are_alike, indexed_expressions
from lakefeed.source.inspection.tables import (
    ColumnFacts,
    column_facts,
    denied_columns,
    is_superuser,
    writable,
)
from lakefeed.source.snapshot import read_horizon
from lakefeed.sql import sql_name
from lakefeed.transformation.generate.dbt_packages import link_dbt_package
from lakefeed.transformation.warehouse.base.warehouse import Inspection


@dataclass(frozen=True)
class CheckReport:
    """Errors, warnings (which leave the exit code at 0), and the number of tables checked.

    Attributes:
        data: the anomalies found; None unless asked for.
        warehouse: what the warehouse is; None unless asked for, or if it can't be reached.
        paused: the tables that weren't checked (`enabled: false`).
        deletes: what it would cost to find deleted rows, for each table that ignores them; empty
            without a connection.
    """

    errors: tuple[LakefeedError, ...]
    warnings: tuple[str, ...]
    tables: int
    data: DataReport | None = None
    warehouse: Inspection | None = None
    paused: tuple[str, ...] = ()
    deletes: tuple[DeleteCost, ...] = ()

    @property
    def exit_code(self) -> int:
        found = EXIT_PARTLY_FAILED if self.data and self.data.unlike else EXIT_OK
        return max([found, *(error.exit_code for error in self.errors)])

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        return {
            "exit_code": self.exit_code,
            "tables": self.tables,
            "errors": [str(error) for error in self.errors],
            "warnings": list(self.warnings),
            "deletes": [asdict(cost) for cost in self.deletes],
            "data": asdict(self.data) if self.data else None,
            "warehouse": self.warehouse.as_json() if self.warehouse else None,
            "paused": list(self.paused),
        }


@dataclass
class _Found:
    """What has been found so far, in all sources."""

    errors: list[LakefeedError]
    warnings: list[str]
    deletes: list[DeleteCost] = field(default_factory=list)
    tables: int = 0


@dataclass(frozen=True)
class _Catalogued:
    """What the catalogue tells of tables, by qualified name.

    `indexed` has the expressions with an index, of tables with a cursor of several columns.
    """

    denied: dict[str, list[str]]
    doubts: dict[str, list[str]]
    columns: dict[str, dict[str, ColumnFacts]]
    indexed: dict[str, list[str]]


def check(project: Project) -> CheckReport:
    """Checks files and the environment only: connections, tables as last synced, stale models.

    Side effect: links the dbt package, so that dbt and sqlfluff find its macros in a fresh clone.
    """
    with suppress(OSError):
        # The check itself doesn't need the link.
        link_dbt_package(project)
    errors, warnings = declaration_errors(project), declaration_warnings(project)
    paused = tuple(table.shown for table in project.tables if table.is_paused)
    return CheckReport(tuple(errors), tuple(warnings), len(project.active), paused=paused)


def check_connected(project: Project) -> CheckReport:
    """Does what `check` does and checks every table in its database: existence, cursor, key,
    privileges."""
    report = check(project)
    found = _Found(list(report.errors), _engine_warnings(project))
    for source in project.declaration.sources:
        if project.is_idle(source):
            continue
        try:
            connection = connection_of(project, source)
            with connect(connection, "lakefeed check") as session:
                found.warnings += _connection_warnings(connection)
                _check_source(session, project, connection, found)
        except LakefeedError as error:
            if str(error) not in {str(known) for known in found.errors}:
                found.errors.append(error)
    return CheckReport(
        tuple(found.errors),
        tuple(found.warnings),
        found.tables,
        paused=report.paused,
        deletes=tuple(found.deletes),
    )


def _check_source(
    session: PgConnection, project: Project, connection: Connection, found: _Found
) -> None:
    source, errors, warnings = connection.source, found.errors, found.warnings
    live = read_live(session, project, source)
    errors += [lost_wildcard_error(project, source, entry) for entry in live.lost_wildcards]
    warnings += [f"{source}: {line}" for line in read_horizon(session).warnings]
    warnings += [f"source changed since the last sync: {line}" for line in live.drift]
    now = project.with_catalogue(project.catalogue.with_tables(source, live.tables))
    tables = [table for table in now.tables_of(source) if not table.is_paused]
    reported = {str(error) for error in errors}
    errors += [error for error in test_errors(now) if str(error) not in reported]
    plans: list[TablePlan] = []
    refused: list[LakefeedError] = []
    for table in tables:
        try:
            plans.append(live.plan(table))
        except LakefeedError as error:
            refused.append(error)
    if any(plan.table.reads_log for plan in plans):
        refused += unreadable_log(session, project, connection)
    known = _catalogued(session, plans)
    for plan in plans:
        if missing := _missing_privilege(plan, known):
            refused.append(missing)
        else:
            warnings += [*_key_warnings(plan, known), *_cursor_warnings(plan, known)]
    errors += [error for error in refused if str(error) not in reported]
    warnings += _role_warnings(session, source, live)
    found.deletes += delete_costs(session, plans)
    found.tables += len(tables)


def _engine_warnings(project: Project) -> list[str]:
    with (
        closing(Engines(spill_folder(project), at_most=1)) as engines,
        engines.session() as engine,
    ):
        return [f"{engine.lacks_scanner}; {WITHOUT_SCANNER}"] if engine.lacks_scanner else []


def _connection_warnings(connection: Connection) -> list[str]:
    if not connection.may_go_unencrypted:
        return []
    return [
        f"{connection.source}: the connection may be unencrypted; add `sslmode=verify-full` (with "
        "`sslrootcert`) to the URL, or at least `sslmode=require`"
    ]


def _role_warnings(session: PgConnection, source: str, live: LiveSource) -> list[str]:
    """Warns of a role that can write: only a read-only role guarantees that nothing is written."""
    advice = "use a read-only role (docs/guarantees.md)"
    if is_superuser(session):
        return [f"{source}: this role is a superuser; {advice}"]
    tables = [table for table in live.tables.values() if table.kind != QUERY]
    may_be_written = sorted(writable(session, tables))
    if not may_be_written:
        return []
    more = f" and {len(may_be_written) - 1} more" if len(may_be_written) > 1 else ""
    return [f"{source}: this role can write to {may_be_written[0]}{more}; {advice}"]


def _catalogued(session: PgConnection, plans: Sequence[TablePlan]) -> _Catalogued:
    """Asks about all planned tables at once. The server has answered for queries already."""
    catalogued = [
        (table, plan) for plan in plans if (table := plan.table.catalogue) and table.kind != QUERY
    ]
    columns = [(table, [column.name for column in plan.columns]) for table, plan in catalogued]
    keys = [(table, plan.key_columns) for table, plan in catalogued]
    of_several = [table for table, plan in catalogued if plan.cursor and plan.cursor.is_of_several]
    return _Catalogued(
        denied=denied_columns(session, columns),
        doubts=compared_by_text(fetching(session), keys),
        columns=column_facts(session, [table for table, _ in catalogued]),
        indexed=indexed_expressions(session, of_several) if of_several else {},
    )


def _missing_privilege(plan: TablePlan, known: _Catalogued) -> TableFailed | None:
    denied = known.denied.get(plan.table.qualified)
    if not denied:
        return None
    return TableFailed(
        f"this role may not read {', '.join(denied)} of {plan.table.shown}",
        where=plan.table.where,
        do=f"grant select on {plan.table.qualified} to the role, or exclude the columns "
        "(`columns.exclude`)",
    )


def _key_warnings(plan: TablePlan, known: _Catalogued) -> Iterator[str]:
    table, catalogue = plan.table, plan.table.catalogue
    if catalogue is None:
        return
    name = f"{table.shown} ({table.where_of('primary_key')})"
    for warning in known.doubts.get(table.qualified, ()):
        yield f"{name}: {warning}"
    if catalogue.heirs and not table.settings.only:
        yield (
            f"{name}: it is read together with the tables that inherit from it "
            f"({', '.join(catalogue.heirs)}), but its primary key isn't enforced across them; to "
            "read it alone, set `only: true`"
        )


def _cursor_warnings(plan: TablePlan, known: _Catalogued) -> list[str]:
    if plan.cursor is None or plan.table.catalogue is None:
        return []
    if plan.table.query is not None:
        return [_cost_of_query(plan, plan.cursor.name)]
    columns = known.columns[plan.table.qualified]
    facts = [columns[column.name] for column in plan.cursor.columns]
    name = f"{plan.table.shown} ({plan.table.where_of('cursor')})"
    found = []
    is_indexed, remedy = facts[0].indexed, ""
    if plan.cursor.is_of_several:
        indexed = known.indexed[plan.table.qualified]
        is_indexed = any(are_alike(plan.cursor.value(), expression) for expression in indexed)
        relation = sql_name(plan.table.schema, plan.table.name)
        remedy = f"; to add one: create index on {relation} (({plan.cursor.name}))"
    if not is_indexed:
        found.append(
            f"{name}: the cursor `{plan.cursor.name}` has no index, so every load scans the table"
            f"{remedy}"
        )
    if not any(fact.not_null for fact in facts):
        found.append(
            f"{name}: the cursor `{plan.cursor.name}` is nullable; rows without a value are read "
            "by every load"
        )
    return found


def _cost_of_query(plan: TablePlan, cursor: str) -> str:
    return (
        f"{plan.table.shown} ({plan.table.where_of('query')}): the cursor `{cursor}` of a query "
        "has no index of its own: unless the query passes on an indexed column, every load runs "
        "all of it"
    )
