"""Traces the columns of a select to their origins, in SQL that sqlglot has parsed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

_DIALECT = "duckdb"
_ROW_CLAUSES = ("having", "qualify", "order", "limit", "offset", "distinct")


@dataclass(frozen=True)
class Origin:
    """A column of a source table, such as `shop.customers`, `city`.

    `unchanged` is true if the value only passes through selects, joins and renames, and false if
    another value is computed from it.
    """

    table: str
    column: str
    unchanged: bool


@dataclass(frozen=True)
class Column:
    """A column's origins, and the source columns that a join equates it with."""

    origins: frozenset[Origin] = frozenset()
    equals: frozenset[Origin] = frozenset()


# Columns by lower-case name; None for a column that can't be traced.
Columns = dict[str, Column | None]
# Columns of tables and models by schema and name; None for a model that can't be traced.
Relations = Mapping[tuple[str, str], Columns | None]


def columns_of_select(sql: str, relations: Relations) -> Columns | str:
    """Returns the columns of a select over these relations, or why it can't be parsed.

    Other relations, such as seeds, don't come from a source table.
    """
    try:
        parsed = _without_row_clauses(parse_one(sql, dialect=_DIALECT))
        qualified = qualify(
            parsed,
            dialect=_DIALECT,
            schema=_schema(parsed, relations),
            # Unknown relations, such as the model itself, must not prevent tracing the others.
            allow_partial_qualification=True,
            validate_qualify_columns=False,
            quote_identifiers=False,
        )
        root = build_scope(qualified)
        return _Tracer(relations).columns_of(root) if root else "it isn't a select"
    except Exception as error:  # noqa: BLE001 - SQL that sqlglot can't parse must not fail a trace
        return str(error).split("\n", 1)[0].split(". Line", 1)[0]


def _without_row_clauses(parsed: exp.Expr) -> exp.Expr:
    """Removes clauses that only filter or order rows, except equations between columns.

    In these clauses, incremental models query themselves, whose columns aren't known yet.
    """
    for select in list(parsed.find_all(exp.Select)):
        for part in _ROW_CLAUSES:
            select.set(part, None)
        where = select.args.get("where")
        if where:
            select.set("where", None)
            equations = [part for part in _conjuncts(where.this) if _sides(part)]
            if equations:
                select.where(*equations, copy=False)
    return parsed


def _schema(parsed: exp.Expr, relations: Relations) -> dict[str, Any]:
    """The columns of the relations read, so that sqlglot can expand `*`."""
    schema: dict[str, Any] = {}
    for table in parsed.find_all(exp.Table):
        columns = relations.get((table.db.lower(), table.name.lower()))
        if columns:
            catalog = schema.setdefault(table.catalog, {}).setdefault(table.db, {})
            catalog[table.name] = dict.fromkeys(columns, "unknown")
    return schema


class _Tracer:
    """Traces the scopes of a select, each once."""

    def __init__(self, relations: Relations) -> None:
        self._relations = relations
        self._done: dict[int, Columns] = {}

    def columns_of(self, scope: Scope) -> Columns:
        """The output columns of a select or set operation.

        Where a recursive CTE reads itself, its first part stands for it.
        """
        select = id(scope.expression)
        if select not in self._done:
            self._done[select] = self._trace(scope)
        return self._done[select]

    def _trace(self, scope: Scope) -> Columns:
        if isinstance(scope.expression, exp.SetOperation):
            return _united(scope, [self.columns_of(part) for part in scope.set_operation_scopes])
        if not isinstance(scope.expression, exp.Select):
            return {}
        equal = _equal_columns(scope.expression)
        return {
            selected.alias_or_name.lower(): self._value(scope, selected.unalias(), equal)
            for selected in scope.expression.selects
            if not selected.is_star
        }

    def _value(self, scope: Scope, value: exp.Expr, equal: _Equal) -> Column | None:
        unchanged = _unchanged_column(value, equal)
        if unchanged:
            return self._unchanged(scope, unchanged, equal)
        if value.find(exp.Star, exp.Columns) and not value.find(exp.Count):
            return None
        return _computed_from(self._read(scope, column) for column in _columns_in(value))

    def _unchanged(self, scope: Scope, column: exp.Column, equal: _Equal) -> Column | None:
        found = self._read(scope, column)
        if found is None:
            return None
        others = [self._read(scope, other) for other in equal.get(_name(column), ())]
        same = {
            origin
            for other in others
            if other
            for origin in other.origins | other.equals
            if origin.unchanged
        }
        return Column(found.origins, (found.equals | same) - found.origins)

    def _read(self, scope: Scope | None, column: exp.Column) -> Column | None:
        """Resolves a column in a select, its subqueries or the enclosing selects."""
        name = column.name.lower()
        if not column.table:
            # A lambda's parameter: the list it iterates over is traced separately.
            in_lambda = column.find_ancestor(exp.Lambda)
            return Column() if in_lambda else self._of_only_unknown(scope, name)
        while scope is not None:
            if column.table in scope.sources:
                return self._column_of(scope, scope.sources[column.table], name)
            for subquery in scope.subquery_scopes:
                for inner in subquery.traverse():
                    if column.table in inner.sources:
                        return self._column_of(inner, inner.sources[column.table], name)
            scope = scope.parent
        return None

    def _of_only_unknown(self, scope: Scope | None, name: str) -> Column | None:
        """Assigns an unqualified column to the only unknown relation, such as a seed."""
        sources = [source for _, source in scope.selected_sources.values()] if scope else []
        tables = [source for source in sources if isinstance(source, exp.Table)]
        unknown = [table for table in tables if not self._knows(table)]
        return self._column_of_relation(unknown[0], name) if len(unknown) == 1 else None

    def _knows(self, table: exp.Table) -> bool:
        return bool(self._relations.get((table.db.lower(), table.name.lower())))

    def _column_of(self, scope: Scope, source: exp.Expr | Scope, name: str) -> Column | None:
        if not isinstance(source, Scope):
            return self._column_of_relation(source, name)
        if isinstance(source.expression, exp.UDTF):
            columns = _columns_in(source.expression)
            return _computed_from(self._read(scope, column) for column in columns)
        return self.columns_of(source).get(name)

    def _column_of_relation(self, table: exp.Expr, name: str) -> Column | None:
        if isinstance(table.this, exp.ReadParquet | exp.ReadCSV):
            return None
        columns = self._relations.get((table.text("db").lower(), table.name.lower()), {})
        return Column() if columns == {} else (columns or {}).get(name)


