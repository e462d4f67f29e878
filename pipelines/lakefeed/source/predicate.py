"""A declared condition is one SQL expression, or it is refused before anything connects."""

from __future__ import annotations


def single_expression(condition: str, dialect: str = "postgres") -> str | None:
    """Why this isn't one condition; None where it is.

    The only real boundary is what the role may do (docs/guarantees.md); this catches a second
    statement, a clause after the condition, and typing mistakes.
    """
    # Importing it takes as long as looking at a table, and few tables have a condition.
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(f"select 1 where {condition}", dialect=dialect)
    except SqlglotError:
        return "it isn't valid SQL"
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        return "it holds more than one statement"
    query = statements[0]
    allowed = {"kind", "expressions", "where"}
    if any(value for name, value in query.args.items() if name not in allowed and value):
        return "it goes on after the condition"
    return None
