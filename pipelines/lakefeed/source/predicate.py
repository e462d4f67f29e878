"""Checks that a declared condition is a single SQL expression, before anything connects."""

from __future__ import annotations


def single_expression(condition: str, dialect: str = "postgres") -> str | None:
    """Why the condition isn't a single SQL expression; None if it is.

    This catches typing mistakes, a second statement and a clause after the condition. It isn't a
    security boundary: that is what the role may do (docs/guarantees.md).
    """
    # Imported late: it takes as long as probing a table, and few tables have a condition.
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(f"select 1 where {condition}", dialect=dialect)
    except SqlglotError:
        return "it isn't valid SQL"
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        return "it contains more than one statement"
    query = statements[0]
    allowed = {"kind", "expressions", "where"}
    if any(value for name, value in query.args.items() if name not in allowed and value):
        return "it continues after the condition"
    return None