# For each column, the columns that conditions of the same select equate with it.
_Equal = dict[tuple[str, str], list[exp.Column]]


def _equal_columns(select: exp.Select) -> _Equal:
    classes: list[dict[tuple[str, str], exp.Column]] = []
    for left, right in _equations(select):
        pair = {_name(left): left, _name(right): right}
        touching = [known for known in classes if known.keys() & pair.keys()]
        classes = [known for known in classes if known not in touching]
        classes.append({k: v for merged in (*touching, pair) for k, v in merged.items()})
    return {
        name: [other for key, other in columns.items() if key != name]
        for columns in classes
        for name in columns
    }


def _equations(select: exp.Select) -> Iterator[tuple[exp.Column, exp.Column]]:
    where = select.args.get("where")
    conditions = [join.args.get("on") for join in select.args.get("joins") or ()]
    for condition in (*conditions, where.this if where else None):
        for part in _conjuncts(condition):
            sides = _sides(part)
            if sides:
                yield sides


def _conjuncts(condition: exp.Expr | None) -> Iterable[exp.Expr]:
    """The conditions joined by `and`."""
    if condition is None:
        return ()
    return condition.flatten() if isinstance(condition, exp.And) else (condition,)


def _sides(part: exp.Expr) -> tuple[exp.Column, exp.Column] | None:
    """The two columns that a condition equates, if it does."""
    if not isinstance(part, exp.EQ):
        return None
    left, right = part.this, part.expression
    both = isinstance(left, exp.Column) and isinstance(right, exp.Column)
    return (left, right) if both else None


def _unchanged_column(value: exp.Expr, equal: _Equal) -> exp.Column | None:
    """The column that an expression passes on unchanged, if it does.

    That is a plain column, an `any_value` of one, or the `coalesce` of both sides of a join, as
    `using` produces it.
    """
    if isinstance(value, exp.Paren | exp.AnyValue | exp.IgnoreNulls):
        return _unchanged_column(value.this, equal)
    if isinstance(value, exp.Column):
        return value
    if isinstance(value, exp.Coalesce):
        parts = [value.this, *value.expressions]
        same = {_name(part) for part in parts if isinstance(part, exp.Column)}
        if len(same) == len(parts):
            first: exp.Column = parts[0]
            alike = {_name(first), *(_name(other) for other in equal.get(_name(first), ()))}
            return first if same <= alike else None
    return None


def _columns_in(value: exp.Expr) -> Iterator[exp.Column]:
    return value.find_all(exp.Column)


def _name(column: exp.Column) -> tuple[str, str]:
    return (column.table.lower(), column.name.lower())


def _computed_from(columns: Iterable[Column | None]) -> Column | None:
    origins: set[Origin] = set()
    for column in columns:
        if column is None:
            return None
        origins |= {replace(origin, unchanged=False) for origin in column.origins}
    return Column(frozenset(origins))


def _united(scope: Scope, parts: list[Columns]) -> Columns:
    left, right = parts
    by_name = scope.expression.args.get("by_name")
    names = list(dict.fromkeys([*left, *right])) if by_name else list(left)
    matched = right if by_name else dict(zip(left, right.values(), strict=False))
    return {name: _union(left.get(name, Column()), matched.get(name, Column())) for name in names}


def _union(left: Column | None, right: Column | None) -> Column | None:
    """A column of a set operation, which comes from `left` in some rows and `right` in others."""
    if left is None or right is None:
        return None
    both = left.origins | right.origins
    origins = both - {replace(origin, unchanged=True) for origin in both if not origin.unchanged}
    # If one side is a constant, often null, the other side's equalities still hold.
    both_equal = (
        left.equals & right.equals if left.origins and right.origins else left.equals | right.equals
    )
    return Column(origins, both_equal - origins)
