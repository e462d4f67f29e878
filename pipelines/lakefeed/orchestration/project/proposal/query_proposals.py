"""Proposes the queries that another tool loads like tables, as far as the server runs them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from psycopg2.extensions import connection as PgConnection

from lakefeed.orchestration.project.other_tools.carried import Carried, Queried
from lakefeed.orchestration.project.proposal.carried_proposal import carry
from lakefeed.orchestration.project.proposal.cursor_inference import TableFacts
from lakefeed.orchestration.project.proposal.table_proposal import Proposal
from lakefeed.source.inspection.queries import DeclaredQuery, QueryRefused, describe_queries
from lakefeed.source.inspection.tables import ColumnFacts
from lakefeed.source.statement import NotOneRead, read_statement

Left = list[tuple[str, str]]


def propose_queries(
    session: PgConnection,
    queries: Sequence[Queried],
    tool: str,
    *,
    schema: str,
    taken: Collection[str],
) -> tuple[list[Proposal], Left]:
    """The proposals for queries; and of each other one, why it isn't declared.

    Reads no rows.

    Args:
        schema: where names without a schema are looked up first.
        taken: names of tables that are declared in this schema.

    Raises:
        psycopg2.Error: the connection was lost.
    """
    proposals: list[Proposal] = []
    left: Left = []
    names = set(taken)
    for one in queries:
        if one.name in names:
            left.append((one.shown, "`sql`: something else of this name is declared"))
            continue
        found = _described(session, one, schema)
        if isinstance(found, str):
            left.append((one.shown, f"`sql`: {found}"))
            continue
        proposal, lost = carry(found, _possible(one.carried(found.table)), tool)
        left += [(one.shown, what) for what in lost]
        if proposal:
            names.add(one.name)
            proposals.append(replace(proposal, query=one.query))
    return proposals, left


def _described(session: PgConnection, one: Queried, schema: str) -> TableFacts | str:
    """What is known of the query, or why it can't be declared."""
    try:
        read_statement(one.query)
    except NotOneRead as reason:
        return f"it {reason}"
    asked = {one.name: DeclaredQuery(schema, one.name, one.query)}
    table = describe_queries(session, asked)[one.name]
    if isinstance(table, QueryRefused):
        return str(table)
    columns = {
        column.name: ColumnFacts(
            name=column.name, indexed=False, not_null=False, default="", kept_by_trigger=False
        )
        for column in table.columns
    }
    facts = TableFacts(table=table, columns=columns, denied=(), rows=None, size=None)
    return facts.why_left_out or facts


def _possible(carried: Carried) -> Carried:
    """A query has neither a log nor row versions."""
    return carried if carried.method == "cursor" else replace(carried, method="whole")
